"""``[layers]``: the layers of the model that each member trains in a round (after Fed-HeLLo, arXiv 2506.12213).

What follows from it, and which layers are summed: ``adapters.layer_owners``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from securefl.config.section import Section

Allocation = Literal["all", "geometric", "random"]
Shape = Literal["triangle", "inverted", "bottleneck", "uniform"]
LayerShare = Annotated[float, Field(gt=0, le=1)]


class LayersSection(Section):
    """``[layers]``: the share of the layers that members train, and which those are."""

    allocation: Allocation = "all"
    """``all``: every member trains every layer; ``geometric``: the same layers in every round, by a shape over the
    depth; ``random``: drawn anew for every round, from the federation's seed."""
    shares: tuple[LayerShare, ...] = (0.5, 0.75, 1.0)
    """Share of the layers that each resource group trains; the members of the roster go to the groups in turn. With as
    many shares as members, each is a group of its own."""
    shape: Shape | None = None
    """Under ``geometric``; ``triangle``: the layers nearest to the input, and the default; ``inverted``: the last ones;
    ``bottleneck``: those at both ends; ``uniform``: evenly over the depth."""

    @field_validator("shares")
    @classmethod
    def _some_shares(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if not shares:
            raise ValueError("name at least one share, such as shares = [0.5, 0.75, 1.0]")
        return shares

    @model_validator(mode="after")
    def _a_shape_is_read(self) -> Self:
        if self.shape is not None and self.allocation != "geometric":
            raise ValueError(
                f'shape = "{self.shape}" means nothing under allocation = "{self.allocation}"; write '
                'allocation = "geometric", or leave shape out'
            )
        return self

    def share_of(self, place: int) -> Fraction:
        """The share of the member at a place of the roster, as it is written: 0.1 is a tenth."""
        return Fraction(repr(self.shares[place % len(self.shares)]))
