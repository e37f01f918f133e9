"""The global state under ``state``: both learned factors of one shared adapter of rank R, and the heads.

The rule kept here: what is carried of the factors from round to round comes from decoded integer sums by additions and
multiplications of single float64 numbers. IEEE 754 fixes the result of each of these, so every machine has the same
bits; no matrix product and no decomposition, whose bits depend on the machine's library, is part of it. Decompositions
only serve what a client measures and saves (``redistributed``).

The start: B is zero, and A has the entries +-1/sqrt(n), signs drawn from the seed. Rows then have length 1, as those of
``GlobalState.redistributed`` have, and two of them have a cosine of about 1/sqrt(n), as in LoRA's own random start.
They are not orthonormalised by a library, because the bits of that differ between machines; those of a generator's
integers, of a square root and of a division do not. Where factors are turned after every round (``aligned``), A starts
with orthonormal rows, and start and turns are made of such single operations too (``alignment``). Where rounds train A
alone, A is zero and B is drawn.

References: RoLoRA, arXiv 2502.01755; FFA-LoRA, arXiv 2403.12313; FedSVD, arXiv 2505.12805.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.alignment import aligned, orthonormal_start
from securefl.adapters.frozen.basis import Side, trained_side
from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.redistribution import redistribute
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Adapter, Factors, LoraFactors, Matrix, MeanUpdate
from securefl.config.trained_sides import IN_TURN, TrainedSides
from securefl.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class LearnedFactors:
    """The shared adapter after some rounds, in the same bits at every member.

    Attributes:
        layout: The federation's tensors.
        seed: The federation's seed; it draws the first A, and the directions that stand in for missing ones.
        round_number: Number of mean updates applied.
        weights: A (R, n) and B (m, R) of each adapted weight, whose change is ``B @ A``: no scaling is left to apply.
            The arrays cannot be written to.
        heads: The change of each head, (rows, columns).
        sides: Sides that rounds train.
        aligned: True where both factors are turned to their product's singular vectors after every round.
    """

    layout: Layout
    seed: int
    round_number: int
    weights: Mapping[str, LoraFactors]
    heads: Mapping[str, Matrix]
    sides: TrainedSides = IN_TURN
    aligned: bool = False

    @classmethod
    def start(
        cls,
        layout: Layout,
        *,
        shared_rank: int,
        seed: int,
        sides: TrainedSides = IN_TURN,
        aligned: bool = False,
    ) -> LearnedFactors:
        """Before the first round: no change anywhere.

        Args:
            layout: The federation's tensors; R must not exceed a weight's smaller side.
            shared_rank: R.
            seed: The federation's seed.
            sides: Sides that rounds train; where they train A alone, A starts at zero, and B is drawn.
            aligned: True where A starts with orthonormal rows, and both factors are turned after every round.
        """
        start = _start_of(sides, aligned=aligned)
        return cls(
            layout=layout,
            seed=seed,
            round_number=0,
            weights={tensor.name: start(tensor, shared_rank, seed) for tensor in layout.adapted},
            heads={tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in layout.heads},
            sides=sides,
            aligned=aligned,
        )

    @property
    def learned(self) -> Mapping[str, LoraFactors]:
        """Both factors of every weight."""
        return self.weights

    @property
    def learned_side(self) -> Side:
        """The factor that the next mean moves."""
        return trained_side(self.round_number + 1, sides=self.sides)

    def advanced(self, mean: MeanUpdate) -> LearnedFactors:
        """The state with one more mean update applied, or the step that ``outer`` has made of it.

        Args:
            mean: Factors of every weight, one of them this state's own frozen one; the other one is the step.

        Raises:
            ProtocolError: if a change is not against the frozen factor.
        """
        side = self.learned_side
        return replace(
            self,
            round_number=self.round_number + 1,
            weights={
                name: self._turned(_advanced(pair, mean.weights[name], side=side, where=name))
                for name, pair in self.weights.items()
            },
            heads={name: old + mean.heads[name] for name, old in self.heads.items()},
        )

    def change(self, mean: MeanUpdate) -> MeanUpdate:
        """See ``SharedState.change``: the mean itself."""
        return mean

    def with_heads(self, heads: Mapping[str, Matrix]) -> LearnedFactors:
        """The state with other values of its heads, before the first round of training."""
        return replace(self, heads={name: heads[name].copy() for name in self.heads})

    def redistributed(self, rank: int, *, scaling: float) -> Adapter:
        """The best adapter of a client's own rank: the shared one itself, to rounding, from rank R on.

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

    def _turned(self, pair: LoraFactors) -> LoraFactors:
        if not self.aligned:
            return pair
        A, B = aligned(pair.A, pair.B)
        return _fixed(A=A, B=B)

    def _factors(self, tensor: TensorSpec, rank: int, scaling: float) -> LoraFactors:
        pair = self.weights[tensor.name]
        return redistribute(
            Factors(pair.B, pair.A),
            rank=rank,
            scaling=scaling,
            # Rounds train against both factors, the grid's rounding included: it is part of the model here.
            noise_std=0.0,
            rng=seeded_generator(self.seed, "redistribution", self.round_number, tensor.name),
        )


def _start_of(sides: TrainedSides, *, aligned: bool) -> Callable[[TensorSpec, int, int], LoraFactors]:
    if sides.choice == "right":
        return random_left
    return _orthonormal_start if aligned else random_start


def random_start(tensor: TensorSpec, rank: int, seed: int) -> LoraFactors:
    """A weight's factors before the first round: A (rank, n), first rows alike for all ranks, and B of 0."""
    signs = _signs(tensor, rank, tensor.columns, seed)
    return _fixed(A=signs / math.sqrt(tensor.columns), B=np.zeros((tensor.rows, rank)))


def random_left(tensor: TensorSpec, rank: int, seed: int) -> LoraFactors:
    """A weight's factors where rounds train A alone: A of 0, and B (m, rank), whose entries are +-1/sqrt(rank).

    That is the usual deviation where B is drawn and A starts at zero ("Init[B]" of arXiv 2406.08447).
    """
    signs = _signs(tensor, rank, tensor.rows, seed)
    return _fixed(A=np.zeros((rank, tensor.columns)), B=signs.T / math.sqrt(rank))


def _signs(tensor: TensorSpec, rank: int, width: int, seed: int) -> NDArray[np.int64]:
    """Signs (rank, width) of a weight's drawn factor, one row a direction."""
    drawn = seeded_generator(seed, "shared-adapter", tensor.name).integers(0, 2, size=(rank, width))
    return drawn * 2 - 1


def _orthonormal_start(tensor: TensorSpec, rank: int, seed: int) -> LoraFactors:
    rng = seeded_generator(seed, "shared-adapter", tensor.name)
    return _fixed(A=orthonormal_start(rng, rank=rank, width=tensor.columns), B=np.zeros((tensor.rows, rank)))


def _advanced(pair: LoraFactors, change: Matrix | Factors, *, side: Side, where: str) -> LoraFactors:
    frozen = pair.A if side is Side.LEFT else pair.B
    given = change if not isinstance(change, Factors) else change.right if side is Side.LEFT else change.left
    if not (isinstance(change, Factors) and np.array_equal(given, frozen)):
        raise ProtocolError(
            "the mean update does not stand against the shared adapter's frozen factor",
            where=where,
            hint="decode a round's sums with the state that the round began with",
        )
    if side is Side.LEFT:
        return _fixed(A=pair.A, B=pair.B + change.left)
    return _fixed(A=pair.A + change.right, B=pair.B)


def _fixed(*, A: Matrix, B: Matrix) -> LoraFactors:
    A.setflags(write=False)
    B.setflags(write=False)
    return LoraFactors(A=A, B=B)
