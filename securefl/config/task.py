"""``[task]``: the task that the model learns, a tagged union by ``name``.

A task is one section of its own here, one of terms in ``protocol.terms``, and one file in ``training.tasks``. With a
second one ``TaskSection`` becomes ``Annotated[A | B, Field(discriminator="name")]``, as ``config.data.Split`` is.
"""

from __future__ import annotations

from typing import Annotated, Literal

from securefl.config.section import Section
from securefl.config.values import ChosenBy

Pooling = Literal["mean", "cls", "last"]
"""Hidden states to one feature: the mean over the tokens, the first token's (encoders), or the last one's."""


class SequenceClassificationSection(Section):
    """One label for each text, by a linear head on one feature."""

    name: Literal["sequence-classification"]
    pooling: Pooling = "mean"


TaskSection = Annotated[SequenceClassificationSection, ChosenBy("name")]
