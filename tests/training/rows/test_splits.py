"""A deal gives every row to exactly one client, the same way each time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.seeding import seeded_generator
from securefl.errors import DataError
from securefl.training.rows.splits import (
    MIN_TEST_ROWS,
    MIN_TRAIN_ROWS,
    claims_in_turn,
    deal_by_column,
    deal_by_strata,
    deal_evenly,
    held_out_rows,
    hold_out,
)


def is_partition(parts, rows: int) -> bool:
    return sorted(np.concatenate(parts).tolist()) == list(range(rows))


@given(rows=st.integers(0, 200), clients=st.integers(1, 20), seed=st.integers(0, 2**40))
def test_an_even_deal_uses_every_row_once_in_parts_of_like_size(rows, clients, seed):
    parts = deal_evenly(rows, clients=clients, rng=np.random.default_rng(seed))
    assert is_partition(parts, rows)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(
    train=st.lists(st.sampled_from("abcde"), min_size=150, max_size=300),
    test=st.lists(st.sampled_from("abcdef"), min_size=40, max_size=80),
    alpha=st.sampled_from([0.3, 1.0, 100.0]),
    seed=st.integers(0, 2**40),
)
def test_a_dirichlet_deal_uses_every_row_once_and_leaves_nobody_empty(train, test, alpha, seed):
    train_parts, test_parts = deal_by_strata(train, test, clients=3, alpha=alpha, seed=seed)
    assert is_partition(train_parts, len(train))
    assert is_partition(test_parts, len(test))
    assert min(map(len, train_parts)) >= MIN_TRAIN_ROWS
    assert min(map(len, test_parts)) >= MIN_TEST_ROWS


def shares(labels, parts):
    """(labels, clients): how much of each label each client has."""
    column = np.array(labels)
    counts = np.array([[(column[part] == name).sum() for part in parts] for name in sorted(set(labels))])
    return counts / counts.sum(axis=1, keepdims=True)


def test_training_and_test_rows_are_dealt_by_the_same_proportions():
    train, test = ["a", "b", "c", "d"] * 500, ["d", "a", "c", "b"] * 250
    train_parts, test_parts = deal_by_strata(train, test, clients=4, alpha=0.5, seed=3)
    np.testing.assert_allclose(shares(train, train_parts), shares(test, test_parts), atol=0.01)


def test_a_small_alpha_makes_clients_unlike_and_a_large_one_alike():
    labels = ["a", "b", "c", "d"] * 500
    unlike = shares(labels, deal_by_strata(labels, None, clients=4, alpha=0.1, seed=3)[0])
    alike = shares(labels, deal_by_strata(labels, None, clients=4, alpha=500, seed=3)[0])
    assert unlike.max() > 0.8
    assert np.abs(alike - 0.25).max() < 0.08


def test_a_deal_follows_from_the_seed_alone():
    labels = ["a", "b", "c"] * 60
    deals = [deal_by_strata(labels, None, clients=3, alpha=0.5, seed=seed)[0] for seed in (5, 5, 6)]
    assert all(np.array_equal(one, other) for one, other in zip(deals[0], deals[1], strict=True))
    assert not all(np.array_equal(one, other) for one, other in zip(deals[0], deals[2], strict=True))


def test_a_dirichlet_deal_that_must_leave_somebody_empty_is_an_error():
    with pytest.raises(
        DataError, match="no Dirichlet split of 20 rows leaves each of 4 clients 8 training rows"
    ):
        deal_by_strata(["a", "b"] * 10, None, clients=4, alpha=0.5, seed=1)


def test_a_deal_by_column_gives_each_client_the_values_it_claims():
    parts = deal_by_column(["x", "y", "x", "z", "w"], claims=[("x",), ("y", "z")])
    assert [part.tolist() for part in parts] == [[0, 2], [1, 3]]


def test_unclaimed_values_are_dealt_in_turn_so_that_every_row_has_an_owner():
    cells = ["north", "south", "east", "west", "north"]
    claims = claims_in_turn(cells, clients=3)
    assert claims == (("east", "west"), ("north",), ("south",))
    assert is_partition(deal_by_column(cells, claims=claims), len(cells))


def test_fewer_column_values_than_clients_are_an_error():
    with pytest.raises(DataError, match="2 different values for 3 clients"):
        claims_in_turn(["x", "y", "x"], clients=3)


@given(rows=st.integers(2, 300), fraction=st.floats(0.01, 0.89))
def test_holding_out_parts_the_rows_and_leaves_both_sides_something(rows, fraction):
    kept, held = hold_out(np.arange(rows), fraction=fraction, rng=seeded_generator(1, "test"))
    assert is_partition([kept, held], rows)
    assert len(kept) >= 1
    assert len(held) >= 1
    assert abs(len(held) - rows * fraction) <= 1


def test_a_single_row_cannot_be_parted():
    with pytest.raises(DataError, match="1 rows cannot be parted"):
        hold_out(np.arange(1), fraction=0.5, rng=seeded_generator(1, "test"))


def held_by_label(labels, *, fraction, seed=1):
    """(all, held out) counts by label, and what is kept."""
    rng = seeded_generator(seed, "test")
    kept, held = hold_out(np.arange(len(labels)), fraction=fraction, rng=rng, strata=labels)
    assert is_partition([kept, held], len(labels))
    return Counter(labels), Counter(labels[row] for row in held), kept, held


@given(
    labels=st.lists(st.sampled_from("aaaabbbcde"), min_size=2, max_size=120),
    fraction=st.floats(0.01, 0.89),
    seed=st.integers(0, 2**40),
)
def test_a_stratified_hold_out_takes_of_every_label_its_share_up_to_one_row(labels, fraction, seed):
    sizes, taken, _, held = held_by_label(labels, fraction=fraction, seed=seed)
    assert len(held) == held_out_rows(len(labels), fraction)
    for label, size in sizes.items():
        assert abs(taken[label] - size * len(held) / len(labels)) <= 1


def test_every_label_is_in_both_parts_where_it_has_rows_enough():
    labels = [f"label-{number % 77}" for number in range(77 * 8)]
    sizes, taken, _, _ = held_by_label(labels, fraction=0.2)
    assert all(1 <= taken[label] <= 2 for label in sizes)


@pytest.mark.parametrize("seed", range(20))
def test_the_only_row_of_a_label_is_kept_while_others_can_give(seed):
    labels = ["a"] * 20 + ["b"] * 20 + [f"only-{number}" for number in range(5)]
    _, taken, _, _ = held_by_label(labels, fraction=0.2, seed=seed)
    assert set(taken) == {"a", "b"}


def test_labels_of_one_row_each_do_not_break_a_hold_out():
    labels = [f"only-{number}" for number in range(10)]
    _, taken, kept, held = held_by_label(labels, fraction=0.3)
    assert (len(kept), len(held), len(taken)) == (7, 3, 3)


def test_a_hold_out_follows_from_the_seed_alone():
    labels = ["a", "b", "c"] * 20
    held = [held_by_label(labels, fraction=0.25, seed=seed)[3].tolist() for seed in (5, 5, 6)]
    assert held[0] == held[1] != held[2]


def test_a_hold_out_parts_the_rows_that_it_is_given():
    rows = np.array([3, 5, 8, 13, 21, 34])
    kept, held = hold_out(rows, fraction=0.4, rng=seeded_generator(1, "test"), strata=["a", "b"] * 3)
    assert sorted([*kept.tolist(), *held.tolist()]) == rows.tolist()
    assert {rows.tolist().index(row) % 2 for row in held.tolist()} == {0, 1}
