"""Sums that repeat a member's constant: what every combination of the released coordinates tells of sample counts.

The weight of a member is its sample count on the grid. Members are given updates of zeros, so that whatever is not zero
in a contribution of theirs comes from that constant alone. That gives one row for each released coordinate: how much of
each member's constant is in it. Then every linear combination of the rows is looked at, over the rationals.

The controls send the weights as version 0.1.0 did, and the same search finds exact sample counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.federations import DrawnLearner, TestFederation, make_federation

from securefl.adapters.ownership import RankTable
from securefl.adapters.update import Factors, Update
from securefl.aggregation.weighting import weight_steps

PAYLOADS = ["dense", "sketch", "basis", "state", "core", "factors", "head-only"]
CAP, LIMIT = 100, 32_767
ROUNDS = 3

Row = tuple[Fraction, ...]
Sent = Callable[[int, int, int], np.ndarray]
"""A contribution's integers, by member's place, round and sample count."""


def sent_by_the_code(made: TestFederation) -> Sent:
    """What members send whose updates are zeros."""
    federation = made.federation

    def sent(place: int, number: int, samples: int) -> np.ndarray:
        member = federation.roster[place]
        aggregation = made.aggregation(member.id)
        learner = DrawnLearner(member.id, member.rank, scale=0.0)
        update = learner.learn(number, aggregation.start(), aggregation.frozen(number))
        if federation.terms.payload.name == "factors":
            update = _of_zeros(update, federation.plan.update_rank(member.rank))
        return aggregation.encode(update, round_number=number, samples=samples).integers

    return sent


def _of_zeros(update: Update, rank: int) -> Update:
    """The same update with factors of zeros: where whole factors are sent, a start is no change."""
    weights = {
        name: Factors(np.zeros((len(pair.left), rank)), np.zeros((rank, pair.right.shape[1])))
        for name, pair in update.weights.items()
    }
    return Update(weights=weights, heads=update.heads)


def sent_by_partition(ranks: RankTable) -> Sent:
    """The rule of 0.1.0: every round, the weight once for each rank partition that the member owns."""

    def sent(place: int, number: int, samples: int) -> np.ndarray:
        steps = weight_steps(samples, cap=CAP, limit=LIMIT)
        return np.array([steps * part.owned_by(ranks.ranks[place]) for part in ranks.partitions])

    return sent


def shares(sent: Sent, place: int, number: int) -> dict[int, Fraction]:
    """How often the member's weight stands in each coordinate of its contribution; where it does not, none."""
    found = []
    for samples in (37, 80):
        steps, integers = weight_steps(samples, cap=CAP, limit=LIMIT), sent(place, number, samples)
        found.append({int(i): Fraction(int(integers[i]), steps) for i in np.flatnonzero(integers)})
    assert found[0] == found[1], "a coordinate is no multiple of the weight"
    return found[0]


def released(sent: Sent, survivors: Sequence[Sequence[int]], *, members: int) -> dict[tuple[int, int], Row]:
    """For every coordinate of every round's sum that holds a constant: how much of each member's."""
    rows = {}
    for number, inside in enumerate(survivors, start=1):
        held = {place: shares(sent, place, number) for place in inside}
        for index in sorted(set().union(*held.values())):
            rows[number, index] = tuple(
                held[place].get(index, Fraction(0)) if place in held else Fraction(0)
                for place in range(members)
            )
    return rows


def left_null_space(rows: Sequence[Row]) -> list[list[Fraction]]:
    """Combinations of the rows that give zero, a basis of all of them, by elimination over the rationals."""
    work = [(list(row), [Fraction(int(i == j)) for j in range(len(rows))]) for i, row in enumerate(rows)]
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((entry for entry in work if any(entry[0]) and entry[0][column]), None)
        if pivot is None:
            continue
        work.remove(pivot)
        for values, used in work:
            factor = values[column] / pivot[0][column]
            values[:] = [a - factor * b for a, b in zip(values, pivot[0], strict=True)]
            used[:] = [a - factor * b for a, b in zip(used, pivot[1], strict=True)]
    return [used for values, used in work if not any(values)]


def isolated(
    rows: dict[tuple[int, int], Row], *, fewer_than: int, members: int
) -> tuple[tuple[int, ...], dict[tuple[int, int], Fraction]] | None:
    """The fewest members of whom alone some combination of the rows tells, and that combination."""
    keys = list(rows)
    for size in range(1, fewer_than):
        for chosen in combinations(range(members), size):
            others = [place for place in range(members) if place not in chosen]
            outside = [tuple(rows[key][place] for place in others) for key in keys]
            for combination in left_null_space(outside):
                told = [
                    sum(c * rows[key][place] for c, key in zip(combination, keys, strict=True))
                    for place in chosen
                ]
                if any(told):
                    return chosen, dict(zip(keys, combination, strict=True))
    return None


def counted(sent: Sent, survivors: Sequence[Sequence[int]], samples: Sequence[int]) -> tuple[int, int]:
    """One member's place, and the sample count that the released sums give away of it."""
    rows = released(sent, survivors, members=len(samples))
    found = isolated(rows, fewer_than=2, members=len(samples))
    assert found is not None
    (place,), combination = found
    weight, share = Fraction(0), Fraction(0)
    for (number, index), factor in combination.items():
        total = sum(int(sent(member, number, samples[member])[index]) for member in survivors[number - 1])
        weight += factor * total
        share += factor * rows[number, index][place]
    return place, round(weight / share * CAP / LIMIT)


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[tuple[int, ...], list[list[int]]]:
    """Ranks of a cohort, and who survives each round: at least the threshold."""
    ranks = tuple(draw(st.lists(st.integers(1, 16), min_size=3, max_size=7)))
    threshold = RankTable(ranks).threshold
    places = st.sets(st.integers(0, len(ranks) - 1), min_size=threshold)
    return ranks, [sorted(draw(places)) for _ in range(ROUNDS)]


@pytest.mark.parametrize("fraction", [1.0, 0.4])
@pytest.mark.parametrize("payload", PAYLOADS)
@settings(max_examples=10, deadline=None)
@given(cohort=cohorts())
def test_no_combination_of_sums_tells_of_fewer_members_than_may_be_told_of(
    payload: str, fraction: float, cohort: tuple[tuple[int, ...], list[list[int]]]
) -> None:
    ranks, survivors = cohort
    made = make_federation(ranks, rounds=ROUNDS, payload=payload, scheme="none", fraction=fraction)
    rows = released(sent_by_the_code(made), survivors, members=len(ranks))
    assert rows, "without a weight in any sum nothing could be divided"
    assert isolated(rows, fewer_than=RankTable(ranks).least_owners, members=len(ranks)) is None


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_constant_stands_in_one_coordinate_of_the_first_round_and_nowhere_else(payload: str) -> None:
    made = make_federation(rounds=ROUNDS, payload=payload, scheme="none")
    everybody = [range(4)] * ROUNDS
    rows = released(sent_by_the_code(made), everybody, members=4)
    assert list(rows.values()) == [(1, 1, 1, 1)]
    assert {number for number, _ in rows} == {1}


def test_weights_by_partition_gave_exact_sample_counts_in_one_round() -> None:
    """Control: ranks 2, 4, 8, 16; the sum over all less the sum over those of rank 4 and more is one member's."""
    sent = sent_by_partition(RankTable((2, 4, 8, 16)))
    assert counted(sent, [range(4)], (61, 83, 17, 99)) == (0, 61)


def test_a_weight_in_every_round_gave_a_sample_count_when_its_member_was_first_missing() -> None:
    """Control: everybody has one rank, so that there is one partition; the last member misses the second round."""
    sent = sent_by_partition(RankTable((4, 4, 4, 4)))
    assert counted(sent, [range(4), range(3)], (61, 83, 17, 99)) == (3, 99)
    with_all = released(sent, [range(4), range(4)], members=4)
    assert isolated(with_all, fewer_than=3, members=4) is None


@settings(max_examples=25, deadline=None)
@given(cohort=cohorts())
def test_the_search_finds_what_the_old_rule_gave_away_wherever_survivors_differ_by_one(
    cohort: tuple[tuple[int, ...], list[list[int]]],
) -> None:
    """Control of the search itself, on any ranks: with a weight in every round, one absence is enough."""
    ranks, _ = cohort
    members = len(ranks)
    survivors = [range(members), range(members - 1)]
    sent = sent_by_partition(RankTable(ranks))
    found = isolated(released(sent, survivors, members=members), fewer_than=2, members=members)
    assert found is not None
