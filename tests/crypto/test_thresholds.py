"""Constants of rosters: one count of colluders that every cohort bears, checked over all rosters."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.ownership import RankTable
from securefl.crypto.thresholds import (
    MAX_COHORT,
    MIN_COHORT,
    RosterConstants,
    largest_coalition,
    threshold,
)
from securefl.errors import ConfigError, ProtocolError

ALL_COHORTS = range(MIN_COHORT, MAX_COHORT + 1)


@st.composite
def rosters(draw: st.DrawFn) -> RosterConstants:
    roster = draw(st.integers(MIN_COHORT, MAX_COHORT))
    return RosterConstants.of(roster, min_clients=draw(st.integers(MIN_COHORT, roster)))


@pytest.mark.parametrize(
    ("roster", "min_clients", "max_colluders", "min_honest"),
    [(16, 13, 4, 5), (100, 90, 30, 31), (3, 3, 1, 2), (4, 4, 1, 2), (16, 8, 3, 3), (7, 6, 2, 3)],
)
def test_the_constants_of_a_roster(
    roster: int, min_clients: int, max_colluders: int, min_honest: int
) -> None:
    constants = RosterConstants.of(roster, min_clients=min_clients)
    assert (constants.max_colluders, constants.min_honest) == (max_colluders, min_honest)
    assert constants.least_owners == max_colluders + 2


def test_the_largest_coalition_does_not_grow_with_the_cohort() -> None:
    coalitions = [largest_coalition(members) for members in ALL_COHORTS]
    assert any(later < earlier for earlier, later in itertools.pairwise(coalitions))


@pytest.mark.parametrize("min_clients", [3, 4, 5, 7, 13, 90, 333, 998])
def test_no_cohort_of_any_roster_lets_two_statements_be_certified(min_clients: int) -> None:
    least = MAX_COHORT
    for roster in range(min_clients, MAX_COHORT + 1):
        least = min(least, largest_coalition(roster))
        constants = RosterConstants.of(roster, min_clients=min_clients)
        assert constants.max_colluders == least
        assert 2 * threshold(roster) - roster - constants.max_colluders > 0
        assert threshold(roster) - constants.max_colluders >= constants.min_honest >= 2


@given(constants=rosters(), data=st.data())
def test_every_cohort_of_a_roster_bears_its_colluders(
    constants: RosterConstants, data: st.DataObject
) -> None:
    members = data.draw(st.integers(constants.min_clients, constants.roster))
    sizes = constants.cohort(members)
    assert 2 * sizes.threshold - members - constants.max_colluders > 0
    assert constants.min_honest <= sizes.packed
    assert 2 <= sizes.packed < sizes.threshold <= members
    assert (sizes.words - 1) * sizes.packed < 4096 <= sizes.words * sizes.packed


@given(constants=rosters())
def test_one_colluder_more_is_too_many_for_some_cohort(constants: RosterConstants) -> None:
    more = constants.max_colluders + 1
    cohorts = range(constants.min_clients, constants.roster + 1)
    assert any(2 * threshold(n) - n - more <= 0 or threshold(n) - more < 2 for n in cohorts)


def test_the_threshold_is_the_one_that_owners_are_counted_by() -> None:
    tables = {members: RankTable((1,) * members) for members in ALL_COHORTS}
    assert {n: (table.threshold, table.max_colluders) for n, table in tables.items()} == {
        n: (threshold(n), largest_coalition(n)) for n in ALL_COHORTS
    }


def test_fewer_colluders_may_be_asked_for() -> None:
    constants = RosterConstants.of(100, min_clients=90, max_colluders=10)
    assert (constants.max_colluders, constants.min_honest) == (10, 51)
    assert constants.cohort(100).words < RosterConstants.of(100, min_clients=90).cohort(100).words


def test_more_colluders_than_the_cohorts_bear_are_refused_with_the_number_that_they_do() -> None:
    with pytest.raises(
        ConfigError, match=r"13 to 16 clients bear, which is 4.*max_colluders.*write 4 or less"
    ):
        RosterConstants.of(16, min_clients=13, max_colluders=5)


@pytest.mark.parametrize("colluders", [0, -1])
def test_no_colluders_at_all_are_refused(colluders: int) -> None:
    with pytest.raises(ConfigError, match="a part of the others' keys"):
        RosterConstants.of(16, min_clients=13, max_colluders=colluders)


@pytest.mark.parametrize("min_clients", [0, 2, 17, 1000])
def test_a_smallest_cohort_outside_the_roster_is_refused_by_its_key(min_clients: int) -> None:
    with pytest.raises(ConfigError, match=r"\[federation\] min_clients.*from 3 to 16"):
        RosterConstants.of(16, min_clients=min_clients)


@pytest.mark.parametrize("roster", [0, 2, 1001])
def test_a_roster_that_no_threshold_protects_is_refused(roster: int) -> None:
    with pytest.raises(ConfigError, match=r"\[cohort\] clients"):
        RosterConstants.of(roster, min_clients=3)


@pytest.mark.parametrize("changed", [(16, 13, 5), (16, 2, 1), (2, 2, 1), (16, 13, 0)])
def test_constants_read_from_a_file_are_held_to_the_same_rules(changed: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError):
        RosterConstants(*changed)


@pytest.mark.parametrize("members", [8, 12, 17])
def test_a_cohort_outside_its_bounds_is_refused(members: int) -> None:
    constants = RosterConstants.of(16, min_clients=13)
    with pytest.raises(ProtocolError, match="13 to 16 members"):
        constants.cohort(members)
