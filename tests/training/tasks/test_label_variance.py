"""A member of few labels steps little in rounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.training.tasks.classification.label_variance import LEAST_STEP, step_factor_of

COHORT = np.array([0.5, 0.3, 0.2])
counts_of = st.lists(st.integers(0, 500), min_size=3, max_size=3).map(np.array)


@given(counts=counts_of)
def test_the_factor_is_the_part_of_the_cohorts_pairs_of_rows_that_differ_in_label(counts: np.ndarray) -> None:
    rows = np.repeat(np.arange(3), np.minimum(counts, 40))
    few = np.bincount(rows, minlength=3)
    differ = float(np.mean(rows[:, None] != rows[None, :])) if len(rows) else 0.0
    expected = min(1.0, max(LEAST_STEP, differ / (1 - (COHORT**2).sum())))
    assert step_factor_of(few, COHORT) == pytest.approx(expected)


def test_a_member_with_the_cohorts_own_mix_steps_in_full() -> None:
    assert step_factor_of(np.array([50, 30, 20]), COHORT) == pytest.approx(1.0)


def test_a_member_of_one_label_steps_least() -> None:
    assert step_factor_of(np.array([90, 0, 0]), COHORT) == LEAST_STEP


def test_in_a_cohort_of_one_label_everybody_steps_in_full() -> None:
    assert step_factor_of(np.array([90, 0, 0]), np.array([1.0, 0.0, 0.0])) == 1.0
