from __future__ import annotations

import numpy as np
import pytest

from securefl.adapters.linalg import (
    Decomposition,
    complete_rows,
    decompose,
    orthonormal_rows,
    random_orthonormal_rows,
)
from securefl.adapters.update import Factors


def cut_at(rank: int, weight: Decomposition) -> np.ndarray:
    """The best approximation of a rank, by Eckart and Young."""
    return (weight.left[:, :rank] * weight.singular[:rank]) @ weight.right[:rank]


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
    assert np.allclose(decompose(factors).product(), factors.product())


def test_signs_are_fixed(rng: np.random.Generator) -> None:
    matrix = rng.normal(size=(12, 9))
    right = decompose(matrix).right
    assert (right[np.arange(9), np.abs(right).argmax(axis=1)] > 0).all()
    assert np.allclose(decompose(matrix).product(), matrix)


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


def drawn(singular: np.ndarray, *, seed: int = 0, rows: int = 40, columns: int = 30) -> np.ndarray:
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.normal(size=(rows, singular.size)))[0]
    return (left * singular) @ np.linalg.qr(rng.normal(size=(columns, singular.size)))[0].T


def test_a_matrix_of_no_more_directions_than_are_kept_stays_as_it_is() -> None:
    matrix = drawn(np.arange(8.0, 0.0, -1.0))
    limited = decompose(matrix).limited(8)
    assert limited.rank == 8
    assert np.allclose(limited.product(), matrix, atol=1e-13)
    assert decompose(matrix).limited(None).rank == 8


@pytest.mark.parametrize("rank", [1, 3, 12, 29])
def test_no_matrix_of_the_kept_rank_is_nearer_in_its_largest_singular_value(rank: int) -> None:
    singular = 0.8 ** np.arange(30)
    matrix = drawn(singular)
    limited = decompose(matrix).limited(rank)
    assert limited.rank <= rank
    assert np.linalg.norm(matrix - limited.product(), 2) == pytest.approx(singular[rank], rel=1e-9)
    strong = singular > 2.01 * singular[rank]
    assert np.allclose(limited.singular[: strong.sum()], singular[strong])


def test_machines_that_round_differently_keep_the_same_matrix_where_two_directions_are_equally_strong() -> (
    None
):
    """Ten equal directions, of which five are kept: a plain cut would keep some here and others there."""
    matrix = drawn(np.array([9.0, *[2.0] * 10, 1.0]))
    other = matrix + np.random.default_rng(1).normal(0, 1e-13, matrix.shape)
    one, two = (decompose(given) for given in (matrix, other))
    limited = np.linalg.norm(one.limited(6).product() - two.limited(6).product())
    cut = np.linalg.norm(cut_at(6, one) - cut_at(6, two))
    assert limited < 2 * (1 + np.sqrt(12)) * np.linalg.norm(matrix - other)
    assert cut > 1
