"""The norm of a mean update is that of its matrices, and only growth without end is told from training."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.update import Factors, MeanUpdate
from securefl.adapters.update_norm import TIMES, runs_away, update_norm


def test_the_norm_is_that_of_all_weights_multiplied_out(rng: np.random.Generator) -> None:
    low = Factors(rng.normal(size=(40, 3)), rng.normal(size=(3, 25)))
    # More directions than the matrix has: QR's corner is then the smaller side.
    full = Factors(rng.normal(size=(6, 30)), rng.normal(size=(30, 9)))
    whole = rng.normal(size=(7, 5))
    mean = MeanUpdate(weights={"a": low, "b": full, "c": whole}, heads={"head": 1e9 * np.ones((3, 3))})
    wanted = math.hypot(*(np.linalg.norm(weight) for weight in (low.product(), full.product(), whole)))
    assert update_norm(mean) == pytest.approx(wanted, rel=1e-12)


def test_the_norm_of_a_wide_product_needs_no_matrix_of_its_size() -> None:
    # Multiplied out these would be 80 gigabytes.
    wide = Factors(np.ones((100_000, 1)), np.ones((1, 100_000)))
    assert update_norm(MeanUpdate(weights={"w": wide}, heads={})) == pytest.approx(1e5)


def test_a_mean_that_cancels_has_no_norm(rng: np.random.Generator) -> None:
    left, right = rng.normal(size=(20, 2)), rng.normal(size=(2, 20))
    zero = Factors(np.hstack([left, -left]), np.vstack([right, right]))
    assert update_norm(MeanUpdate(weights={"w": zero}, heads={})) < 1e-12


@pytest.mark.parametrize(
    "norms",
    [
        pytest.param([2.0, 2.5, 3.5, 4.5, 6.0], id="steady growth"),
        pytest.param(
            [2.7 * 1.01**number for number in range(500)], id="2.7 to 132 and further in 500 rounds"
        ),
        pytest.param([4.0, 1.0, 6.0, 1.5, 9.0, 2.2, 13.5, 3.4, 20.0], id="two sides in turn"),
    ],
)
def test_growth_without_end_is_found(norms: list[float]) -> None:
    assert any(runs_away(norms[: count + 1]) for count in range(len(norms)))


@pytest.mark.parametrize(
    "norms",
    [
        pytest.param([10.0, 8.0, 6.0, 4.0, 2.0, 1.0], id="falls with the rates"),
        pytest.param([1.0, 1.5, 1.8, 1.9, 1.95, 1.97, 1.98, 1.99], id="rises to a level"),
        pytest.param([5.0, 5.0, 5.0, 30.0, 5.0, 5.0, 5.0, 5.0], id="one high round"),
        pytest.param([5.0, 4.0, 20.0, 12.0, 11.0, 9.0], id="a jump that falls again"),
        pytest.param([6.0, 2.0, 6.1, 2.1, 6.2, 2.2, 6.3], id="two sides in turn"),
        pytest.param([1.0, 3.0, 5.0, 9.0], id="too few rounds to tell"),
        pytest.param([0.0] * 8, id="nothing moves"),
        pytest.param([], id="no round"),
    ],
)
def test_honest_norms_do_not_trip_it(norms: list[float]) -> None:
    assert not any(runs_away(norms[: count + 1]) for count in range(len(norms)))


@given(
    first=st.lists(st.floats(0.1, 10), min_size=2, max_size=2),
    later=st.lists(st.floats(0, 1), max_size=20),
)
def test_norms_within_twice_the_first_ones_never_trip_it(first, later) -> None:
    norms = first + [TIMES * max(first) * share for share in later]
    assert not runs_away(norms)


def tripped(noise: float, *, runs: int = 300) -> int:
    """How many of so many runs of 30 rounds at one level trip it."""
    rng = np.random.default_rng(0)
    norms = [list(5.0 * np.exp(rng.normal(0, noise, 30))) for _ in range(runs)]
    return sum(any(runs_away(run[: count + 1]) for count in range(len(run))) for run in norms)


def test_noise_around_a_level_does_not_trip_it() -> None:
    assert tripped(0.1) == 0
    assert tripped(0.2) <= 3
