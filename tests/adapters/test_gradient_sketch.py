"""Sketches of gradients: they add up, nobody is louder than another, and their sum leads where the gradients do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.gradient_sketch import BOUND, GradientSketch
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.update import Matrix
from securefl.errors import ProtocolError, TrainingError

ROWS, COLUMNS = 96, 80
LAYOUT = Layout(
    (
        TensorSpec("wide", ROWS, COLUMNS, TensorKind.ADAPTED),
        TensorSpec("head", 3, 5, TensorKind.HEAD),
    )
)
STEPS = 1 << 15


def sketch_of(rank: int, *, both: bool = True, layout: Layout = LAYOUT) -> GradientSketch:
    return GradientSketch(layout, rank=rank, both=both, seed=7)


def sent(sketch: GradientSketch, gradient: Matrix) -> Matrix:
    """A member's integers."""
    return np.rint(STEPS * np.concatenate(list(sketch.encode({"wide": gradient}))))


def low_rank(rank: int, *, seed: int = 0) -> Matrix:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(ROWS, rank)) * 0.5 ** np.arange(rank)) @ rng.normal(size=(rank, COLUMNS))


def energy(directions: Matrix, gradient: Matrix) -> float:
    """Share of a matrix's energy that lies in the span of orthonormal rows."""
    return float(np.linalg.norm(gradient @ directions.T) ** 2 / np.linalg.norm(gradient) ** 2)


def test_a_sum_of_few_directions_is_spanned_by_those_that_are_found() -> None:
    sketch, gradients = sketch_of(4), [low_rank(1, seed=seed) for seed in range(4)]
    assert sketch.size < ROWS * COLUMNS
    found = sketch.directions(sum(sent(sketch, each) for each in gradients))["wide"]  # type: ignore[arg-type]
    for gradient in gradients:
        assert energy(found.A, gradient) > 0.9999
        assert energy(found.B.T, gradient.T) > 0.9999


def test_of_many_directions_the_leading_ones_are_found_nearly_as_well_as_by_a_decomposition() -> None:
    sketch, gradient = sketch_of(3, both=False), low_rank(40)
    found = sketch.directions(sent(sketch, gradient))["wide"].A
    best = np.linalg.svd(gradient)[2][:3]
    assert energy(found, gradient) > 0.98 * energy(best, gradient)


def test_a_gradient_that_no_sketch_is_smaller_than_is_sent_whole() -> None:
    sketch, gradient = sketch_of(8), low_rank(8)
    assert sketch.size == ROWS * COLUMNS
    found = sketch.directions(sent(sketch, gradient))["wide"]
    u, _, vt = np.linalg.svd(gradient)
    np.testing.assert_allclose(np.abs(np.sum(found.A[:3] * vt[:3], axis=1)), 1.0, atol=1e-4)
    np.testing.assert_allclose(np.abs(np.sum(found.B.T[:3] * u.T[:3], axis=1)), 1.0, atol=1e-4)


def test_right_vectors_alone_take_half_a_sketch_and_give_no_left_ones() -> None:
    both, right = sketch_of(2), sketch_of(2, both=False)
    assert right.size == 16 * COLUMNS
    assert both.size == 16 * (COLUMNS + ROWS)
    found = right.directions(sent(right, low_rank(2)))["wide"]
    assert found.B.shape == (ROWS, 0)
    np.testing.assert_array_equal(found.A, both.directions(sent(both, low_rank(2)))["wide"].A)


@given(st.integers(-60, 60), st.integers(0, 500))
def test_no_member_is_louder_for_a_larger_loss(power: int, seed: int) -> None:
    sketch, gradient = sketch_of(2), low_rank(2, seed=seed)
    np.testing.assert_array_equal(sent(sketch, gradient), sent(sketch, 2.0**power * gradient))


@given(st.integers(0, ROWS - 1), st.integers(0, COLUMNS - 1))
def test_a_gradient_of_one_entry_stays_within_the_bound(row: int, column: int) -> None:
    gradient = np.zeros((ROWS, COLUMNS))
    gradient[row, column] = 3.0
    for rank in (2, 8):
        values = np.concatenate(list(sketch_of(rank).encode({"wide": gradient})))
        assert 0 < np.abs(values).max() <= BOUND


def test_gradients_of_zeros_give_directions_all_the_same() -> None:
    sketch = sketch_of(2)
    found = sketch.directions(sent(sketch, np.zeros((ROWS, COLUMNS))))["wide"]
    np.testing.assert_allclose(found.A @ found.A.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(found.B.T @ found.B, np.eye(2), atol=1e-12)


@pytest.mark.parametrize("gradient", [np.zeros((ROWS, 3)), np.full((ROWS, COLUMNS), np.nan)])
def test_what_is_no_gradient_of_the_weight_is_refused(gradient: Matrix) -> None:
    with pytest.raises(TrainingError, match=f"no finite gradient of {ROWS} x {COLUMNS} values"):
        list(sketch_of(2).encode({"wide": gradient}))


def test_a_weight_without_a_gradient_is_refused() -> None:
    with pytest.raises(TrainingError, match="no finite gradient"):
        list(sketch_of(2).encode({}))


def test_sums_of_another_length_are_refused() -> None:
    with pytest.raises(ProtocolError, match="are no sketches of gradients"):
        sketch_of(2).directions(np.zeros(5))
