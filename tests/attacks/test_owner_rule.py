"""Survivors that differ by one, or that a server would like to choose: what the owner rule lets through, tried whole.

All rosters of three to five members with a few ranks, all their cohorts, and all survivors that a threshold allows are
looked at; for classes all holdings that give the same numbers of holders. The controls are rules that look alike, and
the same search finds what they let through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, combinations_with_replacement, product

import numpy as np
import pytest
from support.federations import DrawnLearner, learners_of, make_federation
from support.heads import COUNTS, head_learners, make_by_class
from support.survivors import ChosenRounds, Ids, cohorts_of, survivors_of, without

from securefl.adapters.ownership import RankTable
from securefl.crypto.thresholds import RosterConstants, default_min_clients, threshold
from securefl.errors import ProtocolError
from securefl.protocol.owner_rule import ClassHolders, OwnerRule, single_partition

from .test_constants import Row, isolated, left_null_space

Judge = Callable[[OwnerRule, Ids, Ids], bool]
"""Whether survivors of a cohort are let through."""


def accepted(rule: OwnerRule, survivors: Ids, cohort: Ids) -> bool:
    try:
        rule.check(survivors, cohort=cohort)
    except ProtocolError:
        return False
    return True


def rosters() -> Iterator[OwnerRule]:
    for size in (3, 4, 5):
        constants = RosterConstants.of(size, min_clients=default_min_clients(size))
        for ranks in combinations_with_replacement((2, 4, 8), size):
            table = RankTable(ranks, colluders=constants.max_colluders)
            ids = {f"client-{number}": rank for number, rank in enumerate(ranks)}
            yield OwnerRule(constants, ids, table.partitions)


def told_over_too_few(judge: Judge) -> bool:
    """True where a coordinate gets through whose survivors that own it are one to c_max + 1."""
    for rule in rosters():
        for cohort in cohorts_of(tuple(rule.ranks), min_clients=rule.constants.min_clients):
            summed = rule.summed(cohort).partitions
            for survivors in survivors_of(cohort):
                if not judge(rule, survivors, cohort):
                    continue
                for part, wanted in zip(rule.partitions, summed, strict=True):
                    owners = sum(rule.ranks[member] >= part.stop for member in survivors)
                    if wanted and 0 < owners < rule.constants.least_owners:
                        return True
    return False


def test_no_survivors_get_through_that_too_few_owners_are_among() -> None:
    assert not told_over_too_few(accepted)


def test_without_a_look_at_the_survivors_a_loss_leaves_too_few_owners() -> None:
    """Control: the cohort alone had enough of them."""
    assert told_over_too_few(lambda rule, survivors, cohort: True)


def test_some_losses_are_borne() -> None:
    """Else a rule that refuses every loss would pass."""
    rule = OwnerRule(
        RosterConstants.of(5, min_clients=4),
        {f"client-{number}": 4 for number in range(5)},
        RankTable((4,) * 5, colluders=1).partitions,
    )
    cohort = tuple(rule.ranks)
    assert all(accepted(rule, survivors, cohort) for survivors in survivors_of(cohort))


@pytest.mark.parametrize("payload", ["basis", "state", "core"])
def test_what_members_send_has_no_owner_or_enough_of_them(payload: str) -> None:
    """The same of the integers themselves."""
    ranks = (2, 4, 8, 8, 16)
    made = make_federation(ranks, payload=payload, scheme="none")
    learners = {m.id: DrawnLearner(m.id, m.rank, scale=0.5) for m in made.federation.roster}
    rounds = ChosenRounds(made, learners)
    rule = rounds.members["client-1"].owner_rule(1)
    segments = made.federation.plan.segments(1)
    for cohort in cohorts_of(rounds.roster, min_clients=made.federation.constants.min_clients):
        sent = {member: rounds.sent(1, member, cohort=cohort) for member in cohort}
        for survivors in survivors_of(cohort):
            if not accepted(rule, survivors, cohort):
                continue
            for segment in segments:
                inside = slice(segment.offset, segment.offset + segment.size)
                owners = sum(bool(sent[member][inside].any()) for member in survivors)
                assert owners == 0 or owners >= rule.constants.least_owners


def class_rules(size: int) -> Iterator[tuple[OwnerRule, tuple[frozenset[str], ...]]]:
    """For every number of holders: what everybody knows, and all holdings that it can come from."""
    constants = RosterConstants.of(size, min_clients=default_min_clients(size))
    ids = tuple(f"client-{number}" for number in range(size))
    for counted in survivors_of(ids):
        for holders in range(len(counted) + 1):
            rule = OwnerRule(
                constants,
                dict.fromkeys(ids, 4),
                single_partition(size),
                classes=ClassHolders(np.array([holders, len(counted)]), frozenset(counted)),
            )
            yield rule, tuple(frozenset(chosen) for chosen in combinations(counted, holders))


def class_told_over_too_few(size: int, judge: Judge) -> bool:
    """True where a class gets through that fewer than c_max + 2 of the survivors may hold."""
    for rule, holdings in class_rules(size):
        for cohort in cohorts_of(tuple(rule.ranks), min_clients=rule.constants.min_clients):
            shared = rule.summed(cohort).classes
            assert shared is not None
            for survivors in survivors_of(cohort):
                if not shared[0] or not judge(rule, survivors, cohort):
                    continue
                fewest = min(len(holders.intersection(survivors)) for holders in holdings)
                if fewest < rule.constants.least_owners:
                    return True
    return False


@pytest.mark.parametrize("size", [3, 4, 5, 6])
def test_no_survivors_get_through_that_too_few_holders_of_a_class_may_be_among(size: int) -> None:
    assert not class_told_over_too_few(size, accepted)


@pytest.mark.parametrize("size", [4, 5, 6])
def test_holders_counted_once_for_all_rounds_leave_too_few_when_one_is_missing(size: int) -> None:
    """Control: the rule of 0.2, whose classes are shared by the first count alone."""
    assert class_told_over_too_few(size, lambda rule, survivors, cohort: True)


def test_losses_of_a_common_class_are_borne() -> None:
    """A class that all hold, in a roster whose threshold bears losses: those are borne, one attempt and all."""
    ids = tuple(f"client-{number}" for number in range(16))
    constants = RosterConstants.of(16, min_clients=14)
    classes = ClassHolders(np.array([16]), frozenset(ids))
    rule = OwnerRule(constants, dict.fromkeys(ids, 4), single_partition(16), classes=classes)
    assert rule.summed(ids).losses == 16 - threshold(16)
    rule.check(ids[5:], cohort=ids)


def test_over_rounds_with_different_survivors_a_weight_stands_in_one_sum() -> None:
    """Members that change nothing, so that all that is not zero is a constant; the search is that of the others."""
    for gone in product(("", "client-1", "client-4"), repeat=3):
        made = make_federation((4, 4, 4, 4), payload="dense", scheme="none", rounds=3)
        learners = {m.id: DrawnLearner(m.id, 4, samples=37, scale=0.0) for m in made.federation.roster}
        rounds, rows = ChosenRounds(made, learners), {}
        for number, lost in enumerate(gone, start=1):
            survivors = without(rounds.roster, lost)
            parts = {m: rounds.sent(number, m, cohort=rounds.roster) for m in survivors}
            for index in np.flatnonzero(np.any(list(parts.values()), axis=0)):
                rows[number, int(index)] = tuple(int(m in parts) for m in rounds.roster)
            rounds.run(number, survivors=survivors)
        assert [number for number, _ in rows] == [1]
        assert isolated(rows, fewer_than=3, members=4) is None


def test_a_weight_in_every_round_tells_of_the_first_that_is_missing() -> None:
    """Control: everybody in round 1, one less in round 2; the difference of both sums is one weight."""
    rows: dict[tuple[int, int], Row] = {(1, 0): (1, 1, 1, 1), (2, 0): (1, 1, 1, 0)}  # type: ignore[dict-item]
    assert left_null_space([row[:3] for row in rows.values()])
    found = isolated(rows, fewer_than=3, members=4)
    assert found is not None
    assert found[0] == (3,)


@pytest.mark.parametrize("payload", ["dense", "sketch", "basis", "state", "core"])
def test_a_member_that_missed_the_sum_of_weights_sends_nothing_that_its_samples_change(payload: str) -> None:
    made = make_federation((4, 4, 4, 4), payload=payload, scheme="none", rounds=3)
    found = {}
    for missing in (True, False):
        for samples in (37, 80):
            learners = learners_of(made.federation)
            learners["client-4"].samples = samples
            rounds = ChosenRounds(made, learners)
            rounds.run(1, survivors=without(rounds.roster, "client-4" if missing else ""))
            found[missing, samples] = rounds.sent(2, "client-4", cohort=rounds.roster)
    assert np.array_equal(found[True, 37], found[True, 80])
    assert not np.array_equal(found[False, 37], found[False, 80])


def test_a_member_that_missed_the_statistics_sends_nothing_that_its_numbers_of_rows_change() -> None:
    """It tells which classes it holds, as its holder bits do, and no more."""
    made = make_by_class((4, 4, 4, 4, 4), scheme="none", payload="dense", rounds=3)
    found = {}
    for missing in (True, False):
        for rows in (1, 3):
            table = (*COUNTS, tuple(rows * count for count in COUNTS[0]))
            rounds = ChosenRounds(made, head_learners(made.federation, table))
            lost = "client-5" if missing else ""
            for number in range(-2, 1):
                rounds.run(number, survivors=without(rounds.roster, lost))
            found[missing, rows] = rounds.sent(1, "client-5", cohort=rounds.roster)
    assert np.array_equal(found[True, 1], found[True, 3])
    assert not np.array_equal(found[False, 1], found[False, 3])


def test_a_void_attempt_sends_the_same_integers_again() -> None:
    """Trained once: whatever cohort the next attempt has, what it sends is the same or zero."""
    made = make_federation((2, 4, 8, 16), payload="core", scheme="none")
    rounds = ChosenRounds(made, learners_of(made.federation))
    first = rounds.sent(1, "client-3", cohort=rounds.roster)
    again = rounds.sent(1, "client-3", cohort=without(rounds.roster, "client-4"))
    assert np.array_equal(again[again != 0], first[again != 0])
    assert (again == 0).sum() > (first == 0).sum()
    assert len(rounds.learners["client-3"].updates) == 1
