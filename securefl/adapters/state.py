"""The global adapter as every client holds it: the sum of the mean updates so far.

The rule kept here: nothing but rounding noise is cut from the state. A client cuts what it trains from
(``redistributed``) to its own rank, and sends changes since that start, so what it could not hold stays with
those who can. Factors stay factors, of no more columns than the weight can have rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.linalg import decompose
from securefl.adapters.redistribution import redistribute, significant
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Adapter, Factors, LoraFactors, Matrix, MeanUpdate


@dataclass(frozen=True, slots=True)
class GlobalState:
    """The global change of every shared tensor after some rounds.

    Attributes:
        layout: The federation's tensors.
        seed: The federation's seed; it draws the directions that stand in for missing ones.
        round: Number of mean updates applied.
        weights: The change of each adapted weight: (m, n) under ``dense``, factors under the other payloads
            and at the start.
        heads: The change of each head, (rows, columns).
        noise_std: What the grid's rounding can have left in the weights; see ``MeanUpdate``.
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
        # Rounding errors of different rounds are independent, so their variances add up.
        noise_std = math.hypot(self.noise_std, rate * mean.noise_std)
        return GlobalState(
            layout=self.layout,
            seed=self.seed,
            round=self.round + 1,
            weights={
                name: _added(old, mean.weights[name], rate, noise_std=noise_std)
                for name, old in self.weights.items()
            },
            heads={name: old + rate * mean.heads[name] for name, old in self.heads.items()},
            noise_std=noise_std,
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
            noise_std=self.noise_std,
            rng=seeded_generator(self.seed, "redistribution", self.round, tensor.name),
        )


def _added(
    old: Matrix | Factors, change: Matrix | Factors, rate: float, *, noise_std: float
) -> Matrix | Factors:
    """``old + rate * change``, as factors if both are."""
    if isinstance(old, Factors) and isinstance(change, Factors):
        if np.array_equal(old.right, change.right):
            # Under ``core`` the right factor never changes, and nor does the rank.
            return Factors(old.left + rate * change.left, change.right)
        left = np.concatenate([old.left, rate * change.left], axis=1)
        right = np.concatenate([old.right, change.right], axis=0)
        return _kept_small(Factors(left, right), noise_std=noise_std)
    whole = rate * (change.product() if isinstance(change, Factors) else change)
    # The start's factors of rank 0 are a matrix of zeros.
    whole += old.product() if isinstance(old, Factors) else old
    return whole


def _kept_small(factors: Factors, *, noise_std: float) -> Factors:
    """The same product, cut to the directions above the noise once the factors outgrow the matrix itself.

    Before that every direction stays: what is below the noise today may grow out of it in later rounds.
    """
    rows, columns = factors.shape
    if factors.left.shape[1] * (rows + columns) <= rows * columns:
        return factors
    decomposition = decompose(factors)
    return decomposition.scaled_factors(significant(decomposition, noise_std=noise_std))
