"""Factors turned to the singular vectors of their product: the right ones, and the same bits on every machine."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.alignment import aligned, eigenvectors, orthonormal_start

ELSEWHERE = """
import hashlib
import numpy as np
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.learned_factors import LearnedFactors
from securefl.adapters.update import Factors, MeanUpdate
from securefl.config.trained_sides import TrainedSides
layout = Layout((TensorSpec("wide", 384, 1536, TensorKind.ADAPTED),))
state = LearnedFactors.start(layout, shared_rank=16, seed=7, sides=TrainedSides("left"), aligned=True)
for number in range(1, 4):
    step = np.random.default_rng(number).integers(-60000, 60000, (384, 16)) / 65536
    state = state.advanced(MeanUpdate({"wide": Factors(step, state.weights["wide"].A)}, {}))
pair = state.weights["wide"]
product = pair.B @ pair.A
print(*(hashlib.sha256(value.tobytes()).hexdigest() for value in (pair.A, pair.B, product)))
"""


def elsewhere(kernel: str) -> list[str]:
    """Digests of A, of B and of a library's product of them, on another processor's kernels."""
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernel}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], check=True, env=environment, capture_output=True, text=True
    )
    return done.stdout.split()


@pytest.mark.slow
def test_machines_with_other_linear_algebra_hold_the_same_turned_factors_to_the_bit() -> None:
    """OpenBLAS is told to use the kernels of other processors; it may ignore that, never fail on it."""
    one, other = elsewhere("Prescott"), elsewhere("Haswell")
    assert one[:2] == other[:2]
    if one[2] == other[2]:
        pytest.skip("the library here rounds one way whatever the processor: nothing could differ")


def drawn(rank: int, *, rows: int = 30, columns: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    A = orthonormal_start(rng, rank=rank, width=columns)
    return A, rng.normal(size=(rows, rank)) * 2.0 ** -np.arange(rank)


@pytest.mark.parametrize("rank", [1, 2, 5, 16])
def test_turned_factors_are_the_singular_value_decomposition_of_the_product(rank: int) -> None:
    A, B = drawn(rank)
    turned_A, turned_B = aligned(A, B)
    u, s, vt = np.linalg.svd(B @ A, full_matrices=False)
    signs = np.sign(np.sum(turned_A * vt[:rank], axis=1))
    np.testing.assert_allclose(turned_A, signs[:, None] * vt[:rank], atol=1e-9)
    np.testing.assert_allclose(turned_B, u[:, :rank] * s[:rank] * signs, atol=1e-11)


@given(st.integers(1, 12), st.integers(0, 10_000), st.integers(0, 12))
def test_turning_keeps_the_product_and_orthonormal_rows_whatever_directions_are_missing(
    rank: int, seed: int, zeros: int
) -> None:
    A, B = drawn(rank, seed=seed)
    B[:, : min(zeros, rank)] = 0.0
    turned_A, turned_B = aligned(A, B)
    np.testing.assert_allclose(turned_B @ turned_A, B @ A, atol=1e-13)
    np.testing.assert_allclose(turned_A @ turned_A.T, np.eye(rank), atol=1e-13)


def test_what_is_aligned_already_stays_as_it_is_but_for_rounding() -> None:
    once = aligned(*drawn(6))
    twice = aligned(*once)
    for one, other in zip(once, twice, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-13)


def test_rows_stay_orthonormal_over_many_rounds() -> None:
    A, B = drawn(8)
    rng = np.random.default_rng(1)
    for _ in range(200):
        A, B = aligned(A, B + rng.normal(size=B.shape))
    np.testing.assert_allclose(A @ A.T, np.eye(8), atol=1e-12)


def test_eigenvectors_of_equal_eigenvalues_are_orthonormal() -> None:
    vectors = eigenvectors(np.diag([2.0, 3.0, 3.0]))
    assert vectors.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(("rank", "width"), [(1, 1), (4, 4), (16, 384)])
def test_a_start_has_orthonormal_rows(rank: int, width: int) -> None:
    A = orthonormal_start(np.random.default_rng(3), rank=rank, width=width)
    np.testing.assert_allclose(A @ A.T, np.eye(rank), atol=1e-14)
