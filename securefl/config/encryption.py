"""``[encryption]`` and ``[grid]``: the cipher, and the integers that it adds."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from securefl.config.payload import PayloadName
from securefl.config.section import Section
from securefl.config.values import shown

SelectBy = Literal["values", "columns"]
NO_COLUMNS: Final[Mapping[PayloadName, str]] = {
    "sketch": "a sketch mixes a weight's columns, and one of them cannot be hidden alone",
    "basis": "every other round sends rows of a factor",
    "state": "every other round sends rows of a factor",
    "core": "every value tells of the whole weight",
    "factors": "the left factor has rows, and columns of the right one alone",
    "head-only": "no value tells of an adapted weight",
}
"""Payloads whose values are no whole columns of a weight, each with the reason."""


class GridSection(Section):
    """``[grid]``: the integer grid that values are put on."""

    precision_bits: int = Field(default=16, ge=8, le=24)
    adapter_bound: float = Field(default=0.25, gt=0)
    """Largest magnitude of one entry of a weight's change, or of a LoRA factor in it, times its client's weight; what
    exceeds it is clipped. Sketches and cores have bounds of their own that follow from it."""
    head_bound: float = Field(default=2.0, gt=0)
    """The same for a value of the classification head."""


class SelectSection(Section):
    """``[encryption] select``: ``"all"``, or the share of the values that is encrypted from the second round on."""

    fraction: float = Field(default=1.0, gt=0, le=1)
    by: SelectBy = "values"
    """``values``: the rows or columns, as a payload has them, that the loss depends on most; ``columns``: whole columns
    of the adapted weights, by the size of their inputs (SHE-LoRA, arXiv 2505.21051)."""

    @model_validator(mode="before")
    @classmethod
    def _all_is_a_fraction_of_one(cls, select: object) -> object:
        match select:
            case "all":
                return {}
            case dict() | SelectSection():
                return select
            case _:
                raise ValueError(
                    f'it is {shown(select)}; select is "all", or a table such as {{ fraction = 0.1 }}'
                )

    @property
    def share(self) -> Fraction:
        """The fraction as it is written: 0.1 is a tenth, not the float next to it."""
        return Fraction(repr(self.fraction))


class EncryptionSection(Section):
    """``[encryption]``: the cipher, and what it is used on."""

    scheme: Literal["kahe", "bfv", "none"] = "kahe"
    """``kahe`` gives every contribution a key of its own; under ``bfv`` the server with one member reads every update;
    ``none`` is the integer twin: the same integers without a cipher, for comparison only."""
    select: SelectSection = SelectSection()
    max_colluders: int | None = Field(default=None, ge=1)
    """The number of clients that may collude with the server, c_max; without it, the largest that every cohort bears. A
    smaller one lets values be summed over fewer owners, c_max + 2."""
    allow_plaintext: bool = False
    """Accepts that the server reads what ``select`` leaves out, of every client and in every round after the first."""

    @model_validator(mode="after")
    def _plaintext_is_allowed_by_name(self) -> Self:
        if self.select.share < 1 and not self.allow_plaintext:
            raise ValueError(
                f"select = {{ fraction = {self.select.fraction} }} shows the server the other values of every client; "
                'set allow_plaintext = true to accept that, or select = "all"'
            )
        return self
