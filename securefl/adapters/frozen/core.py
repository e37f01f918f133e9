"""The frozen factors of ``core``: the same orthonormal U and V for the whole federation.

The rule kept here: U and V never change, so cores add up over clients and over rounds alike, and the whole
global adapter of a weight stays one R x R core, or one a head. Every member draws them itself from the seed, or has
them in its state from before the first round, where the base model's weights say them (``frozen_start``).

This is what Fed-SB (arXiv 2502.15436) sends, without its start: Fed-SB takes both factors from the singular vectors
of a first full gradient. Results under seeded ones are therefore none of Fed-SB's, and trail LoRA. What the seeds cost
is reach: all that is ever learned lies in the R columns of U and the R rows of V. Larger ranks make up for it, and are
cheap: a core of rank 64 has the size of a LoRA adapter of rank 5 on MiniLM. Measured
there (BANKING77, 3 clients, 3 rounds): 0.58 with cores of rank 16, 0.64 with 64, 0.67 with LoRA of rank 16.

Several *heads* reach further for as much to send (Ravan, arXiv 2506.05568): h cores of rank R between h pairs of
frozen factors have h R^2 values, and change a weight in h R directions. All pairs of a weight are drawn at once and
orthonormalised together, so that no two heads share a direction.

    >>> dealt_out(heads=2, rank=3)
    [0, 2, 4, 1, 3, 5]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from securefl.adapters.frozen.learned import Learned
from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.linalg import random_orthonormal_rows
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Factors, LoraFactors, Matrix


@dataclass(frozen=True, slots=True)
class FrozenPair:
    """The frozen factors of one weight, those of all its heads side by side.

    Attributes:
        left: U (m, h r), orthonormal columns; head i has columns i r to (i + 1) r.
        right: V (h r, n), orthonormal rows, likewise.
        heads: h.
    """

    left: Matrix
    right: Matrix
    heads: int = 1

    @property
    def rank(self) -> int:
        """Directions of one head, r."""
        return len(self.right) // self.heads

    def between(self, cores: Matrix) -> Factors:
        """The change that cores make: the sum of U_i C_i V_i over the heads, as factors (m, h r) and (h r, n).

        Args:
            cores: (h r, r), one core below the other.
        """
        if self.heads == 1:
            return Factors(self.left @ cores, self.right)
        parts = zip(np.split(self.left, self.heads, axis=1), np.split(cores, self.heads), strict=True)
        return Factors(np.concatenate([left @ core for left, core in parts], axis=1), self.right)

    def cores_of(self, change: Factors) -> Matrix:
        """The cores (h r, r) of the part of a change that lies between the frozen factors, head by head.

        Args:
            change: Factors (m, k) and (k, n) of any k.
        """
        both = (self.left.T @ change.left) @ (change.right @ self.right.T)
        places = (slice(head * self.rank, (head + 1) * self.rank) for head in range(self.heads))
        return np.concatenate([both[place, place] for place in places])


@dataclass(frozen=True, slots=True)
class CoreBases:
    """The frozen factors of a federation, at the shared rank R.

    Attributes:
        pairs: U (m, h R) and V (h R, n) of every adapted weight; these arrays cannot be written to.
    """

    pairs: Mapping[str, FrozenPair]

    def cut(self, name: str, rank: int) -> FrozenPair:
        """The frozen factors of a client of this rank: the first min(rank, R) directions of each head."""
        pair = self.pairs[name]
        if rank >= pair.rank:
            return pair
        if pair.heads == 1:
            return FrozenPair(pair.left[:, :rank], pair.right[:rank])
        places = np.concatenate([head * pair.rank + np.arange(rank) for head in range(pair.heads)])
        return FrozenPair(pair.left[:, places], pair.right[places], pair.heads)

    def cut_to(self, name: str, directions: int) -> FrozenPair:
        """The frozen factors of all heads together, cut to so many directions, shared out evenly."""
        return self.cut(name, directions // self.pairs[name].heads)

    def trained_shape(self, tensor: TensorSpec, rank: int) -> tuple[int, int]:
        """Shape of a weight's cores, one below the other: (h r, r), r at most R."""
        pair = self.cut(tensor.name, rank)
        return pair.heads * pair.rank, pair.rank

    def change(self, name: str, trained: Matrix, *, rank: int) -> Factors:
        """The cores between the frozen factors, as (U C, V)."""
        return self.cut(name, rank).between(trained)


def draw_core_bases(layout: Layout, *, shared_rank: int, seed: int, heads: int = 1) -> CoreBases:
    """The federation's frozen factors: seeded Gaussians for every weight, orthonormalised.

    Args:
        layout: The federation's tensors; h R must not exceed a weight's smaller side.
        shared_rank: R.
        seed: The federation's seed.
        heads: h.
    """
    return CoreBases({tensor.name: _draw(tensor, shared_rank, seed, heads) for tensor in layout.adapted})


def core_bases(directions: Learned, *, heads: int) -> CoreBases:
    """The frozen factors of a federation, of directions that its state has begun from.

    Args:
        directions: Right and left singular vectors of every weight, as A (h R, n) and B (m, h R), the leading first.
        heads: h. The directions are dealt out in turn, so that the first ones of every head are the leading ones.
    """
    return CoreBases({name: _pair(each, heads) for name, each in directions.items()})


def dealt_out(*, heads: int, rank: int) -> list[int]:
    """The direction at every place, those of one head after the other's."""
    return [place * heads + head for head in range(heads) for place in range(rank)]


def _pair(directions: LoraFactors, heads: int) -> FrozenPair:
    order = dealt_out(heads=heads, rank=len(directions.A) // heads)
    left, right = directions.B[:, order], directions.A[order]
    left.setflags(write=False)
    right.setflags(write=False)
    return FrozenPair(left, right, heads)


def _draw(tensor: TensorSpec, rank: int, seed: int, heads: int) -> FrozenPair:
    rng = seeded_generator(seed, "frame", tensor.name)
    left = random_orthonormal_rows(heads * rank, tensor.rows, rng=rng)
    right = random_orthonormal_rows(heads * rank, tensor.columns, rng=rng)
    left.setflags(write=False)
    right.setflags(write=False)
    return FrozenPair(left.T, right, heads)
