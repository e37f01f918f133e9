"""A matrix comes back from its projections, as near as the papers promise, and the error is known."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.adapters.linalg import decompose
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.sketching import (
    CHECK_ROWS,
    Projections,
    Reconstruction,
    Sketch,
    corange_rows,
    draw_projections,
    reconstruct,
    sketch,
    sketch_size,
)
from securefl.adapters.update import Factors

ROWS, COLUMNS, RANK = 96, 60, 12
DECAYS = {"slow": 0.93, "fast": 0.6, "flat": 1.0}


def projections(seed: int = 0, *, rank: int = RANK) -> Projections:
    return draw_projections(ROWS, COLUMNS, rank=rank, rng=np.random.default_rng(seed))


def matrix_of(decay: float, *, rank: int = COLUMNS, seed: int = 1) -> Factors:
    """Random orthonormal factors with singular values decay^i."""
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.normal(size=(ROWS, rank)))
    right, _ = np.linalg.qr(rng.normal(size=(COLUMNS, rank)))
    return Factors(left * decay ** np.arange(rank), right.T)


def rebuilt(matrix: Factors, drawn: Projections) -> Reconstruction:
    return reconstruct(sketch(matrix, drawn), drawn)


def norm(matrix: Factors) -> float:
    """Frobenius, from the factors."""
    return float(np.linalg.norm(decompose(matrix).singular))


def distance(found: Reconstruction, matrix: Factors) -> float:
    return float(np.linalg.norm(found.factors.product() - matrix.product()))


def test_test_matrices_are_orthonormal_each_and_the_checks_rows_to_the_co_ranges() -> None:
    drawn = projections()
    both = np.concatenate([drawn.psi, drawn.theta])
    assert drawn.omega.shape == (COLUMNS, RANK)
    assert drawn.psi.shape == (corange_rows(RANK), ROWS)
    assert np.allclose(drawn.omega.T @ drawn.omega, np.eye(RANK), atol=1e-12)
    assert np.allclose(both @ both.T, np.eye(corange_rows(RANK) + CHECK_ROWS), atol=1e-12)


def test_a_sketch_taken_from_factors_is_that_of_their_product() -> None:
    matrix, drawn = matrix_of(0.9, rank=7), projections()
    seen, whole = sketch(matrix, drawn), matrix.product()
    assert np.allclose(seen.range, whole @ drawn.omega, atol=1e-13)
    assert np.allclose(seen.corange, drawn.psi @ whole, atol=1e-13)
    assert np.allclose(seen.check, drawn.theta @ whole, atol=1e-13)
    assert seen.range.size + seen.corange.size + seen.check.size == sketch_size(ROWS, COLUMNS, rank=RANK)


@given(
    scales=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    ranks=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
@settings(max_examples=25, deadline=None)
def test_the_sketch_of_a_sum_is_the_sum_of_the_sketches(
    scales: tuple[float, float], ranks: tuple[int, int]
) -> None:
    drawn = projections()
    parts = [matrix_of(0.9, rank=rank, seed=rank + 10 * place) for place, rank in enumerate(ranks)]
    left = np.concatenate([scale * part.left for scale, part in zip(scales, parts, strict=True)], axis=1)
    together = sketch(Factors(left, np.concatenate([part.right for part in parts])), drawn)
    first, second = (sketch(part, drawn) for part in parts)
    for name in ("range", "corange", "check"):
        summed = scales[0] * getattr(first, name) + scales[1] * getattr(second, name)
        assert np.allclose(getattr(together, name), summed, atol=1e-12)


@pytest.mark.parametrize("rank", [1, 5, RANK - 1, RANK])
def test_a_matrix_of_rank_up_to_k_comes_back_exactly(rank: int) -> None:
    matrix = matrix_of(0.8, rank=rank)
    found = rebuilt(matrix, projections())
    assert distance(found, matrix) < 1e-11
    assert found.estimate.error < 1e-11


def test_a_matrix_of_zeros_comes_back_as_zeros() -> None:
    found = rebuilt(Factors(np.zeros((ROWS, 2)), np.zeros((2, COLUMNS))), projections())
    assert not found.factors.product().any()
    assert found.estimate.error == 0.0


def test_one_rank_more_than_k_is_not_exact() -> None:
    """The control: were the exactness above a matter of luck or tolerance, this would pass for exact too."""
    matrix = matrix_of(1.0, rank=RANK + 1)
    found = rebuilt(matrix, projections())
    assert distance(found, matrix) > 0.1
    assert found.estimate.error > 0.1


@pytest.mark.parametrize("decay", DECAYS.values(), ids=DECAYS)
def test_the_mean_squared_error_keeps_the_theorems_bound(decay: float) -> None:
    """Tropp et al. 2017, theorem 4.3, for l = 2k + 1: 2 (1 + r / (k - r - 1)) tails[r], for the best r."""
    matrix = matrix_of(decay)
    singular = decay ** np.arange(COLUMNS)
    tails = [float(np.sum(singular[rank:] ** 2)) for rank in range(RANK - 1)]
    bound = min(2 * (1 + rank / (RANK - rank - 1)) * tail for rank, tail in enumerate(tails))
    errors = [distance(rebuilt(matrix, projections(seed)), matrix) ** 2 for seed in range(60)]
    assert np.mean(errors) <= bound
    assert np.mean(errors) >= float(np.sum(singular[RANK:] ** 2))  # nothing of rank k can do better


@pytest.mark.parametrize("decay", DECAYS.values(), ids=DECAYS)
def test_the_estimate_is_within_a_factor_of_the_true_error(decay: float) -> None:
    matrix = matrix_of(decay)
    ratios = []
    for seed in range(60):
        found = rebuilt(matrix, projections(seed))
        ratios.append(found.estimate.error / distance(found, matrix))
    assert min(ratios) > 0.6
    assert max(ratios) < 1.5
    assert np.mean(np.square(ratios)) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("decay", DECAYS.values(), ids=DECAYS)
def test_the_matrix_s_own_norm_is_known_too(decay: float) -> None:
    matrix = matrix_of(decay)
    ratios = [rebuilt(matrix, projections(seed)).estimate.norm / norm(matrix) for seed in range(60)]
    assert np.mean(np.square(ratios)) == pytest.approx(1.0, abs=0.06)


def test_the_estimate_sees_an_error_that_the_fit_cannot() -> None:
    """What lies in the null space of Psi leaves no residual; only the check rows see it."""
    drawn = projections()
    hidden = draw_projections(ROWS, COLUMNS, rank=RANK, rng=np.random.default_rng(5)).psi[:1]
    hidden = hidden - (hidden @ drawn.psi.T) @ drawn.psi
    matrix = Factors(hidden.T, np.random.default_rng(6).normal(size=(1, COLUMNS)))
    seen = sketch(matrix, drawn)
    assert np.abs(seen.corange).max() < 1e-12
    lost = reconstruct(Sketch(np.zeros_like(seen.range), seen.corange, seen.check), drawn)
    assert lost.estimate.error == pytest.approx(norm(matrix), rel=0.5)


def test_directions_that_are_only_noise_stay_below_the_gain() -> None:
    """A matrix of rank 2 under noise: what else appears is as strong as the gain says, not stronger."""
    matrix, drawn, std = matrix_of(1.0, rank=2), projections(), 1e-6
    rng = np.random.default_rng(3)
    largest = []
    for _ in range(20):
        seen = sketch(matrix, drawn)
        noisy = Sketch(
            *(part + rng.normal(0, std, part.shape) for part in (seen.range, seen.corange, seen.check))
        )
        found = reconstruct(noisy, drawn)
        floor = std * found.noise_gain * (np.sqrt(ROWS) + np.sqrt(COLUMNS))
        largest.append(np.linalg.svd(found.factors.product(), compute_uv=False)[2] / floor)
    assert np.mean(largest) > 0.2
    assert max(largest) < 1.0


def test_least_squares_amplifies_noise() -> None:
    """Why a sketch must carry no noise for privacy: the same noise on whole entries would do less."""
    matrix, drawn, std = matrix_of(1.0, rank=RANK - 2), projections(), 1e-6
    rng = np.random.default_rng(3)
    seen = sketch(matrix, drawn)
    noisy = Sketch(
        *(part + rng.normal(0, std, part.shape) for part in (seen.range, seen.corange, seen.check))
    )
    assert distance(reconstruct(noisy, drawn), matrix) > 2 * std * np.sqrt(ROWS * COLUMNS)


def test_the_same_seed_draws_the_same_bits() -> None:
    first, second = (projections(4) for _ in range(2))
    for name in ("omega", "psi", "theta"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


ELSEWHERE = """
import sys
import numpy as np
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.sketching import draw_projections
drawn = draw_projections(384, 300, rank=24, rng=seeded_generator(7, "sketch", 1, "wide"))
np.savez(sys.argv[1], omega=drawn.omega, psi=drawn.psi, theta=drawn.theta)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["Prescott", "Haswell"])
def test_machines_with_other_linear_algebra_draw_the_same_test_matrices(tmp_path: Path, kernel: str) -> None:
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernel}
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "drawn.npz")]
    subprocess.run(command, check=True, env=environment)
    here = draw_projections(384, 300, rank=24, rng=seeded_generator(7, "sketch", 1, "wide"))
    with np.load(tmp_path / "drawn.npz") as there:
        for name in ("omega", "psi", "theta"):
            assert np.abs(there[name] - getattr(here, name)).max() < 1e-11


def test_a_wide_weight_is_never_formed() -> None:
    """Its product would take 32 GB; the test ends only if nobody forms it."""
    rng = np.random.default_rng(0)
    side = 65536
    matrix = Factors(rng.normal(size=(side, 2)), rng.normal(size=(2, side)))
    drawn = draw_projections(side, side, rank=2, rng=rng)
    found = rebuilt(matrix, drawn)
    gone = Factors(
        np.concatenate([matrix.left, -found.factors.left], axis=1),
        np.concatenate([matrix.right, found.factors.right]),
    )
    assert norm(gone) < 1e-9 * norm(matrix)


@pytest.mark.parametrize("seed", range(4))
def test_a_coordinate_is_as_large_as_a_gaussian_of_its_rows_root_mean_square(seed: int) -> None:
    """What the bound of a sketched coordinate is derived from: sub-Gaussian tails on the sphere."""
    rng = np.random.default_rng(seed)
    whole = rng.normal(size=(ROWS, COLUMNS)) * rng.exponential(size=(ROWS, 1))
    drawn = projections(seed + 100)
    spread = np.sqrt((whole**2).mean(axis=1, keepdims=True))
    scaled = (whole @ drawn.omega) / spread
    assert np.std(scaled) == pytest.approx(1.0, rel=0.1)
    # 1,152 coordinates: beyond 5 deviations with a chance of less than 1 in 1,000.
    assert np.abs(scaled).max() < 5.0
