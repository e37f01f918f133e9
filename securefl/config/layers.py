"""``[layers]``: the layers of the model that each member trains in a round (after Fed-HeLLo, arXiv 2506.12213).

What follows from it, and which layers are summed: ``adapters.layer_owners``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from securefl.config.section import Section

Allocation = Literal["all", "geometric", "random", "fisher"]
Shape = Literal["triangle", "inverted", "bottleneck", "uniform"]
SCORED: Final = 50
"""The round that first sums scores of layers, and after how many it does again, as in the paper."""
SHARES: Final = (0.5, 0.75, 1.0)
"""Shares of the paper's three resource groups."""
LayerShare = Annotated[float, Field(gt=0, le=1)]


class LayersSection(Section):
    """``[layers]``: the share of the layers that members train, and which those are."""

    allocation: Allocation = "all"
    """``all``: every member trains every layer; ``geometric``: the same layers in every round, by a shape over the
    depth; ``random``: drawn anew for every round, from the federation's seed; ``fisher``: drawn by how much the loss
    depends on each layer, from encrypted sums of scores."""
    shares: tuple[LayerShare, ...] = SHARES
    """Share of the layers that each resource group trains, of a private adapter as of the shared one; the members of
    the roster go to the groups in turn. With as many shares as members, each is a group of its own."""
    shape: Shape | None = None
    """Under ``geometric``; ``triangle``: the layers nearest to the input, and the default; ``inverted``: the last ones;
    ``bottleneck``: those at both ends; ``uniform``: evenly over the depth."""

    scored_from: int | None = Field(default=None, ge=1, le=10_000)
    """Under ``fisher``: the round that first sums scores, 50 without it; until then layers are drawn as ``random``."""
    scored_every: int | None = Field(default=None, ge=1, le=10_000)
    """Under ``fisher``: rounds until scores are summed again, 50 without it; between them the layers stay."""

    @field_validator("shares")
    @classmethod
    def _some_shares(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if not shares:
            raise ValueError("name at least one share, such as shares = [0.5, 0.75, 1.0]")
        return shares

    @model_validator(mode="after")
    def _every_key_is_read(self) -> Self:
        readers = {"shape": "geometric", "scored_from": "fisher", "scored_every": "fisher"}
        for key, reader in readers.items():
            if getattr(self, key) is not None and self.allocation != reader:
                raise ValueError(
                    f'{key} means nothing under allocation = "{self.allocation}"; write allocation = "{reader}", '
                    f"or leave {key} out"
                )
        if self.allocation == "all" and self.shares != SHARES:
            raise ValueError(
                'shares means nothing under allocation = "all"; write allocation = "random", or leave shares out'
            )
        return self

    @property
    def first_scored(self) -> int:
        """The round that first sums scores of layers, whose effect begins in the next one."""
        return self.scored_from or SCORED

    def scores(self, round_number: int) -> bool:
        """True where a round sums scores of layers."""
        since = round_number - self.first_scored
        return self.allocation == "fisher" and since >= 0 and since % (self.scored_every or SCORED) == 0

    def share_of(self, place: int) -> Fraction:
        """The share of the member at a place of the roster, as it is written: 0.1 is a tenth."""
        return Fraction(repr(self.shares[place % len(self.shares)]))
