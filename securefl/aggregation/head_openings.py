"""One member's side of the openings: what it answers to each, and what it knows once the sum is decrypted.

The rule kept here: what a member answers follows from its own rows and the sums before; what it decides, from the sums
and the federation file. So all members share the same classes, weights and start, to the last bit where it is a choice
and to rounding error where it is a head.

    holders      own row counts, exponent      ->  classes with enough holders; the cohort's exponent
    statistics   class weights, statistics     ->  everybody's divisors; candidates for the head's start
    trials       losses of the candidates      ->  the start

After the last of them ``begun`` tells the outcome, and the member's head source hears of it once. Sums are over the
survivors of each opening, who may be others every time; a member that was in none of them takes up the same sums.

A member knows its own part of each sum, so it also checks what is left for the others (``others``): a class that it
does not hold cannot have n holders, whatever bit another member sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.closed_form import HeadOpening
from securefl.adapters.head_space import MOST_EXPONENT
from securefl.adapters.head_starts import starts_of, statistics_width
from securefl.adapters.head_statistics import Flags
from securefl.adapters.seeding import seeded_generator
from securefl.aggregation.class_weighting import ClassWeights, HolderRange
from securefl.aggregation.cut import unsummed_statistics
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
from securefl.protocol.owner_rule import ClassHolders


class HeadOpenings:
    """A member's openings, one after the other.

    Args:
        federation: The pinned federation; it has openings.
        member: This member's id; with the federation's seed it draws the rounding.

    Attributes:
        weights: The sum of weights by class, known after the opening of statistics; None before.
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
        self._sent: dict[Opening, Integers] = {}
        self._holders: HolderSums | None = None
        self._counted: tuple[str, ...] = ()
        self._weighed: tuple[str, ...] = ()
        self._candidates: tuple[HeadOpening, ...] = ()
        self.weights: ClassWeights | None = None
        self.begun: HeadOpening | None = None

    def answer(self, opening: Opening, source: HeadSource) -> EncodedContribution:
        """This member's contribution to an opening.

        Raises:
            ProtocolError: if it is not its turn.
            SecureFLError: what the source raises, or what its answers break.
        """
        match opening:
            case Opening.HOLDERS:
                return self._whole(opening, self._holder_bits(source))
            case Opening.STATISTICS:
                return self._statistics(source)
            case Opening.TRIALS:
                losses = source.trial_losses(self._candidates)
                if losses.shape != (len(self._candidates),):
                    raise ProtocolError("there is not one validation loss for each start of the head")
                return self._whole(opening, loss_integers(losses, limit=self._codec.grid.limit))
            case Opening.GRADIENT:
                raise ProtocolError("gradients are no matter of the head")
            case _:
                assert_never(opening)

    def resume(self, opening: Opening, integers: Integers) -> None:
        """Take up an answer that was made before, from all of its integers."""
        classes = self._codec.classes
        self._sent[opening] = integers[:classes] if opening is Opening.STATISTICS else integers

    def take(
        self, opening: Opening, sums: Integers, *, survivors: Sequence[str], classes: Flags | None = None
    ) -> None:
        """Take up an opening's sums.

        Args:
            opening: The opening.
            sums: Over the survivors.
            survivors: U, ids.
            classes: (C,), true for classes that the opening's cohort may sum; known for that of statistics.

        Raises:
            ProtocolError: if they cannot be sums of this member's answer and so many others'.
        """
        own = self._sent.get(opening) if self._member in survivors else None
        match opening:
            case Opening.HOLDERS:
                self._take_holders(sums, own, survivors)
            case Opening.STATISTICS:
                self._take_statistics(sums, own, survivors, classes)
            case Opening.TRIALS:
                others = len(survivors) - (own is not None)
                most = others * self._codec.grid.limit
                check_others(sums, _or_nothing(own), least=0, most=most, others=others, what="trial losses")
                self.begun = self._candidates[least_loss(sums)]
            case Opening.GRADIENT:
                raise ProtocolError("gradients are no matter of the head")
            case _:
                assert_never(opening)

    @property
    def holders(self) -> ClassHolders | None:
        """Holders of every class that can be shared; None before their sum."""
        if self._holders is None:
            return None
        shared = self._holders.shared if self.weights is None else self.weights.shared
        return ClassHolders(np.where(shared, self._holders.holders, 0), frozenset(self._counted))

    def unsummed(self, opening: Opening, classes: Flags | None) -> Iterator[slice]:
        """Places of an answer's integers that a cohort may not sum; see ``cut``."""
        if opening is Opening.STATISTICS:
            yield from unsummed_statistics(classes, width=self._codec.width)

    def own_weights(self, source: HeadSource) -> ClassWeights:
        """This member's weights by class, for the rounds of training; the mean where it is not in their sum.

        Raises:
            ProtocolError: if the openings have not summed weights yet.
        """
        if self.weights is None:
            raise ProtocolError("the openings come before the first round of training")
        counts = self._counts(source)
        if self._member in self._weighed:
            return self._weights_of(counts).among(self.weights.shared)
        return self.weights.by_the_mean(counts > 0)

    def _take_holders(self, sums: Integers, own: Integers | None, survivors: Sequence[str]) -> None:
        part = np.zeros_like(sums) if own is None else own
        bits, exponents = slice(None, -1), slice(-1, None)
        others = len(survivors) - (own is not None)
        check_others(sums[bits], part[bits], least=0, most=others, others=others, what="holder bits")
        most = others * MOST_EXPONENT
        check_others(
            sums[exponents], part[exponents], least=-most, most=most, others=others, what="feature exponents"
        )
        least = self._federation.plan.ranks.least_owners
        self._holders = HolderSums.of(sums, members=len(survivors), least_holders=least)
        self._counted = tuple(survivors)

    def _counts(self, source: HeadSource) -> NDArray[np.int64]:
        counts = np.asarray(source.row_counts(), dtype=np.int64)
        if counts.shape != (self._federation.classes,) or (counts < 0).any():
            raise ModelError("the head's rows are not those of the federation's classes")
        return counts

    def _holder_bits(self, source: HeadSource) -> Integers:
        counts, asked = self._counts(source), self._codec.width > 0
        return holder_integers(counts, source.feature_exponent() if asked else 0)

    def _weights_of(self, counts: NDArray[np.int64]) -> ClassWeights:
        return ClassWeights.of(
            counts,
            self._known_holders().shared,
            samples_cap=self._federation.terms.samples_cap,
            limit=self._codec.grid.limit,
        )

    def _statistics(self, source: HeadSource) -> EncodedContribution:
        holders, weights = self._known_holders(), self._weights_of(self._counts(source))
        self._sent[Opening.STATISTICS] = weights.steps
        statistics = (
            source.statistics(shared=holders.shared, exponent=holders.exponent) if self._codec.width else None
        )
        number = self._federation.first_round + self._federation.openings.index(Opening.STATISTICS)
        # As in rounds of training: rounding hides nothing, and the integer twin must give the same integers.
        rng = seeded_generator(self._federation.terms.federation.seed, "rounding", number, self._member)
        return self._codec.encode(statistics, weights, rng=rng)

    def _take_statistics(
        self, sums: Integers, own: Integers | None, survivors: Sequence[str], classes: Flags | None
    ) -> None:
        holders, count, limit = self._known_holders(), self._codec.classes, self._codec.grid.limit
        shared = holders.shared if classes is None else holders.shared & classes
        within = self._range(holders, survivors)
        if own is not None:
            self._check_weights(sums[:count], np.where(shared, own, 0), shared, within, survivors)
        cohort = ClassWeights.of_sum(
            sums[:count], shared, holders=within, limit=limit, members=len(survivors)
        )
        self.weights, self._weighed = cohort, tuple(survivors)
        self._candidates = self._starts(sums[count:], holders, cohort)
        if len(self._candidates) == 1:
            self.begun = self._candidates[0]

    def _range(self, holders: HolderSums, survivors: Sequence[str]) -> HolderRange:
        """Bounds on the survivors that hold each class, from the holders among those whose bits were summed."""
        counted = frozenset(self._counted)
        missing, added = len(counted.difference(survivors)), len(set(survivors) - counted)
        return HolderRange(
            np.maximum(holders.holders - missing, 0),
            np.minimum(holders.holders + added, len(survivors)),
        )

    def _check_weights(
        self, sums: Integers, own: Integers, shared: Flags, within: HolderRange, survivors: Sequence[str]
    ) -> None:
        """Each of the other holders weighs 1 to the limit, and nobody weighs in a class that is not shared."""
        held = (own > 0).astype(np.int64)
        fewest = within.fewest - held * (self._member in self._counted)
        least = np.where(shared, np.maximum(fewest, 0), 0)
        most = np.where(shared, within.most - held, 0) * self._codec.grid.limit
        others = len(survivors) - 1
        check_others(sums, own, least=least, most=most, others=others, what="class weights")

    def _starts(self, sums: Integers, holders: HolderSums, cohort: ClassWeights) -> tuple[HeadOpening, ...]:
        terms, statistics = self._federation.terms, self._codec.decode(sums, cohort)
        starts = starts_of(
            terms.head,
            statistics,
            cohort.shared,
            layout=self._federation.layout,
            exponent=holders.exponent,
            seed=terms.federation.seed,
        )
        return tuple(HeadOpening(cohort.shared, start, statistics, holders.exponent) for start in starts)

    def _whole(self, opening: Opening, integers: Integers) -> EncodedContribution:
        """A contribution that nothing can be clipped of, and that is checked as a whole."""
        self._sent[opening] = integers
        return EncodedContribution.of_integers(integers)

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


def _or_nothing(own: Integers | None) -> Integers | int:
    return 0 if own is None else own
