"""The standard error is that of the figure it stands beside."""

import numpy as np
import pytest

from securefl.bench.quality.paired import Difference, difference, joint

ROWS = (245, 90, 30, 7)


@pytest.fixture
def scores() -> tuple[list[list[float]], list[list[float]]]:
    """Right and wrong of two adapters on the rows of four unequal clients."""
    rng = np.random.default_rng(3)
    ours = [(rng.random(rows) < 0.9).astype(float).tolist() for rows in ROWS]
    theirs = [(rng.random(rows) < 0.8).astype(float).tolist() for rows in ROWS]
    return ours, theirs


def test_the_standard_error_is_that_of_a_bootstrap_within_clients(
    scores: tuple[list[list[float]], list[list[float]]],
) -> None:
    ours, theirs = scores
    rng = np.random.default_rng(4)
    gaps = [np.subtract(one, other) for one, other in zip(ours, theirs, strict=True)]
    draws = np.mean([rng.choice(gap, (20_000, len(gap))).mean(axis=1) for gap in gaps], axis=0)
    # A bootstrap divides by n where a sample variance divides by n - 1.
    small = np.sqrt(
        sum(gap.var(ddof=0) / len(gap) for gap in gaps) / sum(gap.var(ddof=1) / len(gap) for gap in gaps)
    )
    found = difference(ours, theirs)
    assert found.error * small == pytest.approx(draws.std(), rel=0.03)
    assert found.mean == pytest.approx(draws.mean(), abs=0.003)


def test_clients_weigh_the_same_whatever_their_rows() -> None:
    found = difference([[1.0] * 9, [0.0]], [[0.0] * 9, [1.0]])
    assert found.mean == 0.0


def test_rows_are_paired() -> None:
    same = [[1.0, 0.0, 1.0, 0.0]]
    assert difference(same, same) == Difference(0.0, 0.0)
    assert difference(same, [[0.0, 1.0, 0.0, 1.0]]).error > 0


def test_a_client_with_one_row_takes_the_others_variance() -> None:
    alone = difference([[1.0, 0.0, 1.0], [1.0]], [[0.0, 0.0, 1.0], [0.0]])
    variance = np.var([1.0, 0.0, 0.0], ddof=1)
    assert alone.error == pytest.approx(np.sqrt(variance / 3 + variance) / 2)


@pytest.mark.parametrize(
    ("ours", "theirs"), [([], []), ([[1.0]], [[]]), ([[]], [[]]), ([[1.0]], [[1.0], [0.0]])]
)
def test_what_cannot_be_paired_is_refused(ours: list[list[float]], theirs: list[list[float]]) -> None:
    with pytest.raises(ValueError):
        difference(ours, theirs)


def test_a_bar_is_reached_within_two_standard_errors() -> None:
    found = Difference(-0.01, 0.005)
    assert found.reaches(0.0)
    assert not found.reaches(0.001)


def test_errors_of_one_data_set_go_together_and_those_of_two_do_not() -> None:
    one, other = Difference(0.02, 0.03), Difference(0.04, 0.05)
    together, apart = joint([[one, other]]), joint([[one], [other]])
    assert together.mean == apart.mean == pytest.approx(0.03)
    assert together.error == pytest.approx(0.04)
    assert apart.error == pytest.approx(np.hypot(0.03, 0.05) / 2)


def test_the_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError):
        joint([])
