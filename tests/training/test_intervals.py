"""Intervals are the textbooks': Wilson's of shares, percentiles of resamples, Agresti and Min's of paired shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from securefl.training.intervals import DRAWS, bootstrap, paired_reach, wilson

Z = 1.959963984540054


@given(st.integers(1, 3000), st.floats(0, 1))
def test_wilsons_interval_is_that_of_scipy(rows: int, share: float):
    hits = round(share * rows)
    expected = stats.binomtest(hits, rows).proportion_ci(confidence_level=0.95, method="wilson")
    assert wilson(hits, rows) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_hit_and_all_hits_leave_room_on_one_side_only():
    assert wilson(0, 20)[0] == 0.0
    assert 0.1 < wilson(0, 20)[1] < 0.2
    assert wilson(20, 20)[1] == 1.0


def test_the_bootstrap_is_that_of_scipy_but_for_the_draws():
    values = np.random.default_rng(1).exponential(size=80)
    found = bootstrap(lambda rows: {"mean": float(values[rows].mean())}, 80)["mean"]
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    width = expected.high - expected.low
    assert found == pytest.approx((expected.low, expected.high), abs=width / 10)


def test_the_same_rows_have_the_same_interval():
    values = np.random.default_rng(1).normal(size=30)
    first, second = (bootstrap(lambda rows: {"m": float(values[rows].mean())}, 30) for _ in range(2))
    assert first == second


def test_all_figures_of_a_resample_are_of_the_same_rows():
    drawn: list[tuple[int, ...]] = []

    def figures(rows: np.ndarray) -> dict[str, float]:
        drawn.append(tuple(rows))
        return {"first": float(rows[0]), "second": -float(rows[0])}

    found = bootstrap(figures, 10)
    assert len(drawn) == DRAWS
    assert {len(rows) for rows in drawn} == {10}
    assert found["first"] == pytest.approx(tuple(-end for end in reversed(found["second"])))


def test_an_interval_of_one_row_is_its_figure():
    assert bootstrap(lambda rows: {"share": 1.0}, 1) == {"share": (1.0, 1.0)}


def test_the_paired_interval_is_agresti_and_mins():
    # 12 rows that one model alone has right, 5 that the other has, of 100: half a row more in each of four cells.
    wins, losses, rows = 12.5, 5.5, 102
    deviation = np.sqrt((wins + losses) - (wins - losses) ** 2 / rows) / rows
    assert paired_reach(12, 5, 100) == pytest.approx(Z * deviation)


def test_rows_without_any_difference_still_have_an_interval():
    assert 0 < paired_reach(0, 0, 50) < paired_reach(0, 0, 20) < 0.2


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_wilsons_interval_covers_the_share_in_about_95_of_100_samples(share: float):
    hits = np.arange(61)
    inside = [low <= share <= high for low, high in (wilson(int(count), 60) for count in hits)]
    assert stats.binom.pmf(hits[inside], 60, share).sum() == pytest.approx(0.95, abs=0.03)
