"""Sums by class: what every combination of the released coordinates tells of single members' rows.

The constants of a member are its numbers of rows by class. For each member some possible numbers are encoded, by the
code that sends them, and compared with the ones that it has: that gives one row for each released coordinate, how it
changes with each member's constants. A combination of rows that changes with no constant of most members tells of
those of the few others. Features are the same for all rows, and updates are zeros, so that whatever changes comes from
the numbers alone.

The cap divides the grid's limit, so that shares are exact on the grid: rounding would hide a relation that an attacker
may use all the same. Both kinds of members are tried, with fewer rows than the cap and with more. One with more weighs
1 as a whole, which is known to everybody who knows that it has more; so it always counts among those who are told of.

The controls send the numbers in other ways, and the same search finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from support.attempts import whole_outcome
from support.federations import TestFederation
from support.heads import CLASSES, WIDTH, HeadLearner, make_by_class

from securefl.adapters.head_statistics import HeadStatistics, class_shares, member_weight
from securefl.adapters.ownership import RankTable
from securefl.aggregation.class_weighting import ClassWeights
from securefl.errors import ProtocolError
from securefl.protocol.openings import Opening
from securefl.protocol.owner_rule import ClassHolders

from .test_constants import left_null_space

LIMIT = 32_767
CAP = 217
"""LIMIT is 217 times 151, and 1057 times 31."""
MANY = 1057
Counts = tuple[int, ...]
Sent = Callable[[Counts], np.ndarray]
"""Everything that a member contributes, one behind the other, by its rows of each class."""


class EvenLearner(HeadLearner):
    """A learner all whose features are alike: its means and its covariance are 8 in every place, the bound."""

    def feature_exponent(self) -> int:
        return 0

    def statistics(self, *, shared: np.ndarray, exponent: int) -> HeadStatistics:
        shares = class_shares(self.row_counts(), shared, samples_cap=CAP)
        weight = member_weight(shares, shared)
        means = np.repeat(8 * shares[:, None], WIDTH, axis=1)
        return HeadStatistics(shares, means, weight, np.full(WIDTH * (WIDTH + 1) // 2, 8 * weight))


def by_the_code(made: TestFederation, held: np.ndarray) -> Sent:
    """The contributions of a member to every opening, and to a round in which it changes nothing."""
    federation = made.federation
    bits = held.sum(axis=0)

    def sent(counts: Counts) -> np.ndarray:
        member = federation.roster[0]
        aggregation = made.aggregation(member.id)
        learner = EvenLearner(
            member.id, member.rank, scale=0.0, samples=1, federation=federation, counts=counts
        )
        own = np.array(counts) > 0
        # Where it holds one class more or less than it does, as many of the others hold it as can.
        holders = np.clip(bits, own, len(federation.cohort) - 1 + own)
        parts = []
        for number in range(federation.first_round, 2):
            integers = aggregation.prepare(learner, round_number=number).integers
            parts.append(integers)
            if number < 1:
                aggregation.apply(cohort_sums(number, integers, holders), whole_outcome(federation, number))
        return np.concatenate(parts)

    def cohort_sums(number: int, own: np.ndarray, holders: np.ndarray) -> np.ndarray:
        """Sums that are possible, so that the member goes on: of the holder bits those that there really are."""
        sums = own.copy()
        opening = federation.kind_of(number).opening
        if opening is Opening.HOLDERS:
            sums[:CLASSES] = holders
        elif opening is Opening.STATISTICS:
            shared = holders >= federation.plan.ranks.least_owners
            sums[:CLASSES] = np.where(shared, holders * (LIMIT // 2), 0)
        return sums

    return sent


def variants(counts: Counts, shared: np.ndarray, rng: np.random.Generator) -> list[Counts]:
    """Other rows that the member could have, of the classes that it holds."""
    rich = sum(np.where(shared, counts, 0)) > CAP
    drawn = [
        tuple(int(rng.integers(1, 200 if rich else 20)) * (count > 0) for count in counts) for _ in range(8)
    ]
    return [exact(each, shared, rich=rich) for each in drawn]


def flipped(counts: Counts) -> list[Counts]:
    """The same rows with one class more, or one less."""
    every = range(CLASSES)
    return [tuple(int(not n) if c == place else n for c, n in enumerate(counts)) for place in every]


def exact(counts: Counts, shared: np.ndarray, *, rich: bool) -> Counts:
    """The same with as many rows of one shared class more as make all shares exact on the grid."""
    inside = [place for place, count in enumerate(counts) if count and shared[place]]
    if not inside:
        return counts
    whole = sum(counts[place] for place in inside)
    more = MANY - whole if rich else (9 - whole) % 16
    return tuple(count + more * (place == inside[0]) for place, count in enumerate(counts))


Rows = list[list[list[Fraction]]]
"""For every coordinate, for every member: how it changes with each other variant of its rows."""


def changes(sent: Sent, table: Sequence[Counts], shared: np.ndarray, *, bits: int = 0) -> Rows:
    """Rows of all coordinates that change at all, equal ones once.

    Args:
        sent: Encodes a member's rows.
        table: All members' rows.
        shared: (C,).
        bits: How many coordinates are holder bits. Whoever holds a class may not have held it, and the other way
            round; the sums after the bits are those of the members that really hold it.
    """
    return changes_of([sent] * len(table), table, shared, bits=bits)


def changes_of(
    senders: Sequence[Sent], table: Sequence[Counts], shared: np.ndarray, *, bits: int = 0
) -> Rows:
    """The same where each member's part in the sums is its own."""
    rng = np.random.default_rng(1)
    columns = []
    for sent, counts in zip(senders, table, strict=True):
        base = sent(counts)
        found = [sent(other) - base for other in variants(counts, shared, rng)]
        for other in flipped(counts) if bits else []:
            change = sent(other) - base
            change[bits:] = 0
            found.append(change)
        columns.append(found)
    distinct = {
        tuple(tuple(int(part[index]) for part in member) for member in columns)
        for index in range(len(columns[0][0]))
    }
    return [
        [[Fraction(value) for value in member] for member in row]
        for row in sorted(distinct)
        if any(any(member) for member in row)
    ]


def told_of(rows: Rows, *, fewer_than: int, rich: Sequence[int] = ()) -> tuple[int, ...] | None:
    """The fewest members, the rich among them, on whose constants alone some combination of the rows depends."""
    members = len(rows[0])
    for size in range(1, fewer_than):
        for chosen in combinations(range(members), size):
            if not set(rich) <= set(chosen):
                continue
            outside = [
                tuple(value for place, member in enumerate(row) if place not in chosen for value in member)
                for row in rows
            ]
            for combination in left_null_space(outside):
                inside = zip(*([v for place in chosen for v in row[place]] for row in rows), strict=True)
                if any(sum(c * v for c, v in zip(combination, column, strict=True)) for column in inside):
                    return chosen
    return None


def cohort(table: Sequence[Counts]) -> tuple[TestFederation, list[Counts], np.ndarray, np.ndarray]:
    """A federation of so many members, their rows made exact, who holds what, and the shared classes."""
    made = make_by_class((4,) * len(table), scheme="none", payload="core", rounds=1)
    terms = made.federation.terms.model_copy(update={"samples_cap": CAP})
    made = replace(made, federation=replace(made.federation, terms=terms))
    held = np.array(table) > 0
    shared = held.sum(axis=0) >= RankTable((4,) * len(table)).least_owners
    rich = rich_of(table, shared)
    counts = [exact(own, shared, rich=place in rich) for place, own in enumerate(table)]
    return made, counts, held, shared


def rich_of(table: Sequence[Counts], shared: np.ndarray) -> list[int]:
    """Members with more rows of shared classes than the cap."""
    return [place for place, counts in enumerate(table) if sum(np.where(shared, counts, 0)) > CAP]


@st.composite
def tables(draw: st.DrawFn) -> list[Counts]:
    """Rows of 3 to 5 members by class; some of them have more than the cap, some classes few holders."""
    members = draw(st.integers(3, 5))
    rows = st.lists(st.integers(0, 12) | st.integers(100, 180), min_size=CLASSES, max_size=CLASSES)
    table = [tuple(draw(rows.filter(any))) for _ in range(members)]
    everybody = draw(st.integers(0, CLASSES - 1))
    return [tuple(max(n, c == everybody) for c, n in enumerate(counts)) for counts in table]


TABLE = [(9, 4, 0, 7, 1), (12, 0, 3, 8, 0), (5, 6, 0, 9, 0), (150, 130, 0, 120, 0)]
"""Classes 2 and 4 have one holder; the last member has more rows than the cap."""


@settings(max_examples=8, deadline=None)
@given(table=tables())
def test_no_combination_of_all_sums_tells_of_fewer_members_than_may_be_told_of(table: list[Counts]) -> None:
    made, counts, held, shared = cohort(table)
    rows = changes(by_the_code(made, held), counts, shared, bits=CLASSES + 1)
    assert rows, "without a constant in any sum nothing could be divided"
    least = RankTable((4,) * len(table)).least_owners
    assert told_of(rows, fewer_than=least, rich=rich_of(counts, shared)) is None


@st.composite
def tables_with_losses(draw: st.DrawFn) -> tuple[list[Counts], list[frozenset[int]]]:
    """Rows of 4 to 6 members by class, and who is missing in the statistics and in a round of training."""
    table = draw(tables().filter(lambda rows: len(rows) >= 4))
    lost = st.sets(
        st.integers(0, len(table) - 1), max_size=len(table) - RankTable((4,) * len(table)).threshold
    )
    return table, [frozenset(draw(lost)) for _ in range(2)]


@settings(max_examples=8, deadline=None)
@given(drawn=tables_with_losses())
def test_no_combination_of_sums_over_different_survivors_tells_of_fewer_members(
    drawn: tuple[list[Counts], list[frozenset[int]]],
) -> None:
    """Everybody answers the first opening; survivors that the owner rule refuses are no case."""
    table, lost = drawn
    made, counts, held, shared = cohort(table)
    federation = made.federation
    ids, holders = federation.cohort, np.where(shared, held.sum(axis=0), 0)
    rule = federation.owner_rule(1, classes=ClassHolders(holders, frozenset(ids)))
    for missing in lost:
        survivors = tuple(name for place, name in enumerate(ids) if place not in missing)
        try:
            rule.check(survivors, cohort=ids)
        except ProtocolError:
            reject()
    lengths = [federation.kind_of(number).total for number in range(federation.first_round, 2)]
    starts = np.cumsum([0, *lengths])
    gone = [frozenset[int](), lost[0], frozenset[int](), lost[1]]
    whole = by_the_code(made, held)

    def sent_by(place: int) -> Sent:
        def sent(own: Counts) -> np.ndarray:
            parts = whole(own)
            for start, stop, missing in zip(starts, starts[1:], gone, strict=False):
                parts[start:stop] *= place not in missing
            return parts

        return sent

    rows = changes_of([sent_by(place) for place in range(len(table))], counts, shared, bits=CLASSES + 1)
    least = federation.constants.least_owners
    assert told_of(rows, fewer_than=least, rich=rich_of(counts, shared)) is None


def test_statistics_that_are_summed_twice_tell_of_the_member_that_misses_one() -> None:
    """Control: the openings once over all members, and a second time over all but one."""
    _, counts, _, shared = cohort(TABLE)
    rows = changes_of(
        [
            lambda own, inside=place > 0: np.append(shares_of(own, shared), shares_of(own, shared) * inside)
            for place in range(len(TABLE))
        ],
        counts,
        shared,
    )
    assert told_of(rows, fewer_than=3) == (0,)


def test_holder_bits_and_shares_are_all_that_changes_with_a_members_rows() -> None:
    """All other released values are public multiples of the shares: no round repeats a constant."""
    made, counts, held, _ = cohort(TABLE)
    sent = by_the_code(made, held)(counts[0])
    bits, weights = sent[: CLASSES + 1], sent[CLASSES + 1 : 2 * CLASSES + 1]
    assert bits.tolist() == [1, 1, 0, 1, 1, 0]
    assert (weights > 0).tolist() == [True, True, False, True, False]
    openings = sum(made.federation.kind_of(number).total for number in range(-2, 1))
    assert not sent[openings:].any()


def shares_of(counts: Counts, shared: np.ndarray) -> np.ndarray:
    return ClassWeights.of(np.array(counts), shared, samples_cap=CAP, limit=LIMIT).steps


@pytest.mark.parametrize("holders", [1, 2])
def test_weights_of_a_class_with_too_few_holders_tell_of_them(holders: int) -> None:
    """Control: without the rule on holders, a class's sum is one of its few holders."""
    table = [TABLE[0], (12, 0, 0, 8, 2 if holders == 2 else 0), *TABLE[2:]]
    every = np.ones(CLASSES, dtype=bool)
    counts = [exact(own, every, rich=sum(own) > CAP) for own in table]
    rows = changes(lambda own: shares_of(own, every), counts, every)
    found = told_of(rows, fewer_than=3)
    assert found == tuple(range(holders))


def test_sample_counts_beside_shares_tell_of_the_rows_that_are_not_shared() -> None:
    """Control: the difference of the sum of all rows and of those by class is what few members hold beside them."""
    poor = [*TABLE[:3], (20, 3, 0, 2, 0)]
    _, counts, _, shared = cohort(poor)

    def sent(own: Counts) -> np.ndarray:
        return np.append(shares_of(own, shared), sum(own) * LIMIT // CAP)

    assert told_of(changes(sent, counts, shared), fewer_than=3) == (0, 1)
    assert told_of(changes(lambda own: shares_of(own, shared), counts, shared), fewer_than=3) is None


def test_two_functions_of_one_count_tell_of_the_members_on_whom_they_differ() -> None:
    """Control: shares by the member's rows beside counts with a cap of their own; only the last one is above any."""
    _, counts, _, shared = cohort(TABLE)

    def sent(own: Counts) -> np.ndarray:
        capped = [min(n, CAP) * LIMIT // CAP * held for n, held in zip(own, shared, strict=True)]
        return np.append(shares_of(own, shared), capped)

    assert told_of(changes(sent, counts, shared), fewer_than=3, rich=[3]) == (3,)
    shares = changes(lambda own: shares_of(own, shared), counts, shared)
    assert told_of(shares, fewer_than=3, rich=[3]) is None
