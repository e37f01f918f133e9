"""Integers of the openings, and their sums: holder bits, statistics, trial losses.

The rule kept here: all bounds and lengths are public and fixed beforehand. Holder bits and exponents are whole numbers
and sent as they are; statistics go onto the grid as updates do; losses are rounded to the nearest step. What is decided
from a sum is decided from its integers, so that every member decides the same.

    >>> import numpy as np
    >>> bits = [holder_integers(np.array(rows), exponent) for rows, exponent in (([5, 0], 1), ([1, 2], 2), ([4, 0], 2))]
    >>> found = HolderSums.of(sum(bits), members=3, least_holders=3)
    >>> found.holders, found.shared, found.exponent
    (array([3, 1]), array([ True, False]), 2)
    >>> losses = [loss_integers(np.array(values), limit=32767) for values in ([0.7, 0.4], [0.5, 0.9], [0.6, 0.3])]
    >>> least_loss(sum(losses))
    1
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.head_space import MOST_EXPONENT
from securefl.adapters.head_statistics import Flags, HeadStatistics
from securefl.adapters.payloads.base import Vector
from securefl.aggregation.class_weighting import ClassWeights
from securefl.aggregation.early_stopping import LOSS_BOUND
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.grid import Grid, Integers, Span
from securefl.errors import ProtocolError, TrainingError


def holder_integers(counts: NDArray[np.integer], exponent: int) -> Integers:
    """A member's holder bits, 1 where it has rows of a class, then its exponent: (C + 1,).

    Raises:
        TrainingError: if the exponent is out of its range.
    """
    if not -MOST_EXPONENT <= exponent <= MOST_EXPONENT:
        raise TrainingError(f"an exponent of features lies between -{MOST_EXPONENT} and {MOST_EXPONENT}")
    return np.append((counts > 0).astype(np.int64), np.int64(exponent))


@dataclass(frozen=True, slots=True, eq=False)
class HolderSums:
    """Outcome of the first opening.

    Attributes:
        holders: H (C,), how many members hold rows of each class.
        shared: (C,), true for classes of at least c_max + 2 holders.
        exponent: Mean of the members' exponents, to the nearest whole number, halves to the even one.

    Guarantee:
        The bits and exponents are in no other sum, and their sums are over all members, so that a coalition with c
        of them learns, of each class, how many of the other n - c hold it. Rows, weights and statistics of a class
        enter sums only if it has c_max + 2 holders, so that c_max colluders still face a sum of two. Assumption: the
        bits are true. A colluder can say 1 of a class that it does not hold, which the rule counts on. It can also
        send a larger number, and so have a class shared that a single member holds: that is found only where the sum
        leaves more holders than there are other members (``others``), which is always so in a cohort of three, and
        from four members on only where the sum reaches n. Source: the owner rule of ``adapters.ownership``;
        ``tests/attacks/test_class_constants.py``, ``tests/attacks/test_lying_bits.py``.
    """

    holders: NDArray[np.int64] = field(repr=False)
    shared: Flags = field(repr=False)
    exponent: int

    @classmethod
    def of(cls, sums: Integers, *, members: int, least_holders: int) -> HolderSums:
        """From the sums (C + 1,) over the survivors of the opening.

        Args:
            sums: Of bits, then of exponents.
            members: |U_0|, how many they are.
            least_holders: c_max + 2.

        Raises:
            ProtocolError: if they cannot be sums of so many members' bits and exponents.
        """
        holders, exponents = sums[:-1], int(sums[-1])
        if (holders < 0).any() or (holders > members).any() or abs(exponents) > members * MOST_EXPONENT:
            raise ProtocolError(
                "the sums of holder bits are none of the members' bits",
                hint="the aggregate is no sum of contributions, or a member sent what is no bit",
            )
        return cls(holders.copy(), holders >= least_holders, round(Fraction(exponents, members)))


@dataclass(frozen=True, slots=True)
class StatisticsCodec:
    """Encoder of a member's weights and statistics, and decoder of their sum.

    Attributes:
        classes: C.
        width: p of the statistics; 0 where none are asked for.
        bits: Width of an integer on the grid, sign included.
    """

    classes: int
    width: int
    bits: int

    @property
    def grid(self) -> Grid:
        """Grid of the statistics, a span a block."""
        blocks = HeadStatistics.bounds(self.classes, self.width)
        return Grid(self.bits, tuple(Span(block.values, block.bound) for block in blocks if block.values))

    def encode(
        self, statistics: HeadStatistics | None, weights: ClassWeights, *, rng: np.random.Generator
    ) -> EncodedContribution:
        """A member's contribution: its C class weights, then its K statistics times the weights as they are sent.

        Args:
            statistics: None where none are asked for.
            weights: The member's.
            rng: Drives the stochastic rounding.

        Raises:
            ProtocolError: if the statistics are of another size.
            TrainingError: if one of them is not finite.
        """
        packed = self._packed(statistics, weights)
        seed = rng.integers(1 << 63, size=2).tolist()
        saturated: dict[str, int] = {}

        def runs() -> Iterator[Integers]:
            yield weights.steps
            clipped = np.zeros(len(self.grid.spans), dtype=np.int64)
            if packed.size:
                yield from self.grid.quantise([packed], rng=np.random.default_rng(seed), saturated=clipped)
            saturated.update(statistics=int(clipped.sum()))

        return EncodedContribution(runs, saturated)

    def decode(self, sums: Integers, weights: ClassWeights) -> HeadStatistics:
        """The cohort's statistics from the sums (K,) behind those of the weights."""
        vector = self.grid.dequantise(sums) if self.grid.spans else np.zeros(0)
        return HeadStatistics.unpacked(
            vector, width=self.width, class_shares=weights.shares, weight=float(weights.whole)
        )

    def _packed(self, statistics: HeadStatistics | None, weights: ClassWeights) -> Vector:
        if statistics is None:
            return np.zeros(0)
        packed = statistics.reweighted(class_shares=weights.shares, weight=float(weights.whole)).packed()
        if packed.size != self.grid.size:
            raise ProtocolError(
                f"a member's statistics are {packed.size} values where {self.grid.size} belong"
            )
        if not np.isfinite(packed).all():
            raise TrainingError("the statistics hold values that are not finite", hint="check the base model")
        return packed


def loss_integers(losses: Vector, *, limit: int) -> Integers:
    """A member's losses (K,) of the candidates, in steps of ``LOSS_BOUND`` / limit.

    All members count the same: a factor for each, such as its validation rows, would be one more number of its data
    in a sum. Losses beyond the bound are brought within it by one factor, so that the order of the candidates stays.

    Raises:
        TrainingError: if a loss is negative or not finite.
    """
    if not (np.isfinite(losses).all() and (losses >= 0).all()):
        raise TrainingError("a candidate's validation loss is no finite number from 0", hint="check the data")
    within = losses * (LOSS_BOUND / max(LOSS_BOUND, float(losses.max(initial=0.0))))
    return np.rint(within / LOSS_BOUND * limit).astype(np.int64)


def least_loss(sums: Integers) -> int:
    """Number of the candidate with the least sum (K,) of losses; of equal ones the first."""
    return int(np.argmin(sums))
