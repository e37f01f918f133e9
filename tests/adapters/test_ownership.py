from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.ownership import RankTable
from securefl.errors import ConfigError

tables = st.lists(st.integers(1, 64), min_size=3, max_size=60).map(lambda ranks: RankTable(tuple(ranks)))


@pytest.mark.parametrize(("clients", "threshold", "colluders"), [(3, 3, 1), (4, 3, 1), (16, 11, 5)])
def test_threshold_and_collusion_bound_are_those_of_the_design(
    clients: int, threshold: int, colluders: int
) -> None:
    table = RankTable((4,) * clients)
    assert (table.threshold, table.max_colluders) == (threshold, colluders)


@pytest.mark.parametrize(
    ("ranks", "shared"),
    [
        ((2, 4, 8, 16), 4),
        ((4, 4, 8, 16), 4),
        ((4, 8, 8, 8), 8),
        ((16, 8, 4, 2), 4),
        ((1, 1, 64), 1),
        ((8,) * 4, 8),
    ],
)
def test_the_shared_rank_is_what_enough_clients_own(ranks: tuple[int, ...], shared: int) -> None:
    assert RankTable(ranks).shared_rank == shared


@given(table=tables)
def test_no_coordinate_has_fewer_owners_than_a_coalition_leaves_two_of(table: RankTable) -> None:
    for partition in table.partitions:
        owners = sum(partition.owned_by(rank) for rank in table.ranks)
        assert owners == partition.owners
        assert owners >= table.max_colluders + 2


@given(table=tables)
def test_one_direction_more_would_have_too_few_owners(table: RankTable) -> None:
    owners = sum(rank > table.shared_rank for rank in table.ranks)
    assert owners < table.max_colluders + 2


@given(table=tables)
def test_partitions_cover_the_shared_rank_and_everybody_owns_the_first(table: RankTable) -> None:
    partitions = table.partitions
    assert [partition.start for partition in partitions] == [0, *(part.stop for part in partitions[:-1])]
    assert partitions[-1].stop == table.shared_rank
    assert partitions[0].owners == table.size


@given(table=tables)
def test_no_coalition_can_certify_two_sets_of_survivors(table: RankTable) -> None:
    assert 2 * table.threshold - table.max_colluders > table.size
    assert table.threshold - table.max_colluders >= 2


def test_a_part_of_a_partition_is_not_owned() -> None:
    _, upper = RankTable((2, 4, 8, 16)).partitions
    assert [upper.owned_by(rank) for rank in (2, 3, 4)] == [False, False, True]


@given(table=tables, rank=st.integers(1, 64))
def test_every_direction_of_a_client_is_shared_or_surplus(table: RankTable, rank: int) -> None:
    assert min(rank, table.shared_rank) + table.surplus(rank) == rank


@pytest.mark.parametrize("ranks", [(4, 4), (), (4, 4, 0)], ids=["two clients", "none", "rank 0"])
def test_a_cohort_that_cannot_be_summed_is_refused(ranks: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError):
        RankTable(ranks)
