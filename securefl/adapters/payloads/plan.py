"""From a client's update to the integers of its contribution, and from their sum to the mean update.

The rule kept here: the number of integers, and what each means, follow from the federation file and the
round's number alone; nothing a client trained changes it.

    update -> payload -> times the own weight -> grid -> integers; in the first round, then the weight
    sums of integers -> grid -> divided by the first round's sum of weights, scaled -> payload -> mean update
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import numpy as np

from securefl.adapters.averaging import WEIGHED_ROUND, WeightSum, divide_by_weights, weight_steps
from securefl.adapters.frozen.basis import FrozenBasis, draw_basis, trained_side
from securefl.adapters.frozen.core import CoreBases, draw_core_bases
from securefl.adapters.grid import Grid, Integers, Span
from securefl.adapters.layout import Layout
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads import (
    BasisPayload,
    CorePayload,
    DensePayload,
    Payload,
    SegmentKind,
    SketchPayload,
)
from securefl.adapters.payloads.base import Segment, lay_out
from securefl.adapters.payloads.basis import basis_pieces
from securefl.adapters.payloads.core import core_pieces
from securefl.adapters.update import MeanUpdate, Update
from securefl.config.federation import PayloadName
from securefl.errors import ConfigError, ProtocolError, TrainingError

KEPT_RANKS, KEPT_SKETCHES = 8, 4
"""Directions of a weight that the global state keeps, in units of the largest rank, and at least of a sketch's.

Measured on least squares (256 x 256, four clients of ranks 2 to 8, 30 rounds, a common and an own goal of each client
with singular values from i^-0.5 to i^-2), beside a state that keeps everything: where both factors are trained, the
adapter of the largest rank differs by 1e-7 of its norm at most, and by 2e-3 with a quarter of the directions. Under
``basis``, whose random directions give flat spectra, it differs by 4e-4 to 0.14, and is as close to the goal or closer
(0.8877 of its norm away where the whole state is 0.8881 away).
"""
Frozen = FrozenBasis | CoreBases
"""What a round trains against: one frozen factor under ``basis``, two under ``core``."""


@dataclass(frozen=True, slots=True)
class EncodedContribution:
    """What a client is about to encrypt: integers that are made when they are asked for.

    Attributes:
        runs: Gives the D integers in order, in runs of int64 with magnitudes up to the grid's limit: V
            values, then in the first round the weight; the same ones at every call.
        saturated: Values that were clipped, by tensor, known once all runs have been taken; it depends on
            the client's data and stays with the client.
    """

    runs: Callable[[], Iterable[Integers]] = field(repr=False)
    saturated: dict[str, int] = field(repr=False, default_factory=dict)

    @property
    def integers(self) -> Integers:
        """All of them at once, (D,) int64."""
        return np.concatenate(list(self.runs()))


@dataclass(frozen=True, slots=True)
class RoundCodec:
    """How contributions of one round are encoded, and their sum decoded.

    Attributes:
        payload: The round's payload.
        grid: Its grid.
        samples_cap: The sample count from which on every client weighs the same.
        weighs: Whether its contributions carry the weights: those of the first round do.
        basis: What the round trains against under ``basis`` and ``core``, else None.
    """

    payload: Payload
    grid: Grid
    samples_cap: int
    weighs: bool
    basis: Frozen | None = None

    @property
    def length(self) -> int:
        """D, the integers of one contribution."""
        return self.payload.size + self.weighs

    def encode(
        self, update: Update, *, rank: int, samples: int, rng: np.random.Generator
    ) -> EncodedContribution:
        """A client's contribution.

        Args:
            update: What the client changed.
            rank: Its rank.
            samples: What it trained on; it leaves the client as the weight of its first contribution, and as the
                factor of its values.
            rng: Drives the stochastic rounding.

        Raises:
            ProtocolError: if the update is not one of this round's layout, rank and basis.
            TrainingError: if a value of the update is not finite.
            DataError: if there are no samples.
        """
        steps = weight_steps(samples, cap=self.samples_cap, limit=self.grid.limit)
        _check_finite(update)
        self.payload.encode(update, rank=rank)
        seed = rng.integers(1 << 63, size=2).tolist()
        saturated: dict[str, int] = {}

        def runs() -> Iterator[Integers]:
            # What the mean divides by is made of weights as they stand on the grid, so the values are multiplied
            # by that one.
            values = (run * (steps / self.grid.limit) for run in self.payload.encode(update, rank=rank))
            clipped = np.zeros(len(self.grid.spans), dtype=np.int64)
            yield from self.grid.quantised(values, rng=np.random.default_rng(seed), saturated=clipped)
            if self.weighs:
                yield np.array([steps], dtype=np.int64)
            saturated.update(self._by_tensor(clipped.tolist()))

        return EncodedContribution(runs, saturated)

    def weight_sum(self, sums: Integers) -> WeightSum:
        """The cohort's sum of weights, from the sums (D,) of its first contributions.

        Raises:
            ProtocolError: if this round carries none, the length is wrong, or it is no sum of weights.
        """
        self._check_length(sums)
        if not self.weighs:
            raise ProtocolError(
                "the first round's sum of weights is missing",
                hint="apply the rounds in their order, from the first one on",
            )
        return WeightSum(int(sums[-1]), limit=self.grid.limit, contributors=self._cohort)

    def decode(self, sums: Integers, *, weight_sum: WeightSum | None = None) -> MeanUpdate:
        """The mean update from the sums (D,) of the whole cohort's integers.

        Args:
            sums: Of every coordinate.
            weight_sum: The first round's, as the state holds it; None where ``sums`` are that round's own.

        Raises:
            ProtocolError: if the length is wrong; see ``weight_sum``.
        """
        self._check_length(sums)
        divisors = self._divisors(self.weight_sum(sums) if weight_sum is None else weight_sum)
        values = self.grid.dequantise(sums[: self.payload.size])
        divide_by_weights(values, segments=self.payload.segments, divisors=divisors)
        return self.payload.decode(values, noise_std=self._noise_std(divisors))

    @property
    def _cohort(self) -> int:
        """n: everybody is in the first partition."""
        return self.payload.partitions[0].owners

    def _check_length(self, sums: Integers) -> None:
        if sums.shape != (self.length,):
            raise ProtocolError(f"the aggregate has {sums.size} integers where {self.length} belong")

    def _divisors(self, weight_sum: WeightSum) -> tuple[float, ...]:
        """One for each partition; every member of the cohort is in every sum."""
        return tuple(weight_sum.divisor(partition.owners) for partition in self.payload.partitions)

    def _noise_std(self, divisors: Sequence[float]) -> float:
        """The largest standard deviation that rounding can leave in an adapter coordinate of the mean.

        Rounding a value with fraction f has variance f (1 - f) <= 1/4 in steps, independently for each owner.
        """
        largest = 0.0
        for segment, span in zip(self.payload.segments, self.grid.spans, strict=True):
            if segment.kind is SegmentKind.ADAPTER:
                owners = self.payload.partitions[segment.partition].owners
                std = math.sqrt(owners) / 2 * self.grid.step(span)
                largest = max(largest, std / divisors[segment.partition])
        return largest

    def _by_tensor(self, clipped: Iterable[int]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for segment, count in zip(self.payload.segments, clipped, strict=True):
            counts[segment.tensor] = counts.get(segment.tensor, 0) + count
        return counts


def _check_finite(update: Update) -> None:
    """Refuses before anything of it is sent what could not be put on a grid.

    Raises:
        TrainingError: naming the first tensor with a value that is not finite.
    """
    for name, factors in update.weights.items():
        if not (np.isfinite(factors.left).all() and np.isfinite(factors.right).all()):
            raise _not_finite(name)
    for name, head in update.heads.items():
        if not np.isfinite(head).all():
            raise _not_finite(name)


def _not_finite(name: str) -> TrainingError:
    return TrainingError(
        "the update holds values that are not finite", where=name, hint="lower the learning rate"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadPlan:
    """Everything that decides how an update becomes integers, from the federation file.

    Attributes:
        payload: The payload's name.
        layout: The federation's tensors.
        ranks: The cohort's ranks.
        bits: Width of an integer on the grid, sign included.
        adapter_bound: Largest magnitude of an entry of an update or of a LoRA factor in it, times its
            client's weight; the bounds of other coordinates follow from it (``Segment.scale``).
        head_bound: The same for a head's value.
        samples_cap: The sample count from which on every client weighs the same.
        seed: The federation's seed; it draws the frozen factors of ``basis`` and ``core``, and the test
            matrices of ``sketch``.
        sketch_rank: k of ``sketch``; None for twice the largest rank.

    Raises:
        ConfigError: if a rank exceeds a weight's smaller side.
    """

    payload: PayloadName
    layout: Layout
    ranks: RankTable
    bits: int
    adapter_bound: float
    head_bound: float
    samples_cap: int
    seed: int
    sketch_rank: int | None = None

    def __post_init__(self) -> None:
        largest = max(self.ranks.ranks)
        for tensor in self.layout.adapted:
            if largest > min(tensor.rows, tensor.columns):
                raise ConfigError(
                    f"rank {largest} does not fit a weight of {tensor.rows} x {tensor.columns}",
                    where=tensor.name,
                    hint=f"give no client a rank above {min(tensor.rows, tensor.columns)}",
                )

    def length(self, round_number: int) -> int:
        """D, the integers of one contribution: V values, and in the first round the weight.

        Under ``basis`` V may differ between odd and even rounds.
        """
        return sum(segment.size for segment in self.segments(round_number)) + self.weighs(round_number)

    def weighs(self, round_number: int) -> bool:
        """Whether contributions to a round carry the members' weights."""
        return round_number == WEIGHED_ROUND

    def segments(self, round_number: int) -> tuple[Segment, ...]:
        """What stands where in a contribution to a round, without drawing what it trains against."""
        match self.payload:
            case "dense":
                return DensePayload(self.layout, self.ranks).segments
            case "sketch":
                return self._sketch(round_number).segments
            case "basis":
                return lay_out(basis_pieces(self.layout, self.ranks, trained_side(round_number)))
            case "core":
                return lay_out(core_pieces(self.layout, self.ranks))
            case _:
                assert_never(self.payload)

    @property
    def kept_rank(self) -> int:
        """Most directions of a weight that the global state keeps; see ``KEPT_RANKS``."""
        sketched = self._sketch_rank if self.payload == "sketch" else 0
        return max(KEPT_RANKS * max(self.ranks.ranks), KEPT_SKETCHES * sketched)

    def update_rank(self, rank: int) -> int:
        """Rank of the update that a client of this rank trains and contributes."""
        return rank - self._surplus(rank)

    def personal_rank(self, rank: int) -> int:
        """Rank of the personal adapter: the client's own, and what of it the federation cannot sum.

        No more than the narrowest weight has room for.
        """
        widest = min(min(tensor.rows, tensor.columns) for tensor in self.layout.adapted)
        return min(rank + self._surplus(rank), widest)

    def for_round(self, round_number: int) -> RoundCodec:
        """Encoder and decoder of a round; this draws what ``basis`` and ``core`` train against."""
        shared, seed = self.ranks.shared_rank, self.seed
        match self.payload:
            case "dense":
                return self._codec(DensePayload(self.layout, self.ranks), round_number)
            case "sketch":
                return self._codec(self._sketch(round_number), round_number)
            case "basis":
                basis = draw_basis(self.layout, shared_rank=shared, seed=seed, round_number=round_number)
                return self._codec(BasisPayload(self.layout, self.ranks, basis), round_number, basis=basis)
            case "core":
                bases = draw_core_bases(self.layout, shared_rank=shared, seed=seed)
                return self._codec(CorePayload(self.layout, self.ranks, bases), round_number, basis=bases)
            case _:
                assert_never(self.payload)

    def _codec(self, payload: Payload, round_number: int, *, basis: Frozen | None = None) -> RoundCodec:
        bounds = {SegmentKind.ADAPTER: self.adapter_bound, SegmentKind.HEAD: self.head_bound}
        spans = tuple(
            Span(segment.size, bounds[segment.kind] * segment.scale) for segment in payload.segments
        )
        return RoundCodec(payload, Grid(self.bits, spans), self.samples_cap, self.weighs(round_number), basis)

    def _sketch(self, round_number: int) -> SketchPayload:
        return SketchPayload(
            self.layout, self.ranks, sketch_rank=self._sketch_rank, seed=self.seed, round_number=round_number
        )

    @property
    def _sketch_rank(self) -> int:
        """k, where the payload is ``sketch``."""
        return 2 * max(self.ranks.ranks) if self.sketch_rank is None else self.sketch_rank

    def _surplus(self, rank: int) -> int:
        """Mixed in every coordinate, or owned by too few: only the latter costs a client of its rank."""
        return self.ranks.surplus(rank) if self.payload in ("basis", "core") else 0
