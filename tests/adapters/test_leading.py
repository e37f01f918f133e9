"""Leading singular vectors of a weight: the right ones, and the same bits on every machine."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.leading import leading_pair, orthonormal
from securefl.adapters.update import Matrix

ELSEWHERE = """
import hashlib
import numpy as np
from securefl.adapters.leading import leading_pair
weight = np.random.default_rng(5).normal(size=(384, 320)).astype(np.float32).astype(np.float64)
pair = leading_pair(weight, rank=12)
svd = np.linalg.svd(weight)[2][:12]
print(*(hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest() for value in (pair.A, pair.B, svd)))
"""


def elsewhere(kernel: str) -> list[str]:
    """Digests of both factors, and of a library's decomposition, on another processor's kernels."""
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernel}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], check=True, env=environment, capture_output=True, text=True
    )
    return done.stdout.split()


def test_machines_with_other_linear_algebra_find_the_same_vectors_to_the_bit() -> None:
    """OpenBLAS is told to use the kernels of other processors; it may ignore that, never fail on it."""
    one, other = elsewhere("Prescott"), elsewhere("Haswell")
    assert one[:2] == other[:2]
    if one[2] == other[2]:
        pytest.skip("the library here rounds one way whatever the processor: nothing could differ")


def falling(rows: int, columns: int, *, power: float, seed: int = 0) -> Matrix:
    """A random matrix whose singular values fall as i to this power."""
    rng, side = np.random.default_rng(seed), min(rows, columns)
    left, right = (np.linalg.qr(rng.normal(size=(length, side)))[0] for length in (rows, columns))
    return (left * np.arange(1, side + 1) ** power) @ right.T


@pytest.mark.parametrize(("rows", "columns"), [(48, 80), (80, 48), (64, 64)])
def test_vectors_are_those_of_the_decomposition_where_singular_values_differ(rows: int, columns: int) -> None:
    weight = falling(rows, columns, power=-2.0)
    pair = leading_pair(weight, rank=4)
    u, _, vt = np.linalg.svd(weight, full_matrices=False)
    np.testing.assert_allclose(np.abs(np.sum(pair.A * vt[:4], axis=1)), 1.0, atol=1e-9)
    np.testing.assert_allclose(np.abs(np.sum(pair.B.T * u[:, :4].T, axis=1)), 1.0, atol=1e-9)
    # Both belong together: their products are the singular values, which are positive.
    assert (np.diagonal(pair.B.T @ weight @ pair.A.T) > 0).all()


def test_slowly_falling_weights_keep_nearly_all_of_the_leading_energy() -> None:
    weight = falling(200, 160, power=-0.5)
    pair = leading_pair(weight, rank=8)
    best = np.sum(np.arange(1.0, 9.0) ** -1.0)
    assert np.linalg.norm(weight @ pair.A.T) ** 2 >= 0.9999 * best


@given(st.integers(1, 7), st.integers(1, 9), st.integers(0, 7), st.integers(-40, 40), st.integers(0, 1000))
def test_directions_are_orthonormal_whatever_a_weight_lacks(
    rows: int, columns: int, held: int, scale: int, seed: int
) -> None:
    rng, rank = np.random.default_rng(seed), min(rows, columns)
    weight = 2.0**scale * (rng.normal(size=(rows, held)) @ rng.normal(size=(held, columns)))
    pair = leading_pair(weight, rank=rank)
    np.testing.assert_allclose(pair.A @ pair.A.T, np.eye(rank), atol=1e-12)
    np.testing.assert_allclose(pair.B.T @ pair.B, np.eye(rank), atol=1e-12)


def test_a_smaller_rank_and_a_scaled_weight_give_the_same_directions() -> None:
    weight = falling(40, 30, power=-1.5)
    many, few, louder = (
        leading_pair(weight, rank=6),
        leading_pair(weight, rank=2),
        leading_pair(8 * weight, rank=6),
    )
    np.testing.assert_allclose(few.A, many.A[:2], atol=1e-6)
    np.testing.assert_array_equal(louder.A, many.A)


def test_rows_that_depend_on_others_give_way_to_drawn_ones() -> None:
    rows = np.array([[1.0, 2.0, 2.0, 0.0], [2.0, 4.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    found = orthonormal(rows, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(found[0], rows[0] / 3)
