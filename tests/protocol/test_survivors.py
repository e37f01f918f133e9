"""The rule by which survivors are proposed: admissible, found where few are at fault, and nobody evicts another."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from securefl.crypto.thresholds import largest_coalition, threshold
from securefl.protocol.survivors import choose_survivors, helpers

Case = tuple[int, frozenset[int], dict[int, frozenset[int]]]


@st.composite
def any_acknowledgements(draw: st.DrawFn) -> Case:
    """A cohort of 3 to 8 in which anybody refuses anybody, and anybody may have said nothing."""
    members = draw(st.integers(3, 8))
    indices = st.integers(0, members - 1)
    staged = draw(st.frozensets(indices))
    silent = draw(st.frozensets(indices, max_size=2))
    opened = {
        member: staged - draw(st.frozensets(indices, max_size=3))
        for member in range(members)
        if member not in silent
    }
    return members, staged & opened.keys(), opened


@st.composite
def few_at_fault(draw: st.DrawFn) -> Case:
    """A cohort of 4 to 8 in which few members refuse others or send packets that do not open.

    Few: c_max, and no more than a cohort can spare.
    """
    members = draw(st.integers(4, 8))
    everybody = frozenset(range(members))
    few = min(largest_coalition(members), members - threshold(members))
    faulty = draw(st.frozensets(st.integers(0, members - 1), max_size=few))
    opened = {
        member: everybody
        - draw(st.frozensets(st.sampled_from(sorted(everybody if member in faulty else faulty or {member}))))
        for member in range(members)
    }
    honest = everybody - faulty
    return (
        members,
        everybody,
        {m: s | (honest if m in honest else frozenset()) | {m} for m, s in opened.items()},
    )


def chosen(case: Case) -> tuple[int, ...] | None:
    members, committed, opened = case
    return choose_survivors(
        opened,
        committed=committed,
        threshold=threshold(members),
        max_colluders=largest_coalition(members),
        members=members,
    )


def admissible(case: Case) -> list[tuple[int, ...]]:
    """Every set of survivors that the round allows, by brute force."""
    members, committed, opened = case
    least = threshold(members)
    sizes = range(least, len(committed) + 1)
    sets = (each for size in sizes for each in combinations(sorted(committed), size))
    return [each for each in sets if len(helpers(each, opened)) >= least]


@given(any_acknowledgements())
def test_what_is_proposed_is_admissible(case: Case) -> None:
    survivors = chosen(case)
    assert survivors is None or survivors in admissible(case)


@given(any_acknowledgements())
def test_a_sender_that_too_many_refuse_is_left_out(case: Case) -> None:
    members, _, opened = case
    survivors = chosen(case) or ()
    for sender in survivors:
        refusals = sum(sender not in theirs for member, theirs in opened.items() if member != sender)
        assert refusals <= largest_coalition(members)


@given(few_at_fault())
@example(
    (
        7,
        frozenset(range(7)),
        {
            **dict.fromkeys(range(7), frozenset(range(7))),
            0: frozenset({0, 3, 5, 6}),
            2: frozenset({1, 2, 4, 5, 6}),
            3: frozenset({3, 4, 5, 6}),
        },
    )
)
def test_survivors_are_found_where_few_are_at_fault(case: Case) -> None:
    assert admissible(case)
    assert chosen(case) is not None


@given(any_acknowledgements())
def test_no_survivor_can_be_added_without_losing_a_helper_that_is_needed(case: Case) -> None:
    members, committed, opened = case
    survivors = chosen(case)
    if survivors is None:
        return
    by_rule = {
        s
        for s in committed
        if sum(s not in o for m, o in opened.items() if m != s) <= largest_coalition(members)
    }
    for sender in by_rule - set(survivors):
        larger = len(helpers((*survivors, sender), opened))
        assert larger < threshold(members) + (members > threshold(members) + 1)


def test_everybody_survives_where_all_packets_open() -> None:
    everybody = frozenset(range(7))
    assert chosen((7, everybody, dict.fromkeys(range(7), everybody))) == tuple(range(7))


@pytest.mark.parametrize("members", [4, 5])
def test_one_member_of_a_small_cohort_evicts_nobody(members: int) -> None:
    everybody = frozenset(range(members))
    opened = dict.fromkeys(range(members), everybody) | {1: everybody - {0}}
    assert chosen((members, everybody, opened)) == tuple(range(members))


def test_one_helper_more_than_t_is_preferred_in_a_larger_cohort() -> None:
    everybody = frozenset(range(8))
    # t is 6; with the packets of member 0 only six help, without them all.
    opened = dict.fromkeys(range(8), everybody) | {6: everybody - {0}, 7: everybody - {0}}
    assert chosen((8, everybody, opened)) == tuple(range(1, 8))


def test_too_few_that_committed_are_no_survivors() -> None:
    everybody = frozenset(range(4))
    assert chosen((4, frozenset({0, 1}), dict.fromkeys(range(4), everybody))) is None


def test_a_large_cohort_with_a_third_of_liars_ends_with_survivors() -> None:
    members, liars = 100, range(33)
    everybody = frozenset(range(members))
    honest = everybody - frozenset(liars)
    opened = {member: everybody for member in honest}
    opened |= {liar: everybody - frozenset(range(33 + liar, 33 + 2 * liar)) | {liar} for liar in liars}
    survivors = chosen((members, everybody, opened))
    assert survivors is not None
    assert len(helpers(survivors, opened)) >= threshold(members)
