"""``[model]`` and ``[lora]``: the base model, and the adapters on it."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from securefl.config.section import Section
from securefl.config.values import shown

Rank = Annotated[int, Field(ge=1, le=1024)]
DEFAULT_MAX_LENGTH = 64
DIALOGUE_MAX_LENGTH = 512
"""Of a language model, whose rows hold a prompt, the text around it and an answer."""
"""Most tokens of a text where the file says nothing."""
_PUBLIC_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
ALL_LINEAR = "all-linear"
"""PEFT's word for every linear module but the head."""
USUAL = "auto"
"""Stands for the modules that PEFT adapts in a model of the kind where nobody names any."""


def _one_name_may_stand_alone(names: object) -> object:
    return (names,) if isinstance(names, str) else names


def _some_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or not all(name.strip() for name in names):
        raise ValueError(f'name at least one module, or write target_modules = "{ALL_LINEAR}"')
    if ALL_LINEAR in names and len(set(names)) > 1:
        raise ValueError(f'"{ALL_LINEAR}" stands for every linear module: leave the other names out')
    if USUAL in names and len(set(names)) > 1:
        raise ValueError(f'"{USUAL}" stands for the usual modules: leave the other names out')
    return tuple(dict.fromkeys(names))


TargetModules = Annotated[
    tuple[str, ...], BeforeValidator(_one_name_may_stand_alone), AfterValidator(_some_names)
]
"""Names of linear modules, or ends of their paths; a name may stand alone, and so may ``all-linear``."""


class ModelSection(Section):
    """``[model]``: the base model that every member has the same bytes of."""

    path: str
    """A folder, or a hub id such as ``sentence-transformers/all-MiniLM-L6-v2``."""
    max_length: int = Field(default=DEFAULT_MAX_LENGTH, ge=4, le=8192)
    """Most tokens of a text; 512 where the key is left out under the task ``causal-lm``."""
    id: str | None = None
    """Public name, such as ``sentence-transformers/all-MiniLM-L6-v2``; without it what ``path`` tells of one."""

    @field_validator("id")
    @classmethod
    def _id_is_a_name(cls, name: str | None) -> str | None:
        if name is not None and not _PUBLIC_NAME.fullmatch(name):
            raise ValueError(f"it is {shown(name)}; write the model's name at its hub, owner/name")
        return name


class LoraSection(Section):
    """``[lora]``: the adapters, in PEFT's own words."""

    r: Rank = 8
    lora_alpha: float = Field(default=16, gt=0)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    use_rslora: bool | None = None
    """Scale by ``lora_alpha / sqrt(r)`` in place of ``lora_alpha / r``; without it, where ranks of the cohort differ,
    because the lowest rank is the loudest else. With models of the members' own it is off unless it is set."""
    one_scaling: bool = False
    """Scale every adapter by ``lora_alpha / r`` of this section, whatever its own rank, so that alpha / r is one number
    for the whole cohort (HLoRA); a saved adapter's ``lora_alpha`` is that number times its rank."""
    target_modules: TargetModules = (USUAL,)
    """Names of linear modules, or ends of their paths; a name may stand alone, and so may ``all-linear``. ``auto``
    takes those that PEFT adapts in a model of the kind, such as query and value, q_proj and v_proj, or c_attn."""
    width: int | None = Field(default=None, ge=2, le=8192)
    """With ``recipe.personal = "backbone"``: input and output width of the adapter that all members share."""

    @model_validator(mode="after")
    def _one_rule_scales(self) -> Self:
        if self.one_scaling and self.use_rslora:
            raise ValueError(
                "one_scaling takes one number for all ranks, and use_rslora another one for each; set one of them alone"
            )
        return self

    def resolved(self, *, use_rslora: bool) -> LoraTerms:
        """The same with nothing left open.

        Args:
            use_rslora: Holds where the file says nothing of it.
        """
        open_ = self.use_rslora is None
        use_rslora = use_rslora and not self.one_scaling
        return LoraTerms.model_validate(self.model_dump() | ({"use_rslora": use_rslora} if open_ else {}))


class LoraTerms(LoraSection):
    """``[lora]`` as a federation pins it."""

    use_rslora: bool
