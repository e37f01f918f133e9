"""Forms of a saved folder: the class of transformers that it belongs on, and where its head stands.

The rule kept here: a folder's tensors carry the names of modules of that class, so that plain PEFT finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

TaskType = Literal["FEATURE_EXTRACTION", "SEQ_CLS", "CAUSAL_LM"]
"""PEFT's words for what a model is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderForm:
    """A folder's place in plain transformers and PEFT.

    Attributes:
        task_type: PEFT's.
        auto_class: The class of transformers that loads the base, such as ``AutoModel``.
        prefix: Path of the backbone in that class, with its dot at the end; empty where it is the class itself.
        saved_module: The module that PEFT saves whole, head included; None where the head stands in a file beside.
        head: By the layout's names of the head's tensors, their names in that class.
        pad_token_id: The token by which that class finds the end of a text; None where it needs none.
    """

    task_type: TaskType
    auto_class: str
    prefix: str = ""
    saved_module: str | None = None
    head: Mapping[str, str] = field(default_factory=dict)
    pad_token_id: int | None = None


BARE = FolderForm(task_type="FEATURE_EXTRACTION", auto_class="AutoModel")
"""The backbone alone; a head, if any, beside."""
