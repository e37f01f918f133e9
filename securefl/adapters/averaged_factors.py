"""The global state under ``factors``: the mean of the members' own factors A and of their B, each by itself, and heads.

The rule kept here: the mean of factors is not a factor of the mean. This is what FedIT (arXiv 2305.05644) does, and
HetLoRA (arXiv 2401.06432) for ranks that differ, and it is kept beside our own ways to compare with. A mean replaces
what was there; where it has fewer directions than the state, since nobody contributed the last ones, these stay. A
member of a smaller rank gets the first directions, cut off and not approximated; one of a larger rank
gets random directions in A with zeros in B beside the summed ones. B holds the scaling, so that the change is ``B @ A``
for everybody; all of it comes from integer sums by single float64 operations, so that every machine has the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from securefl.adapters.frozen.basis import Side
from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.learned_factors import random_start
from securefl.adapters.update import Adapter, Factors, LoraFactors, Matrix, MeanUpdate
from securefl.config.payload import SharedFactors
from securefl.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class AveragedFactors:
    """The averaged adapter after some rounds, in the same bits at every member.

    Attributes:
        layout: The federation's tensors.
        seed: The federation's seed; it draws the first A, and what stands beside the summed directions.
        round_number: Number of means applied.
        weights: A (R, n) and B (m, R) of each adapted weight, whose change is ``B @ A``: no scaling is left to apply.
        heads: The change of each head, (rows, columns).
        shares: Factors that are summed; where A alone is, B is zero here and each member's own.
    """

    layout: Layout
    seed: int
    round_number: int
    weights: Mapping[str, LoraFactors]
    heads: Mapping[str, Matrix]
    shares: SharedFactors = "both"

    @classmethod
    def start(
        cls, layout: Layout, *, shared_rank: int, seed: int, shares: SharedFactors = "both"
    ) -> AveragedFactors:
        """Before the first round: random rows in A, and no change anywhere.

        Args:
            layout: The federation's tensors; R must not exceed a weight's smaller side.
            shared_rank: R.
            seed: The federation's seed.
            shares: Factors that are summed.
        """
        return cls(
            layout=layout,
            seed=seed,
            round_number=0,
            weights={tensor.name: random_start(tensor, shared_rank, seed) for tensor in layout.adapted},
            heads={tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in layout.heads},
            shares=shares,
        )

    @property
    def learned(self) -> Mapping[str, LoraFactors]:
        """Nothing that a round trains against."""
        return {}

    @property
    def learned_side(self) -> Side | None:
        """None: a mean moves both factors."""
        return None

    def change(self, mean: MeanUpdate) -> MeanUpdate:
        """The difference of the products before and after, as factors (m, 2R) and (2R, n).

        Where A alone is summed no product is known here, and it is the difference of A (R, n).
        """
        if self.shares == "right":
            moved = {name: _moved(_factors(mean, name).right, pair.A) for name, pair in self.weights.items()}
            return replace(mean, weights=moved)
        return replace(
            mean,
            weights={
                name: Factors(
                    np.concatenate([_factors(mean, name).left, -_met(pair, mean, name).B], axis=1),
                    np.concatenate([_factors(mean, name).right, _met(pair, mean, name).A], axis=0),
                )
                for name, pair in self.weights.items()
            },
        )

    def advanced(self, mean: MeanUpdate) -> AveragedFactors:
        """The state with one more mean applied, whose factors take the place of the old ones.

        Raises:
            ProtocolError: if a weight's mean is no pair of factors of this state's shapes, or has more directions.
        """
        return replace(
            self,
            round_number=self.round_number + 1,
            weights={name: _replaced(pair, mean, name) for name, pair in self.weights.items()},
            heads={name: old + mean.heads[name] for name, old in self.heads.items()},
        )

    def with_heads(self, heads: Mapping[str, Matrix]) -> AveragedFactors:
        """The state with other values of its heads, before the first round of training."""
        return replace(self, heads={name: heads[name].copy() for name in self.heads})

    def redistributed(self, rank: int, *, scaling: float) -> Adapter:
        """The adapter cut off at a client's own rank, or filled up to it.

        Args:
            rank: r.
            scaling: the client's; see ``scaling``.

        Returns:
            For every weight A (r, n) and B (m, r); the heads as they are.
        """
        return Adapter(
            weights={tensor.name: self._fitted(tensor, rank, scaling) for tensor in self.layout.adapted},
            heads={name: head.copy() for name, head in self.heads.items()},
        )

    def _fitted(self, tensor: TensorSpec, rank: int, scaling: float) -> LoraFactors:
        pair = self.weights[tensor.name]
        missing = rank - pair.A.shape[0]
        if missing <= 0:
            return LoraFactors(A=pair.A[:rank].copy(), B=pair.B[:, :rank] / scaling)
        beside = random_start(tensor, rank, self.seed).A[-missing:]
        return LoraFactors(
            A=np.concatenate([pair.A, beside]), B=np.pad(pair.B / scaling, ((0, 0), (0, missing)))
        )


def _factors(mean: MeanUpdate, name: str) -> Factors:
    factors = mean.weights[name]
    if not isinstance(factors, Factors):
        raise ProtocolError("the mean of a weight is no pair of factors", where=name)
    return factors


def _met(pair: LoraFactors, mean: MeanUpdate, name: str) -> LoraFactors:
    """The directions of a weight that its mean takes the place of."""
    count = _factors(mean, name).left.shape[1]
    return LoraFactors(A=pair.A[:count], B=pair.B[:, :count])


def _moved(right: Matrix, A: Matrix) -> Matrix:
    """The change of A (R, n): zeros in the directions that stay."""
    change = np.zeros_like(A)
    change[: len(right)] = right - A[: len(right)]
    return change


def _replaced(pair: LoraFactors, mean: MeanUpdate, name: str) -> LoraFactors:
    factors, old = _factors(mean, name), _met(pair, mean, name)
    if factors.left.shape != old.B.shape or factors.right.shape != old.A.shape:
        raise ProtocolError(
            "the mean of a weight's factors is not of the shared rank",
            where=name,
            hint="decode a round's sums with the federation's own payload",
        )
    count = len(old.A)
    return LoraFactors(
        A=np.concatenate([factors.right, pair.A[count:]]),
        B=np.concatenate([factors.left, pair.B[:, count:]], axis=1),
    )
