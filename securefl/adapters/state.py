"""The global adapter as every client holds it: the exact sum of the mean updates so far.

The rule kept here: nothing is cut from the state. A client cuts what it trains from (``redistributed``) to
its own rank, and sends changes since that start, so what it could not hold stays with those who can.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.linalg import decompose
from securefl.adapters.redistribution import noise_floor, redistribute
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Adapter, Factors, LoraFactors, Matrix, MeanUpdate


@dataclass(frozen=True, slots=True)
class GlobalState:
    """The exact global change of every shared tensor after some rounds.

    Attributes:
        layout: The federation's tensors.
        seed: The federation's seed; it draws the directions that stand in for missing ones.
        round: Number of mean updates applied.
        weights: The change of each adapted weight: (m, n) under ``dense``, factors under ``basis`` and at the
            start.
        heads: The change of each head, (rows, columns).
        noise_std: Standard deviation that the grid's rounding can have left in one coordinate of a weight.
    """

    layout: Layout
    seed: int
    round: int
    weights: Mapping[str, Matrix | Factors]
    heads: Mapping[str, Matrix]
    noise_std: float

    @classmethod
    def start(cls, layout: Layout, *, seed: int) -> GlobalState:
        """Before the first round: no change anywhere, in the same bits for everybody."""
        return cls(
            layout=layout,
            seed=seed,
            round=0,
            weights={
                tensor.name: Factors(np.zeros((tensor.rows, 0)), np.zeros((0, tensor.columns)))
                for tensor in layout.adapted
            },
            heads={tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in layout.heads},
            noise_std=0.0,
        )

    def advanced(self, mean: MeanUpdate, *, outer_learning_rate: float = 1.0) -> GlobalState:
        """The state with one more mean update applied.

        Args:
            mean: Its tensors are the layout's.
            outer_learning_rate: Step of the update; 1 applies it whole.
        """
        rate = outer_learning_rate
        return GlobalState(
            layout=self.layout,
            seed=self.seed,
            round=self.round + 1,
            weights={name: _added(old, mean.weights[name], rate) for name, old in self.weights.items()},
            heads={name: old + rate * mean.heads[name] for name, old in self.heads.items()},
            # Rounding errors of different rounds are independent, so their variances add up.
            noise_std=math.hypot(self.noise_std, rate * mean.noise_std),
        )

    def redistributed(self, rank: int, *, scaling: float) -> Adapter:
        """The best adapter of a client's own rank.

        Args:
            rank: r, at most every adapted weight's smaller side.
            scaling: alpha / r of the client.

        Returns:
            For every weight A (r, n) with orthonormal rows and B (m, r); the heads as they are.
        """
        return Adapter(
            weights={tensor.name: self._factors(tensor, rank, scaling) for tensor in self.layout.adapted},
            heads={name: head.copy() for name, head in self.heads.items()},
        )

    def _factors(self, tensor: TensorSpec, rank: int, scaling: float) -> LoraFactors:
        return redistribute(
            self.weights[tensor.name],
            rank=rank,
            scaling=scaling,
            noise_floor=noise_floor(tensor.rows, tensor.columns, noise_std=self.noise_std),
            rng=seeded_generator(self.seed, "redistribution", self.round, tensor.name),
        )


def _added(old: Matrix | Factors, change: Matrix | Factors, rate: float) -> Matrix | Factors:
    """``old + rate * change``, as factors if both are."""
    if isinstance(old, Factors) and isinstance(change, Factors):
        left = np.concatenate([old.left, rate * change.left], axis=1)
        right = np.concatenate([old.right, change.right], axis=0)
        return _recompressed(Factors(left, right))
    whole = rate * (change.product() if isinstance(change, Factors) else change)
    # The start's factors of rank 0 are a matrix of zeros.
    whole += old.product() if isinstance(old, Factors) else old
    return whole


def _recompressed(factors: Factors) -> Factors:
    """The same product with as many columns as its rank can have; nothing but rounding is lost."""
    full = min(factors.shape)
    if factors.left.shape[1] <= full:
        return factors
    return decompose(factors).scaled_factors(full)
