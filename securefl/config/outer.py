"""``[outer]``: the step that every member takes along the decrypted mean, a tagged union by ``name``.

The formulas: ``adapters.outer``.

The rule kept here: a key stands only in the section of the step that reads it, so none can be set in vain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from securefl.config.payload import PayloadName
from securefl.config.section import Section


class SgdSection(Section):
    """The mean itself, times a rate: plain averaging at 1."""

    name: Literal["sgd"]
    learning_rate: float = Field(default=1.0, gt=0, le=4)


class NesterovSection(Section):
    """Means of earlier rounds carry on (FDLoRA, DiLoCo)."""

    name: Literal["nesterov"]
    learning_rate: float = Field(default=1.0, gt=0, le=4)
    momentum: float = Field(default=0.5, gt=0, lt=1)


class AdamSection(Section):
    """Every coordinate has a rate of its own (FedAdam)."""

    name: Literal["adam"]
    learning_rate: float = Field(default=0.01, gt=0, le=4)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    epsilon: float = Field(default=1e-3, gt=0)
    """Means far below it are damped in proportion, those far above it move by the learning rate."""


Outer = Annotated[SgdSection | NesterovSection | AdamSection, Field(discriminator="name")]

NO_COORDINATES: Final[Mapping[PayloadName, str]] = {
    "sketch": "a mean is known as a product of factors, which are found anew in every round",
    "basis": "a round's mean is a factor against random ones that are drawn for this round",
    "core": "a mean is decoded as a product of factors, in which the core is not kept apart",
    "factors": "a mean takes the place of the state, so that there is no step",
    "head-only": "no round has a mean of a weight",
}
"""Payloads under which a weight's mean has no coordinates that stay from round to round, each with the reason."""
