"""Weights by class: one share a member and class, from which every divisor of a mean follows.

The rule kept here: the shares are added up once, in the opening of statistics, and nothing else that weighs is added
up anywhere. A row of a head is averaged by the shares of its class; a member as a whole, its adapters' coordinates and
its covariance, by (1 + 15 sum of its shares) / 16, or 1 for everybody where few classes are shared. Both are linear in
the shares with public constants, so that their sums follow from the sums of shares, and no member sends them.

    row c of every head       times r t_c / limit, r = max(1, C / 8); its sum divided by the sum of those
    all other coordinates     times (limit + 15 sum t) / (16 limit); their sums divided as ``weighting`` says

t are a member's shares in steps of 1 / limit, whole numbers; of a class that is not shared, or not held, t is 0, so
that its rows are zeros in every contribution, and stay what they are in every state.

Reference: ``adapters.head_statistics`` has the shares and the reason for a single one;
``tests/attacks/test_class_constants.py`` looks at all linear combinations of what is released.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.head_statistics import LEAST_PART, Flags, weighs_by_shares
from securefl.adapters.payloads.base import Segment, SegmentKind, Vector
from securefl.aggregation.grid import Integers
from securefl.aggregation.weighting import divide
from securefl.errors import DataError, ProtocolError
from securefl.protocol.owner_rule import Contributors

ROW_PARTS = 8
"""A row is multiplied by C / 8 times its share, so that an even share weighs 1 / 8: small factors waste the grid."""


@dataclass(frozen=True, slots=True, eq=False)
class HolderRange:
    """Bounds (C,) on how many members of a sum hold each class; equal where all whose bits were summed are in it."""

    fewest: NDArray[np.int64] = field(repr=False)
    most: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class ClassWeights:
    """Class shares of one member on the grid, or their sums over several.

    Attributes:
        steps: t (C,), in steps of 1 / limit; 0 for classes that are not shared.
        shared: (C,), true for classes that may enter sums.
        limit: The grid's largest integer.
        members: How many members' shares are in it.
        counted: Steps that the whole weight is made of; None where these are the sum of ``steps``.

    Guarantee:
        The sums of shares cover, for each class, all its holders, of whom there are at least c_max + 2, and all
        divisors are functions of them: a coalition with c of a class's holders learns the sum of the others' shares.
        Assumptions: members' holder bits are true (one that lies makes a class of too few holders look shared); a
        member makes one contribution to the opening; and who knows that a member has more rows than the cap knows that
        its shares add up to 1, so that this member counts as a colluder. Source: linear algebra over the rationals,
        ``tests/attacks/test_class_constants.py``.
    """

    steps: NDArray[np.int64] = field(repr=False)
    shared: Flags = field(repr=False)
    limit: int
    members: int = 1
    counted: int | None = None

    @classmethod
    def of(cls, counts: NDArray[np.integer], shared: Flags, *, samples_cap: int, limit: int) -> ClassWeights:
        """A member's weights from its rows of each class (C,): rounded to the nearest step, but never to nothing.

        Raises:
            DataError: if a count is negative, or there is not one for each class.
        """
        if counts.shape != shared.shape or (counts < 0).any():
            raise DataError(
                "the numbers of a member's rows by class are no counts of the federation's classes"
            )
        there = [int(count) if held else 0 for count, held in zip(counts, shared, strict=True)]
        whole = max(sum(there), samples_cap)
        steps = [max(1, round(Fraction(count * limit, whole))) if count else 0 for count in there]
        return cls(np.array(steps, dtype=np.int64), shared, limit)

    @classmethod
    def of_sum(
        cls, sums: Integers, shared: Flags, *, holders: HolderRange, limit: int, members: int
    ) -> ClassWeights:
        """The survivors' weights from the sums (C,) of their steps.

        Args:
            sums: Of the steps.
            shared: (C,), true for classes that may enter sums.
            holders: How many of the survivors hold each class.
            limit: The grid's largest integer.
            members: How many survivors there are.

        Raises:
            ProtocolError: if they cannot be sums of so many holders' steps, each from 1 to ``limit``.
        """
        least, most = np.where(shared, holders.fewest, 0), np.where(shared, holders.most, 0)
        if sums.shape != shared.shape or (sums < least).any() or (sums > most * limit).any():
            raise ProtocolError(
                "the sums of class weights are none of their holders' weights",
                hint="the aggregate is no sum of contributions, or a member sent what is no weight",
            )
        return cls(sums.astype(np.int64), shared, limit, members)

    def among(self, shared: Flags) -> ClassWeights:
        """The same weights where fewer classes are shared."""
        kept = self.shared & shared
        return replace(self, steps=np.where(kept, self.steps, 0), shared=kept)

    def by_the_mean(self, held: Flags) -> ClassWeights:
        """Weights of a member that is not in these sums: the mean of those that are, in the classes that it holds."""
        steps = [
            max(1, round(Fraction(int(total), self.members))) if total and own else 0
            for total, own in zip(self.steps, held, strict=True)
        ]
        whole = round(Fraction(int(self.steps.sum()), self.members))
        return replace(self, steps=np.array(steps, dtype=np.int64), members=1, counted=whole)

    @property
    def shares(self) -> Vector:
        """The shares (C,), or their sums, as they stand on the grid."""
        return self.steps / self.limit

    @property
    def rows(self) -> Vector:
        """Factors (C,) of a member's rows of a head, or their sums, which the rows' sums are divided by."""
        return max(1.0, len(self.steps) / ROW_PARTS) * self.shares

    @property
    def whole(self) -> Fraction:
        """Weight of a member as a whole, or the sum of members' weights."""
        if not weighs_by_shares(self.shared):
            return Fraction(self.members)
        counted = int(self.steps.sum()) if self.counted is None else self.counted
        steps = self.members * self.limit + (LEAST_PART - 1) * counted
        return Fraction(steps, LEAST_PART * self.limit)

    def divisor(self, contributors: int) -> float:
        """Divisor of a sum over so many contributors: their number times the mean weight; see ``WeightSum``.

        Raises:
            ProtocolError: if there are none.
        """
        if contributors < 1:
            raise ProtocolError("a rank partition of the aggregate has no contributor")
        return float(self.whole * contributors / self.members)


def weighted_by_class(
    runs: Iterable[Vector], *, segments: Sequence[Segment], weights: ClassWeights
) -> Iterator[Vector]:
    """Values times their member's weights: rows of heads by their classes', all others by the whole one.

    Args:
        runs: The V values in order, in runs of any length; left as they are.
        segments: What they belong to.
        weights: The member's.

    Raises:
        ProtocolError: if a head has not one row for each class.
    """
    whole, heads = float(weights.whole), _row_factors(segments, weights)
    place = 0
    for run in runs:
        values = run * whole
        for offset, factors in heads:
            first, last = max(place, offset), min(place + run.size, offset + factors.size)
            if first < last:
                inside = slice(first - place, last - place)
                np.multiply(run[inside], factors[first - offset : last - offset], out=values[inside])
        place += run.size
        yield values


def divide_by_class(
    sums: Vector,
    *,
    segments: Sequence[Segment],
    divisors: Sequence[float],
    weights: ClassWeights,
    contributors: Contributors,
) -> None:
    """Turn weighted sums (V,) into means, in place; rows that nobody weighs are zeros: they do not change.

    Args:
        sums: Decoded sums over the survivors.
        segments: Which coordinates belong to which partition or head.
        divisors: One for each partition, 0 where nobody contributed; heads have their own.
        weights: The one sum of weights; a row is divided by its class's, times survivors by members in that sum.
        contributors: The survivors, and the classes that are in their sum.

    Raises:
        ProtocolError: if a head has not one row for each class.
    """
    summed = weights if contributors.classes is None else weights.among(contributors.classes)
    ratio = contributors.members / weights.members
    heads = {place: ratio * factors for place, factors in _row_factors(segments, summed)}
    for segment in segments:
        values = sums[segment.offset : segment.offset + segment.size]
        if segment.kind is SegmentKind.HEAD:
            by = heads[segment.offset]
            np.divide(values, by, out=values, where=by > 0)
            values[by <= 0] = 0.0
        else:
            divide(values, divisors[segment.partition])


def _row_factors(segments: Sequence[Segment], weights: ClassWeights) -> list[tuple[int, Vector]]:
    """Place and factors of each head's values."""
    heads = [segment for segment in segments if segment.kind is SegmentKind.HEAD]
    if any(segment.shape[0] != len(weights.steps) for segment in heads):
        raise ProtocolError("a head has not one row for each class")
    return [(segment.offset, np.repeat(weights.rows, segment.shape[1])) for segment in heads]
