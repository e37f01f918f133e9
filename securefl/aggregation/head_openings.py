"""One member's side of the openings: what it answers to each, and what it knows once the sum is decrypted.

The rule kept here: what a member answers follows from its own rows and the sums before; what it decides, from the sums
and the federation file. So all members share the same classes, weights and start, to the last bit where it is a choice
and to rounding error where it is a head.

    holders      own row counts, exponent      ->  classes with enough holders; the cohort's exponent
    statistics   class weights, statistics     ->  everybody's divisors; candidates for the head's start
    trials       losses of the candidates      ->  the start

After the last of them ``begun`` tells the outcome, and the member's head source hears of it once.

A member knows its own part of each sum, so it also checks what is left for the others (``others``): a class that it
does not hold cannot have n holders, whatever bit another member sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np

from securefl.adapters.closed_form import HeadOpening
from securefl.adapters.head_space import MOST_EXPONENT
from securefl.adapters.head_starts import starts_of, statistics_width
from securefl.adapters.seeding import seeded_generator
from securefl.aggregation.class_weighting import ClassWeights
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.grid import Integers
from securefl.aggregation.opening_sums import (
    HolderSums,
    StatisticsCodec,
    holder_integers,
    least_loss,
    loss_integers,
)
from securefl.aggregation.others import check_others
from securefl.aggregation.update_source import HeadSource
from securefl.errors import ModelError, ProtocolError
from securefl.protocol.federation import Federation
from securefl.protocol.openings import Opening


@dataclass(frozen=True, slots=True)
class ByClass:
    """Weights of a member and of its cohort, by class.

    Attributes:
        own: The member's.
        cohort: Their sum.
    """

    own: ClassWeights
    cohort: ClassWeights


class HeadOpenings:
    """A member's openings, one after the other.

    Args:
        federation: The pinned federation; it has openings.
        member: This member's id; with the federation's seed it draws the rounding.

    Attributes:
        weights: Known after the opening of statistics; None before.
        begun: Outcome, after the last opening; None before.
    """

    def __init__(self, federation: Federation, member: str) -> None:
        self._federation = federation
        self._member = member
        self._codec = StatisticsCodec(
            federation.classes,
            statistics_width(federation.terms.head, federation.layout),
            federation.terms.grid.precision_bits,
        )
        self._counts = np.zeros(0, dtype=np.int64)
        self._bits: Integers | None = None
        self._losses: Integers | None = None
        self._holders: HolderSums | None = None
        self._own: ClassWeights | None = None
        self._candidates: tuple[HeadOpening, ...] = ()
        self.weights: ByClass | None = None
        self.begun: HeadOpening | None = None

    def answer(self, opening: Opening, source: HeadSource) -> EncodedContribution:
        """This member's contribution to an opening.

        Raises:
            ProtocolError: if it is not its turn.
            SecureFLError: what the source raises, or what its answers break.
        """
        match opening:
            case Opening.HOLDERS:
                self._bits = self._holder_bits(source)
                return _whole(self._bits)
            case Opening.STATISTICS:
                return self._statistics(source)
            case Opening.TRIALS:
                losses = source.trial_losses(self._candidates)
                if losses.shape != (len(self._candidates),):
                    raise ProtocolError("there is not one validation loss for each start of the head")
                self._losses = loss_integers(losses, limit=self._codec.grid.limit)
                return _whole(self._losses)
            case _:
                assert_never(opening)

    def take(self, opening: Opening, sums: Integers) -> None:
        """Take up an opening's sums.

        Raises:
            ProtocolError: if they cannot be sums of this member's answer and so many others'.
        """
        match opening:
            case Opening.HOLDERS:
                self._take_holders(sums)
            case Opening.STATISTICS:
                self._take_statistics(sums)
            case Opening.TRIALS:
                self._take_losses(sums)
            case _:
                assert_never(opening)

    def own_weights(self) -> ClassWeights:
        """This member's weights by class, for the rounds of training.

        Raises:
            ProtocolError: if the openings have not summed weights yet.
        """
        if self.weights is None:
            raise ProtocolError("the openings come before the first round of training")
        return self.weights.own

    @property
    def _others(self) -> int:
        return len(self._federation.cohort) - 1

    def _take_holders(self, sums: Integers) -> None:
        own = self._contributed(self._bits)
        bits, exponents = slice(None, -1), slice(-1, None)
        others = self._others
        check_others(sums[bits], own[bits], least=0, most=others, others=others, what="holder bits")
        most = others * MOST_EXPONENT
        check_others(
            sums[exponents], own[exponents], least=-most, most=most, others=others, what="feature exponents"
        )
        least = self._federation.plan.ranks.least_owners
        self._holders = HolderSums.of(sums, members=others + 1, least_holders=least)

    def _take_losses(self, sums: Integers) -> None:
        own, most = self._contributed(self._losses), self._others * self._codec.grid.limit
        check_others(sums, own, least=0, most=most, others=self._others, what="trial losses")
        self.begun = self._candidates[least_loss(sums)]

    def _contributed(self, own: Integers | None) -> Integers:
        if own is None:
            raise ProtocolError(f"{self._member} did not contribute to the opening")
        return own

    def _holder_bits(self, source: HeadSource) -> Integers:
        counts = np.asarray(source.row_counts(), dtype=np.int64)
        if counts.shape != (self._federation.classes,) or (counts < 0).any():
            raise ModelError("the head's rows are not those of the federation's classes")
        self._counts = counts
        asked = self._codec.width > 0
        return holder_integers(counts, source.feature_exponent() if asked else 0)

    def _statistics(self, source: HeadSource) -> EncodedContribution:
        holders = self._known_holders()
        weights = ClassWeights.of(
            self._counts,
            holders.shared,
            samples_cap=self._federation.terms.samples_cap,
            limit=self._codec.grid.limit,
        )
        self._own = weights
        statistics = (
            source.statistics(shared=holders.shared, exponent=holders.exponent) if self._codec.width else None
        )
        number = self._federation.first_round + self._federation.openings.index(Opening.STATISTICS)
        # As in rounds of training: rounding hides nothing, and the integer twin must give the same integers.
        rng = seeded_generator(self._federation.terms.federation.seed, "rounding", number, self._member)
        return self._codec.encode(statistics, weights, rng=rng)

    def _take_statistics(self, sums: Integers) -> None:
        holders = self._known_holders()
        if self._own is None:
            raise ProtocolError(f"{self._member} did not contribute its statistics")
        classes, limit = self._codec.classes, self._codec.grid.limit
        self._check_weights(sums[:classes], self._own.steps, holders)
        cohort = ClassWeights.of_sum(
            sums[:classes], holders.shared, holders=holders.holders, limit=limit, members=self._others + 1
        )
        self.weights = ByClass(self._own, cohort)
        self._candidates = self._starts(sums[classes:], holders, cohort)
        if len(self._candidates) == 1:
            self.begun = self._candidates[0]

    def _check_weights(self, sums: Integers, own: Integers, holders: HolderSums) -> None:
        """Each of the other holders weighs 1 to the limit, and nobody weighs in a class that is not shared."""
        least = np.where(holders.shared, holders.holders - (own > 0), 0)
        most = least * self._codec.grid.limit
        check_others(sums, own, least=least, most=most, others=self._others, what="class weights")

    def _starts(self, sums: Integers, holders: HolderSums, cohort: ClassWeights) -> tuple[HeadOpening, ...]:
        terms, statistics = self._federation.terms, self._codec.decode(sums, cohort)
        starts = starts_of(
            terms.head,
            statistics,
            holders.shared,
            layout=self._federation.layout,
            exponent=holders.exponent,
            seed=terms.federation.seed,
        )
        return tuple(HeadOpening(holders.shared, start, statistics, holders.exponent) for start in starts)

    def _known_holders(self) -> HolderSums:
        if self._holders is None:
            raise ProtocolError("the holder bits have not been summed yet")
        return self._holders


def head_source(learner: object) -> HeadSource:
    """The learner, if it can answer the openings.

    Raises:
        ModelError: if it cannot.
    """
    if not isinstance(learner, HeadSource):
        raise ModelError(
            "this federation averages the head by classes, which this member's learner knows nothing of",
            hint='set rows = "together" and start = "zeros" in [head]',
        )
    return learner


def _whole(integers: Integers) -> EncodedContribution:
    """A contribution that nothing can be clipped of."""
    return EncodedContribution(lambda: (integers,))
