"""A lead over the base counts by the rows that only one of the two has right."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.training.worth import Comparison, chosen, compare, exact_p


@dataclass(frozen=True)
class Score:
    accuracy: float
    loss: float


def test_only_rows_that_one_of_the_two_has_right_count() -> None:
    adapter = np.array([True, True, True, False, False])
    base = np.array([True, False, False, True, False])
    assert compare(adapter, base) == Comparison(wins=2, losses=1)


def test_models_measured_on_other_rows_are_not_compared() -> None:
    with pytest.raises(ValueError, match="3 rows cannot be paired with 2"):
        compare(np.ones(3, dtype=bool), np.ones(2, dtype=bool))


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


def test_the_better_of_equal_accuracies_is_the_surer_one() -> None:
    scores = {"local": Score(0.8, 0.7), "global": Score(0.8, 0.6), "fused": Score(0.7, 0.1)}
    assert chosen(scores) == "global"
