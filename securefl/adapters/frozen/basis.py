"""The frozen factor of a round under ``basis``: which side it is, and its directions.

The rule kept here: all clients of a round multiply what they train by the same frozen orthonormal factor, so
the sum of the trained factors is the trained factor of the sum. Every member draws the factor itself, from
public seeds, anew for every round: what is trained against it is a fresh adapter beside the global one, which is
added to it at the end of the round (Fed-RAC-LoRA, arXiv 2410.08305). Here the trained side alternates besides, so
that the columns of a change are free in one round, and its rows in the next.

This is not RoLoRA (arXiv 2502.01755), which alternates the two learned factors of *one* adapter: there the frozen
factor is what the round before learned. FFA-LoRA (arXiv 2403.12313) freezes one random factor for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.linalg import random_orthonormal_rows
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Factors, Matrix
from securefl.config.trained_sides import IN_TURN, TrainedSides


class Side(Enum):
    """The factor that a round trains."""

    LEFT = "left"
    """B (m, r) is trained; the frozen factor has orthonormal rows."""
    RIGHT = "right"
    """A (r, n) is trained; the frozen factor has orthonormal columns."""


def trained_side(round_number: int, *, sides: TrainedSides = IN_TURN) -> Side:
    """The factor that a round (from 1) trains."""
    return Side.LEFT if sides.left_in(round_number) else Side.RIGHT


@dataclass(frozen=True, slots=True)
class FrozenBasis:
    """The frozen factors of one round, at the shared rank R.

    Attributes:
        round_number: Number of the round, from 1.
        side: The factor that is trained against them.
        factors: For every adapted weight: orthonormal rows (R, n) if B is trained, orthonormal columns (m, R)
            if A is. The arrays cannot be written to.
    """

    round_number: int
    side: Side
    factors: Mapping[str, Matrix]

    def cut(self, name: str, rank: int) -> Matrix:
        """The frozen factor of a client of this rank: its first min(rank, R) directions, as a view."""
        factor = self.factors[name]
        return factor[:rank] if self.side is Side.LEFT else factor[:, :rank]

    def trained_shape(self, tensor: TensorSpec, rank: int) -> tuple[int, int]:
        """Shape of the trained factor: (m, r) or (r, n), r at most R."""
        factor = self.cut(tensor.name, rank)
        if self.side is Side.LEFT:
            return tensor.rows, factor.shape[0]
        return factor.shape[1], tensor.columns

    def change(self, name: str, trained: Matrix, *, rank: int) -> Factors:
        """The trained factor beside the frozen one."""
        factor = self.cut(name, rank)
        return Factors(trained, factor) if self.side is Side.LEFT else Factors(factor, trained)


def draw_basis(layout: Layout, *, shared_rank: int, seed: int, round_number: int) -> FrozenBasis:
    """A round's basis: a seeded Gaussian for every weight, orthonormalised.

    Args:
        layout: The federation's tensors; R must not exceed a weight's smaller side.
        shared_rank: R.
        seed: The federation's seed.
        round_number: Number of the round, from 1.
    """
    side = trained_side(round_number)
    return FrozenBasis(
        round_number=round_number,
        side=side,
        factors={
            tensor.name: _draw(
                tensor, side, shared_rank, seeded_generator(seed, "basis", round_number, tensor.name)
            )
            for tensor in layout.adapted
        },
    )


def _draw(tensor: TensorSpec, side: Side, rank: int, rng: np.random.Generator) -> Matrix:
    width = tensor.columns if side is Side.LEFT else tensor.rows
    rows = random_orthonormal_rows(rank, width, rng=rng)
    rows.setflags(write=False)
    return rows if side is Side.LEFT else rows.T
