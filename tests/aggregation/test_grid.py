from __future__ import annotations

import tracemalloc
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from securefl.aggregation.grid import CHUNK_VALUES, Grid, Span
from securefl.errors import ConfigError, ProtocolError, TrainingError

bounds = st.sampled_from([1e-3, 0.25, 1.0, 2.0, 1.7])
widths = st.integers(2, 24)


def quantised(grid: Grid, values: np.ndarray, seed: int = 0) -> tuple[np.ndarray, tuple[int, ...]]:
    saturated = np.zeros(len(grid.spans), dtype=np.int64)
    runs = list(grid.quantise([values], rng=np.random.default_rng(seed), saturated=saturated))
    return np.concatenate(runs), tuple(saturated.tolist())


@given(
    bits=widths,
    bound=bounds,
    values=arrays(np.float64, st.integers(1, 50), elements=st.floats(-4, 4)),
    seed=st.integers(0, 100),
)
def test_an_integer_is_within_the_limit_and_one_step_of_its_clipped_value(
    bits: int, bound: float, values: np.ndarray, seed: int
) -> None:
    grid = Grid(bits, (Span(values.size, bound),))
    integers, saturated = quantised(grid, values, seed)
    assert np.abs(integers).max() <= grid.limit
    error = np.abs(grid.dequantise(integers) - np.clip(values, -bound, bound))
    assert (error <= grid.step(grid.spans[0]) * (1 + 1e-9)).all()
    assert saturated == (int((np.abs(values) > bound).sum()),)


@given(bits=widths, bound=bounds, seed=st.integers(0, 1000))
def test_zero_and_the_bound_are_never_moved(bits: int, bound: float, seed: int) -> None:
    grid = Grid(bits, (Span(3, bound),))
    integers, saturated = quantised(grid, np.array([0.0, bound, -bound]), seed)
    assert integers.tolist() == [0, grid.limit, -grid.limit]
    assert saturated == (0,)


@pytest.mark.parametrize("fraction", [0.5, 0.1, 0.93])
def test_rounding_is_unbiased(fraction: float) -> None:
    count = 200_000
    grid = Grid(8, (Span(count, 127.0),))
    for value in (3 + fraction, -3 - fraction):
        integers, _ = quantised(grid, np.full(count, value))
        # Five standard errors of the mean of that many coins.
        margin = 5 * np.sqrt(fraction * (1 - fraction) / count)
        assert abs(integers.mean() - value) < margin


def test_neighbouring_values_are_rounded_independently() -> None:
    count = 100_000
    grid = Grid(8, (Span(count, 127.0),))
    up = quantised(grid, np.full(count, 0.5))[0].astype(float)
    assert abs(np.corrcoef(up[:-1], up[1:])[0, 1]) < 5 / np.sqrt(count)


def test_the_same_generator_gives_the_same_integers_whatever_the_spans() -> None:
    values = np.random.default_rng(1).normal(size=2 * CHUNK_VALUES + 17)
    whole = quantised(Grid(16, (Span(values.size, 1.0),)), values)[0]
    parts = quantised(Grid(16, (Span(1000, 1.0), Span(0, 1.0), Span(values.size - 1000, 1.0))), values)[0]
    assert np.array_equal(whole, parts)
    assert not np.array_equal(whole, quantised(Grid(16, (Span(values.size, 1.0),)), values, seed=1)[0])


def test_saturation_is_counted_for_each_span() -> None:
    grid = Grid(16, (Span(3, 1.0), Span(2, 2.0), Span(1, 0.5)))
    integers, saturated = quantised(grid, np.array([1.5, 1.0, -7.0, 1.5, -2.5, 0.4]))
    assert saturated == (2, 1, 0)
    assert integers[[0, 2, 4]].tolist() == [grid.limit, -grid.limit, -grid.limit]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(TrainingError):
        quantised(Grid(16, (Span(3, 1.0),)), np.array([0.0, value, 9.0]))


def test_the_values_are_left_as_they_were() -> None:
    values = np.random.default_rng(1).normal(size=100)
    before = values.copy()
    quantised(Grid(16, (Span(100, 0.5),)), values)
    assert np.array_equal(values, before)


def test_working_memory_does_not_grow_with_the_payload() -> None:
    values = np.zeros(16 * CHUNK_VALUES)
    grid = Grid(16, (Span(values.size, 1.0),))
    rng, saturated = np.random.default_rng(0), np.zeros(1, dtype=np.int64)
    tracemalloc.start()
    for _ in grid.quantise([values], rng=rng, saturated=saturated):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 8 * CHUNK_VALUES


@pytest.mark.parametrize(("bits", "bound"), [(1, 1.0), (33, 1.0), (16, 0.0), (16, np.inf), (16, np.nan)])
def test_a_grid_without_sense_is_refused(bits: int, bound: float) -> None:
    with pytest.raises(ConfigError):
        Grid(bits, (Span(1, bound),))


@given(cuts=st.lists(st.integers(1, 74), min_size=1, max_size=4), seed=st.integers(0, 5))
def test_values_that_come_in_runs_give_the_same_integers(cuts: list[int], seed: int) -> None:
    # With chunks of 64 values, runs end before, at and behind the ends of chunks and spans in few steps.
    with mock.patch("securefl.aggregation.grid.CHUNK_VALUES", 64):
        grid = Grid(12, (Span(100, 1.0), Span(64 + 50, 0.25), Span(3, 2.0)))
        values = np.random.default_rng(seed).normal(0, 0.3, grid.size)
        whole, clipped = quantised(grid, values, seed)
        runs, place = [], 0
        while place < values.size:
            for cut in cuts:
                runs.append(values[place : place + cut])
                place += cut
        saturated = np.zeros(3, dtype=np.int64)
        parts = grid.quantise(runs, rng=np.random.default_rng(seed), saturated=saturated)
        assert np.array_equal(np.concatenate(list(parts)), whole)
    assert tuple(saturated.tolist()) == clipped


@pytest.mark.parametrize("size", [9, 11])
def test_runs_of_another_length_than_the_grid_are_refused(size: int) -> None:
    grid = Grid(12, (Span(4, 1.0), Span(6, 1.0)))
    runs = grid.quantise(
        [np.zeros(size)], rng=np.random.default_rng(0), saturated=np.zeros(2, dtype=np.int64)
    )
    with pytest.raises(ProtocolError, match="values were put on a grid"):
        list(runs)
