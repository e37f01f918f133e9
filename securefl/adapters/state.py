"""The global adapter as every client holds it: the sum of the mean updates so far.

``SharedState`` is what the rounds ask of it, and ``GlobalState`` its first kind, which every payload but ``state`` adds
up; the other kind is in ``learned_factors``. Where whole products are summed (FlexLoRA's own rule), a mean replaces the
weights, and what no client of the round could hold is gone.

The rule kept here: a client cuts what it trains from (``redistributed``) to its own rank, and sends changes since
that start, so what it could not hold stays in the state, with those who can. Weights that come in factors are kept
as singular values and vectors: one decomposition a round, which both the next state and everybody's start are made
of, and which bounds memory, whatever the number of rounds.

The bound: what is kept of a weight are at most ``kept_rank`` directions, several times what any client can take up,
and what goes is weaker than all of those (``Decomposition.limited``). So by Weyl's inequality no singular value of
the state is ever further off than the sum of what went round by round; up to so many directions nothing goes.
Noise is no reason to cut: what is below it in one round may grow out of it in later ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import numpy as np

from securefl.adapters.frozen.basis import Side
from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.linalg import Decomposition, decompose
from securefl.adapters.redistribution import redistribute
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Adapter, Factors, LoraFactors, Matrix, MeanUpdate
from securefl.config.aggregation import SplitName


class SharedState(Protocol):
    """The global adapter after some rounds, whichever payload it came from."""

    @property
    def round_number(self) -> int:
        """Number of mean updates applied."""
        ...

    @property
    def heads(self) -> Mapping[str, Matrix]:
        """The change of each head, (rows, columns)."""
        ...

    @property
    def learned(self) -> Mapping[str, LoraFactors]:
        """Factors that rounds train in turn or against, in the same bits everywhere; empty where there are none."""
        ...

    @property
    def learned_side(self) -> Side | None:
        """The factor of ``learned`` that the next mean moves, whose entries are its coordinates; None without one."""
        ...

    def advanced(self, mean: MeanUpdate) -> Self:
        """The state with one more mean update applied."""
        ...

    def change(self, mean: MeanUpdate) -> MeanUpdate:
        """The change of every tensor that the next mean makes: the mean itself, but where it holds whole weights."""
        ...

    def with_heads(self, heads: Mapping[str, Matrix]) -> Self:
        """The state with other values of its heads, before the first round of training."""
        ...

    def redistributed(self, rank: int, *, scaling: float) -> Adapter:
        """The best adapter of a client's own rank."""
        ...


@dataclass(frozen=True, slots=True)
class GlobalState:
    """The global change of every shared tensor after some rounds.

    Attributes:
        layout: The federation's tensors.
        seed: The federation's seed; it draws the directions that stand in for missing ones.
        round_number: Number of mean updates applied.
        weights: The change of each adapted weight: (m, n) under ``dense`` and for what ``sketch`` sends whole, else
            decomposed.
        heads: The change of each head, (rows, columns).
        noise_std: What the grid's rounding can have left in the weights; see ``MeanUpdate``.
        kept_rank: Most directions that are kept of a decomposed weight; None for all that it can have.
        split: The factor that holds the singular values of a redistributed weight.
        replaced: True where a mean holds whole weights, which take the place of the old ones.
        frozen: Factors that all rounds train between, where they were found before the first one; see ``frozen_start``.
    """

    layout: Layout
    seed: int
    round_number: int
    weights: Mapping[str, Matrix | Decomposition]
    heads: Mapping[str, Matrix]
    noise_std: float
    kept_rank: int | None
    split: SplitName = "left"
    replaced: bool = False
    frozen: Mapping[str, LoraFactors] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        layout: Layout,
        *,
        seed: int,
        kept_rank: int | None = None,
        split: SplitName = "left",
        replaced: bool = False,
    ) -> GlobalState:
        """Before the first round: no change anywhere, in the same bits for everybody."""
        return cls(
            layout=layout,
            seed=seed,
            round_number=0,
            weights={
                tensor.name: Decomposition.zero(tensor.rows, tensor.columns) for tensor in layout.adapted
            },
            heads={tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in layout.heads},
            noise_std=0.0,
            kept_rank=kept_rank,
            split=split,
            replaced=replaced,
        )

    @property
    def learned(self) -> Mapping[str, LoraFactors]:
        """Factors that last for all rounds, where they were found and not drawn: see ``frozen``."""
        return self.frozen

    @property
    def learned_side(self) -> Side | None:
        """None: a mean moves weights as a whole."""
        return None

    def advanced(self, mean: MeanUpdate) -> GlobalState:
        """The state with one more mean update applied, or the step that ``outer`` has made of it.

        Args:
            mean: Its tensors are the layout's.
        """
        return replace(
            self,
            round_number=self.round_number + 1,
            weights={name: self._advanced(old, mean.weights[name]) for name, old in self.weights.items()},
            heads={name: old + mean.heads[name] for name, old in self.heads.items()},
            # Rounding errors of different rounds are independent, so their variances add up.
            noise_std=mean.noise_std if self.replaced else math.hypot(self.noise_std, mean.noise_std),
        )

    def change(self, mean: MeanUpdate) -> MeanUpdate:
        """See ``SharedState.change``."""
        if not self.replaced:
            return mean
        return replace(
            mean, weights={name: _less(mean.weights[name], old) for name, old in self.weights.items()}
        )

    def _advanced(self, old: Matrix | Decomposition, mean: Matrix | Factors) -> Matrix | Decomposition:
        if not self.replaced:
            return _added(old, mean, kept_rank=self.kept_rank)
        return decompose(mean).limited(self.kept_rank) if isinstance(mean, Factors) else mean.copy()

    def with_heads(self, heads: Mapping[str, Matrix]) -> GlobalState:
        """The state with other values of its heads, before the first round of training."""
        return replace(self, heads={name: heads[name].copy() for name in self.heads})

    def redistributed(self, rank: int, *, scaling: float) -> Adapter:
        """The best adapter of a client's own rank.

        Args:
            rank: r, at most every adapted weight's smaller side.
            scaling: the client's; see ``scaling``.

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
            rng=seeded_generator(self.seed, "redistribution", self.round_number, tensor.name),
            split=self.split,
        )


def _less(mean: Matrix | Factors, old: Matrix | Decomposition) -> Matrix | Factors:
    """``mean - old``, in factors if neither is a whole matrix."""
    if isinstance(mean, Factors) and isinstance(old, Decomposition):
        return Factors(
            np.concatenate([mean.left, -(old.left * old.singular)], axis=1),
            np.concatenate([mean.right, old.right], axis=0),
        )
    after, before = (value if isinstance(value, np.ndarray) else value.product() for value in (mean, old))
    return after - before


def _added(
    old: Matrix | Decomposition, change: Matrix | Factors, *, kept_rank: int | None
) -> Matrix | Decomposition:
    """``old + change``, decomposed if neither is a whole matrix."""
    if isinstance(old, Decomposition) and isinstance(change, Factors):
        left = np.concatenate([old.left * old.singular, change.left], axis=1)
        right = np.concatenate([old.right, change.right], axis=0)
        return decompose(Factors(left, right)).limited(kept_rank)
    # The start's rank is 0, which is a matrix of zeros.
    before, after = (value if isinstance(value, np.ndarray) else value.product() for value in (old, change))
    return before + after
