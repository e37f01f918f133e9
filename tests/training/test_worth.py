"""A lead over the base counts by the rows that only one of the two has right."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.training.tasks.base import Metric
from securefl.training.worth import Comparison, chosen, compare, exact_p


def metric(value: float, loss: float, **more: bool) -> Metric:
    return Metric(name="figure", value=value, loss=loss, samples=5, **more)


def test_only_rows_that_one_of_the_two_has_right_count() -> None:
    adapter = np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    base = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
    assert compare(adapter, base) == Comparison(wins=2, losses=1)


def test_models_measured_on_other_rows_are_not_compared() -> None:
    with pytest.raises(ValueError, match="3 rows cannot be paired with 2"):
        compare(np.ones(3), np.ones(2))


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (3, 3, 1.0), (1, 9, 22 / 1024)],
)
def test_the_p_value_is_that_of_a_fair_coin(wins: int, losses: int, p: float) -> None:
    assert exact_p(wins, losses) == p


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_p_value_is_the_exact_sum_and_has_no_side(wins: int, losses: int) -> None:
    rows, fewer = wins + losses, min(wins, losses)
    tail = Fraction(2 * sum(comb(rows, count) for count in range(fewer + 1)), 2**rows)
    assert exact_p(wins, losses) == exact_p(losses, wins) == float(min(tail, Fraction(1)))


def test_many_rows_are_no_problem() -> None:
    assert exact_p(40_000, 41_000) < 1e-3 < exact_p(40_000, 40_100)


def test_rows_with_figures_are_compared_by_which_is_larger() -> None:
    adapter, base = np.array([-0.5, -2.0, -1.0]), np.array([-0.7, -1.5, -1.0])
    assert compare(adapter, base) == Comparison(wins=1, losses=1)


def test_the_better_of_equal_values_is_the_surer_one() -> None:
    scores = {"local": metric(0.8, 0.7), "global": metric(0.8, 0.6), "fused": metric(0.7, 0.1)}
    assert chosen(scores) == "global"


def test_where_smaller_is_better_the_smallest_value_is_chosen() -> None:
    scores = {
        "local": metric(12.0, 2.5, smaller_is_better=True),
        "global": metric(9.0, 2.2, smaller_is_better=True),
    }
    assert chosen(scores) == "global"
