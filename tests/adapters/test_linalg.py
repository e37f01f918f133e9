from __future__ import annotations

import numpy as np
import pytest

from securefl.adapters.linalg import complete_rows, decompose, orthonormal_rows, random_orthonormal_rows
from securefl.adapters.update import Factors


def test_factors_decompose_as_their_product_does(rng: np.random.Generator) -> None:
    factors = Factors(rng.normal(size=(30, 5)), rng.normal(size=(5, 20)))
    thin, whole = decompose(factors), decompose(factors.product())
    assert np.allclose(thin.singular, whole.singular[:5])
    assert np.allclose(thin.left, whole.left[:, :5])
    assert np.allclose(thin.right, whole.right[:5])


@pytest.mark.parametrize("shape", [(6, 40, 9), (9, 40, 6), (8, 8, 8)])
def test_more_inner_columns_than_the_matrix_has_rank_do_no_harm(
    shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    rows, inner, columns = shape
    factors = Factors(rng.normal(size=(rows, inner)), rng.normal(size=(inner, columns)))
    assert np.allclose(decompose(factors).scaled_factors(inner).product(), factors.product())


def test_signs_are_fixed(rng: np.random.Generator) -> None:
    matrix = rng.normal(size=(12, 9))
    right = decompose(matrix).right
    assert (right[np.arange(9), np.abs(right).argmax(axis=1)] > 0).all()
    assert np.allclose(decompose(matrix).scaled_factors(9).product(), matrix)


def test_orthonormal_rows_do_not_depend_on_the_rows_after_them(rng: np.random.Generator) -> None:
    rows = rng.normal(size=(6, 20))
    whole = orthonormal_rows(rows)
    assert np.allclose(whole @ whole.T, np.eye(6))
    assert np.allclose(orthonormal_rows(rows[:3]), whole[:3])


def test_orthonormal_rows_point_the_way_of_the_rows_they_come_from(rng: np.random.Generator) -> None:
    """Without this their signs would be LAPACK's choice, and a basis could differ between two machines."""
    rows = rng.normal(size=(6, 20))
    assert (np.diagonal(orthonormal_rows(rows) @ rows.T) > 0).all()


def test_orthonormal_rows_keep_an_orthonormal_input(rng: np.random.Generator) -> None:
    rows = random_orthonormal_rows(5, 20, rng=rng)
    assert np.allclose(orthonormal_rows(rows), rows)


@pytest.mark.parametrize(("known", "count"), [(0, 5), (5, 0), (3, 4), (3, 17), (19, 1)])
def test_completed_rows_are_orthonormal_and_orthogonal_to_the_known(
    known: int, count: int, rng: np.random.Generator
) -> None:
    rows = random_orthonormal_rows(known, 20, rng=rng)
    added = complete_rows(rows, count, rng=rng)
    both = np.concatenate([rows, added])
    assert np.allclose(both @ both.T, np.eye(known + count), atol=1e-12)
