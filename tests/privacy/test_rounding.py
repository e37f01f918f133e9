"""Rounding is unbiased up to its condition, and what it gives out is never longer than the sensitivity."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from securefl.errors import TrainingError
from securefl.privacy import integer_sensitivity
from securefl.privacy.noise_stream import NoiseStream
from securefl.privacy.rounding import require_norm, round_conditionally, squared_norm


def known(seed: int) -> NoiseStream:
    return NoiseStream(random.Random(seed).randbytes)


def flat(dimension: int, norm: float, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal(dimension)
    return values * (norm / np.linalg.norm(values))


@pytest.mark.parametrize(("dimension", "steps"), [(1, 1), (7, 3), (1000, 20), (1000, 500), (4096, 32)])
def test_rounded_integers_are_within_the_sensitivity(dimension: int, steps: int) -> None:
    bound = integer_sensitivity.squared_l2(clip_steps=steps, dimension=dimension)
    for seed in range(20):
        integers = round_conditionally(flat(dimension, steps, seed), squared_bound=bound, stream=known(seed))
        assert squared_norm(integers) <= bound


@pytest.mark.parametrize("worst", [0.5, 0.999])
def test_fractions_that_grow_most_are_drawn_again_until_they_fit(worst: float) -> None:
    # All coordinates between two integers: the whole norm comes from the fractions.
    dimension = 400
    values = np.full(dimension, worst)
    steps = int(np.ceil(np.linalg.norm(values)))
    bound = integer_sensitivity.squared_l2(clip_steps=steps, dimension=dimension)
    norms = [
        squared_norm(round_conditionally(values, squared_bound=bound, stream=known(s))) for s in range(200)
    ]
    assert max(norms) <= bound


def test_conditional_rounding_is_unbiased_within_its_error() -> None:
    values = flat(256, 32.0)
    bound = integer_sensitivity.squared_l2(clip_steps=32, dimension=256)
    stream, count = known(1), 4000
    mean = sum(round_conditionally(values, squared_bound=bound, stream=stream) for _ in range(count)) / count
    error = mean - values
    # A coordinate's standard error is at most 0.5 / sqrt(4000) = 0.008.
    assert np.abs(error).max() < 5 * 0.5 / np.sqrt(count)
    assert abs(float(error @ values) / float(values @ values)) < 0.005


def test_rounding_keeps_integers_as_they_are() -> None:
    values = np.array([3.0, -2.0, 0.0])
    assert round_conditionally(values, squared_bound=13, stream=known(1)).tolist() == [3, -2, 0]


def test_an_update_that_was_not_clipped_is_refused() -> None:
    with pytest.raises(TrainingError, match="longer than its clip"):
        round_conditionally(np.array([5.0, 0.0]), squared_bound=24, stream=known(1))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_values_that_cannot_be_rounded_are_refused(value: float) -> None:
    with pytest.raises(TrainingError, match="not finite, or was not clipped"):
        round_conditionally(np.array([value]), squared_bound=1 << 40, stream=known(1))


def test_the_norm_check_is_exact_at_its_bound() -> None:
    require_norm(np.array([3, 4]), squared_bound=25)
    with pytest.raises(TrainingError, match="sensitivity of the plan"):
        require_norm(np.array([3, 4]), squared_bound=24)


@pytest.mark.parametrize("value", [2**31, 2**32, -(2**62), 2**63 - 1, -(2**63)])
def test_the_norm_check_is_not_deceived_by_overflow(value: int) -> None:
    with pytest.raises(TrainingError, match="sensitivity of the plan"):
        require_norm(np.array([value, 0], dtype=np.int64), squared_bound=100)


@given(
    integers=arrays.arrays(np.int64, st.integers(0, 3000), elements=st.integers(-(2**26), 2**26)),
)
@settings(max_examples=60)
def test_squared_norms_are_exact(integers: np.ndarray) -> None:
    assert squared_norm(integers) == sum(int(x) ** 2 for x in integers)


@given(
    integers=st.lists(st.integers(-50, 50), min_size=1, max_size=60),
)
def test_no_integers_exceed_the_l1_bound(integers: list[int]) -> None:
    squared = sum(x * x for x in integers)
    assert sum(map(abs, integers)) <= integer_sensitivity.l1(squared=squared, dimension=len(integers))


@given(steps=st.integers(1, 10**6), dimension=st.integers(1, 10**6))
def test_the_integer_sensitivity_is_the_papers_bound_rounded_down(steps: int, dimension: int) -> None:
    root = dimension**0.5
    paper = min((steps + root) ** 2, steps**2 + dimension / 4 + steps + root / 2)
    assert integer_sensitivity.squared_l2(clip_steps=steps, dimension=dimension) == pytest.approx(
        paper, rel=1e-12, abs=1.0
    )
    assert integer_sensitivity.squared_l2(clip_steps=steps, dimension=dimension) <= paper * (1 + 1e-12)
