"""From a client's update to the integers of its contribution, and from their sum to the mean update.

    update -> payload -> times the own weight -> grid -> integers; in the first round, then the weight
    (where the openings summed weights by class, rows of heads are multiplied and divided by their classes')
    sums of integers -> grid -> divided by the first round's sum of weights, scaled -> payload -> mean update

Each arrow is one call, on values that come in runs. Where clients are protected by noise (``protocol.client_noise``),
one mechanism stands in the place of weight and grid: the whole payload is clipped, rotated, put on its grid and noised
before it is cut into windows, and weights are equal.

    update -> payload -> mechanism -> integers
    sums of integers -> mechanism -> divided by the number of owners -> payload -> mean update

Three members' updates to the mean, nothing encrypted yet; weights are 50, 100 and 100 of a cap of 100 samples:

    >>> from securefl.adapters.layout import Layout, TensorKind, TensorSpec
    >>> from securefl.adapters.ownership import RankTable
    >>> layout = Layout((TensorSpec("head", 2, 3, TensorKind.HEAD),))
    >>> plan = PayloadPlan(
    ...     payload="dense", layout=layout, ranks=RankTable((2, 2, 2)), bits=16,
    ...     adapter_bound=1.0, head_bound=1.0, samples_cap=100, seed=7,
    ... )
    >>> codec, rng = RoundCodec.of(plan, 1), np.random.default_rng(0)
    >>> updates = [Update({}, {"head": np.full((2, 3), value)}) for value in (0.5, 0.25, -0.25)]
    >>> encoded = [
    ...     codec.encode(update, rank=2, samples=samples, rng=rng)
    ...     for update, samples in zip(updates, (50, 100, 100))
    ... ]
    >>> sums = sum(one.integers for one in encoded)
    >>> codec.length, sums.dtype
    (7, dtype('int64'))
    >>> codec.decode(sums).heads["head"].round(3)[0]
    array([0.1, 0.1, 0.1])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from securefl.adapters.frozen import Frozen
from securefl.adapters.frozen.learned import Learned
from securefl.adapters.layer_owners import restricted
from securefl.adapters.payloads import Payload, SegmentKind
from securefl.adapters.payloads.base import Vector
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.update import MeanUpdate, Update
from securefl.aggregation.class_weighting import ClassWeights, divide_by_class, weighted_by_class
from securefl.aggregation.grid import Grid, Integers, Span
from securefl.aggregation.layer_means import adapter_values, divide_by_owners, heads_weighted
from securefl.aggregation.weight_rule import WeightRule
from securefl.aggregation.weighting import WeightSum, divide_by_weights, weighted
from securefl.errors import ProtocolError, TrainingError
from securefl.protocol.client_noise import RoundNoise
from securefl.protocol.owner_rule import Contributors


@dataclass(frozen=True, slots=True)
class EncodedContribution:
    """Content of a contribution before encryption: integers that are made when they are asked for.

    Attributes:
        runs: Gives the D integers in order, in runs of int64 with magnitudes up to the grid's limit: V
            values, then what the round's kind asks for besides; the same ones at every call, and no caller writes to
            them.
        saturated: Values that were clipped, by tensor, known once all runs have been taken; it depends on
            the client's data and stays with the client. A norm above its cap is among them (``weight_rule``).
        weight: The own weight in its integers, in steps of 1 / limit; None where the round sums none.
    """

    runs: Callable[[], Iterable[Integers]] = field(repr=False)
    saturated: dict[str, int] = field(repr=False, default_factory=dict)
    weight: int | None = field(repr=False, default=None)

    @property
    def integers(self) -> Integers:
        """All of them at once, (D,) int64."""
        return np.concatenate(list(self.runs()))

    @classmethod
    def of_integers(
        cls, integers: Integers, saturated: Mapping[str, int] | None = None
    ) -> EncodedContribution:
        """A contribution that was encoded before, from its integers (D,)."""
        return cls(lambda: (integers,), dict(saturated or {}))

    def followed_by(self, *last: int) -> EncodedContribution:
        """The same contribution with more integers at its end."""
        return replace(self, runs=lambda: chain(self.runs(), [np.array(last, dtype=np.int64)]))


@dataclass(frozen=True, slots=True)
class RoundCodec:
    """Encoder of one round's contributions, and decoder of their sum.

    Attributes:
        payload: The round's payload.
        grid: Its grid.
        rule: The rule of the members' weights.
        weighs: Whether its contributions carry the weights: those of the first round do.
        frozen: What the round trains against; None where both factors are trained.
        noise: The mechanism in the place of weight and grid; None where clients are not protected.
    """

    payload: Payload
    grid: Grid
    rule: WeightRule
    weighs: bool
    frozen: Frozen | None = None
    noise: RoundNoise | None = None

    @classmethod
    def of(
        cls,
        plan: PayloadPlan,
        round_number: int,
        learned: Learned | None = None,
        noise: RoundNoise | None = None,
    ) -> RoundCodec:
        """The codec of a round; this draws what the round trains against. See ``PayloadPlan.for_round``."""
        made = plan.for_round(round_number, learned)
        spans = tuple(Span(segment.size, plan.bound(segment)) for segment in made.payload.segments)
        rule = WeightRule(plan.weights, plan.samples_cap, plan.norm_cap)
        return cls(made.payload, Grid(plan.bits, spans), rule, plan.weighs(round_number), made.frozen, noise)

    @property
    def length(self) -> int:
        """D, the integers of one contribution."""
        return self.payload.size + self.weighs

    def encode(
        self,
        update: Update,
        *,
        rank: int,
        samples: int,
        rng: np.random.Generator,
        weights: ClassWeights | None = None,
        trained: frozenset[str] | None = None,
        mean_steps: int | None = None,
    ) -> EncodedContribution:
        """A client's contribution.

        Args:
            update: What the client changed.
            rank: Its rank.
            samples: What it trained on; it leaves the client as the weight of its first contribution, and as the
                factor of its values.
            rng: Drives the stochastic rounding.
            weights: The member's weights by class, where an opening has summed them: then ``samples`` does not weigh.
            trained: The adapted weights that the client trains in this round, where layers have owners: all others are
                zeros, and these weigh 1. None where every client trains every weight.
            mean_steps: The cohort's mean weight, for a client that had no part in the sum of weights; None for one
                that had, or before that sum.

        Raises:
            ProtocolError: if the update is not one of this round's layout, rank and frozen factors.
            TrainingError: if a value of the update is not finite.
            DataError: if there are no samples, or more than the weights' rule allows.
        """
        _check_finite(update)
        if trained is not None:
            update = restricted(update, trained)
        if self.noise is not None:
            return self._noised(update, self.noise, rank=rank)
        own = self.rule.of(samples, update, limit=self.grid.limit)
        if mean_steps is not None:
            own = replace(own, steps=mean_steps)
        self.payload.encode(update, rank=rank)
        seed = rng.integers(1 << 63, size=2).tolist()
        saturated: dict[str, int] = {}

        def runs() -> Iterator[Integers]:
            plain = self.payload.encode(update, rank=rank)
            values = self._weighed(plain, steps=own.steps, weights=weights, layered=trained is not None)
            clipped = np.zeros(len(self.grid.spans), dtype=np.int64)
            yield from self.grid.quantise(values, rng=np.random.default_rng(seed), saturated=clipped)
            if self.weighs:
                yield np.array([own.steps], dtype=np.int64)
            saturated.update(self._by_tensor(clipped.tolist()) | own.clipped)

        return EncodedContribution(runs, saturated, own.steps if self.weighs else None)

    def _noised(self, update: Update, noise: RoundNoise, *, rank: int) -> EncodedContribution:
        """Integers with this member's share of the noise, drawn once: every attempt of the round sends the same ones.

        Another draw for the same update would be a second release, which nobody charged.
        """
        return EncodedContribution.of_integers(
            noise.encode(np.concatenate(list(self.payload.encode(update, rank=rank))))
        )

    def weight_sum(self, sums: Integers, contributors: int | None = None) -> WeightSum:
        """The sum of weights, from the sums (D,) of the first contributions.

        Args:
            sums: Of every coordinate.
            contributors: How many contributions are in them; None for the whole roster's.

        Raises:
            ProtocolError: if this round carries none, the length is wrong, or it is no sum of weights.
        """
        self._check_length(sums)
        members = self.everybody.members if contributors is None else contributors
        if self.rule.name == "equal":
            return WeightSum.equal(members, limit=self.grid.limit)
        if not self.weighs:
            raise ProtocolError(
                "the first round's sum of weights is missing",
                hint="apply the rounds in their order, from the first one on",
            )
        return WeightSum(int(sums[-1]), limit=self.grid.limit, contributors=members)

    def decode(
        self,
        sums: Integers,
        *,
        weight_sum: WeightSum | ClassWeights | None = None,
        contributors: Contributors | None = None,
    ) -> MeanUpdate:
        """The mean update from the sums (D,) of the survivors' integers; zeros where nobody contributed.

        Args:
            sums: Of every coordinate.
            weight_sum: The first round's, or the cohort's weights by class, as the member holds it; None where
                ``sums`` are the first round's own.
            contributors: Who is in the sums, by number; None for the whole roster, whose members train every layer.

        Raises:
            ProtocolError: if the length is wrong; see ``weight_sum``.
        """
        self._check_length(sums)
        who = self.everybody if contributors is None else contributors
        known = self.weight_sum(sums, who.members) if weight_sum is None else weight_sum
        divisors = _divisors(known, who)
        values = self._values(sums)
        over_owners = None if who.tensors is None else values.copy()
        if isinstance(known, ClassWeights):
            divide_by_class(
                values, segments=self.payload.segments, divisors=divisors, weights=known, contributors=who
            )
        else:
            divide_by_weights(values, segments=self.payload.segments, divisors=divisors)
        if who.tensors is None or over_owners is None:
            noise = self._noise_std(divisors, who)
            return self.payload.decode(values, noise_std=noise, owners=who.partitions)
        divide_by_owners(over_owners, segments=self.payload.segments, owners=who.tensors)
        adapters = adapter_values(self.payload.segments)
        values[:adapters] = over_owners[:adapters]
        return self.payload.decode(values, noise_std=self._noise_std_of_owners(who))

    def _values(self, sums: Integers) -> Vector:
        """The values (V,) of sums (D,), without the weight."""
        if self.noise is not None:
            return self.noise.decode(sums)
        return self.grid.dequantise(sums[: self.payload.size])

    def _weighed(
        self, runs: Iterable[Vector], *, steps: int, weights: ClassWeights | None, layered: bool
    ) -> Iterator[Vector]:
        """The values times the client's weights; where layers have owners, adapters' values as they are."""

        def weigh(plain: Iterable[Vector]) -> Iterator[Vector]:
            if weights is None:
                return weighted(plain, steps=steps, limit=self.grid.limit)
            return weighted_by_class(plain, segments=self.payload.segments, weights=weights)

        if not layered:
            return weigh(runs)
        return heads_weighted(runs, weigh=weigh, adapter_values=adapter_values(self.payload.segments))

    @property
    def everybody(self) -> Contributors:
        """The whole roster; all of it is in the first partition."""
        counts = tuple(partition.owners for partition in self.payload.partitions)
        return Contributors(counts[0], counts)

    def _check_length(self, sums: Integers) -> None:
        if sums.shape != (self.length,):
            raise ProtocolError(f"the aggregate has {sums.size} integers where {self.length} belong")

    def _noise_std(self, divisors: Sequence[float], who: Contributors) -> float:
        """The largest standard deviation that rounding and noise can leave in an adapter coordinate of the mean."""
        largest = 0.0
        for segment, span in zip(self.payload.segments, self.grid.spans, strict=True):
            if segment.kind is SegmentKind.ADAPTER:
                owners, divisor = who.partitions[segment.partition], divisors[segment.partition]
                std = self._sum_std(span, owners, members=who.members)
                largest = max(largest, std / divisor if owners else 0.0)
        return largest

    def _noise_std_of_owners(self, who: Contributors) -> float:
        """The same where a sum is divided by the number of its owners."""
        owners = who.tensors or {}
        return max(
            (
                self._sum_std(span, owners[segment.tensor], members=who.members) / owners[segment.tensor]
                for segment, span in zip(self.payload.segments, self.grid.spans, strict=True)
                if segment.kind is SegmentKind.ADAPTER and owners[segment.tensor]
            ),
            default=0.0,
        )

    def _sum_std(self, span: Span, owners: int, *, members: int) -> float:
        """Standard deviation of a sum's error in a coordinate: of its owners' rounding, or of all members' noise.

        Rounding a value with fraction f has variance f (1 - f) <= 1/4 in steps, independently for each owner.
        """
        if self.noise is not None:
            return self.noise.deviation(members)
        return math.sqrt(owners) / 2 * self.grid.step(span)

    def _by_tensor(self, clipped: Iterable[int]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for segment, count in zip(self.payload.segments, clipped, strict=True):
            counts[segment.tensor] = counts.get(segment.tensor, 0) + count
        return counts


def _divisors(weight_sum: WeightSum | ClassWeights, who: Contributors) -> tuple[float, ...]:
    """One for each partition; 0 where nobody contributed."""
    return tuple(weight_sum.divisor(owners) if owners else 0.0 for owners in who.partitions)


def _check_finite(update: Update) -> None:
    """Refuse before anything of it is sent what could not be put on a grid.

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
