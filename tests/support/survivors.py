"""Rounds of a federation whose cohorts and survivors a test chooses: integers are added, nothing is encrypted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.outcome import Outcome
from securefl.aggregation.update_source import UpdateSource
from securefl.crypto.thresholds import threshold
from support.federations import TestFederation

Ids = tuple[str, ...]


class ChosenRounds:
    """All members of a federation, and rounds over those that a test names.

    Args:
        made: The federation.
        learners: One for each member.
        losses: Validation loss of the start of a round at a member, by (round, member); for early stopping.
    """

    def __init__(
        self,
        made: TestFederation,
        learners: Mapping[str, UpdateSource],
        *,
        losses: Mapping[tuple[int, str], float] | None = None,
    ) -> None:
        self.made = made
        self.learners = learners
        self.members: dict[str, MemberAggregation] = {
            member: made.aggregation(member) for member in made.federation.cohort
        }
        self.kept: list[tuple[Outcome, NDArray[np.int64]]] = []
        self._losses = losses or {}
        self._prepared: dict[tuple[int, str], EncodedContribution] = {}

    @property
    def roster(self) -> Ids:
        return self.made.federation.cohort

    def prepared(self, number: int, member: str) -> EncodedContribution:
        """A member's integers of a round, which all attempts use."""
        if (number, member) not in self._prepared:
            self._prepared[number, member] = self.members[member].prepare(
                self.learners[member], round_number=number, start_loss=self._losses.get((number, member))
            )
        return self._prepared[number, member]

    def sent(self, number: int, member: str, *, cohort: Ids) -> NDArray[np.int64]:
        """What a member encrypts for a cohort."""
        encoded = self.prepared(number, member)
        return self.members[member].within(encoded, round_number=number, cohort=cohort).integers

    def summed(self, number: int, *, cohort: Ids, survivors: Ids) -> NDArray[np.int64]:
        """The sum that a certified attempt has."""
        parts = [self.sent(number, member, cohort=cohort) for member in survivors]
        return np.sum(parts, axis=0, dtype=np.int64)

    def run(self, number: int, *, cohort: Ids | None = None, survivors: Ids) -> NDArray[np.int64]:
        """A round that everybody applies, whether in it or not."""
        everybody = cohort or self.roster
        sums = self.summed(number, cohort=everybody, survivors=survivors)
        outcome = Outcome(number, everybody, survivors, bytes([number % 256]) * 32)
        for member in self.members.values():
            member.apply(sums, outcome)
        self.kept.append((outcome, sums))
        return sums


def cohorts_of(roster: Sequence[str], *, min_clients: int) -> Iterator[Ids]:
    """Every cohort that a roster can have."""
    for size in range(min_clients, len(roster) + 1):
        yield from combinations(roster, size)


def survivors_of(cohort: Sequence[str]) -> Iterator[Ids]:
    """Every set of survivors that a cohort's threshold allows."""
    for size in range(threshold(len(cohort)), len(cohort) + 1):
        yield from combinations(cohort, size)


def without(roster: Iterable[str], *gone: str) -> Ids:
    """The members but for some."""
    return tuple(member for member in roster if member not in gone)
