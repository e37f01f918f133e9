"""A matrix seen through two public random projections, and the low-rank matrix that explains what is seen.

The rule kept here: a sketch is linear in the matrix and is taken from its factors; neither sketching nor
reconstruction ever forms an m x n product. All test matrices are public: a sketch hides nothing.

Terms: of a matrix M (m, n) with m >= n, the *range sketch* is Y = M Omega (m, k), the *co-range sketch* is
W = Psi M (l, n), the *check sketch* is Theta M (q, n); k is the *sketch rank*, l = 2k + 1. Omega has
orthonormal columns; the rows of Psi and Theta are orthonormal together.

References: Tropp, Yurtsever, Udell, Cevher, "Practical sketching algorithms for low-rank matrix
approximation", 2017, arXiv 1609.00048 (algorithm 4, theorem 4.3); the check sketch is that of the same
authors' "Streaming low-rank matrix approximation", 2019, arXiv 1902.08651, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from securefl.adapters.linalg import random_orthonormal_rows
from securefl.adapters.update import ErrorEstimate, Factors, Matrix

CHECK_ROWS = 8
"""q. The error estimate is off by more than a factor of 2 in fewer than 2 of 100 cases if the error has rank
one (chi-square with 8 degrees of freedom), and hardly ever where it is spread over several directions."""


def corange_rows(rank: int) -> int:
    """The l of a sketch rank k, 2k + 1: with it least squares costs a factor of 2 in the squared error."""
    return 2 * rank + 1


def sketch_size(rows: int, columns: int, *, rank: int) -> int:
    """Coordinates of the three sketches of a matrix of this shape, m >= n."""
    return rows * rank + (corange_rows(rank) + CHECK_ROWS) * columns


@dataclass(frozen=True, slots=True)
class Projections:
    """The test matrices for one weight.

    Attributes:
        omega: (n, k), orthonormal columns.
        psi: (l, m), orthonormal rows.
        theta: (q, m), orthonormal rows, orthogonal to those of ``psi``.
    """

    omega: Matrix
    psi: Matrix
    theta: Matrix


@dataclass(frozen=True, slots=True)
class Sketch:
    """Three sketches of a matrix (m, n), linear in it.

    Attributes:
        range: (m, k).
        corange: (l, n).
        check: (q, n).
    """

    range: Matrix
    corange: Matrix
    check: Matrix


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """The matrix that a sketch gives back, and its error.

    Attributes:
        factors: An orthonormal (m, k), and (k, n).
        estimate: How far their product is from the matrix.
        noise_gain: The largest singular value that independent noise of variance 1 in the co-range sketch is
            expected to leave in the product, by that of a whole (m, n) matrix of such noise.
    """

    factors: Factors
    estimate: ErrorEstimate
    noise_gain: float


def draw_projections(rows: int, columns: int, *, rank: int, rng: np.random.Generator) -> Projections:
    """Test matrices from a public seed; every machine gets them to rounding error.

    Args:
        rows: m, at least l + q.
        columns: n, at least k.
        rank: k.
        rng: Draws Gaussians, which are then orthonormalised.
    """
    omega = random_orthonormal_rows(rank, columns, rng=rng).T
    split = corange_rows(rank)
    both = random_orthonormal_rows(split + CHECK_ROWS, rows, rng=rng)
    return Projections(omega, both[:split], both[split:])


def sketch(matrix: Factors, projections: Projections) -> Sketch:
    """The sketches of a product of factors (m, r) and (r, n), in O((m + n) r k)."""
    left, right = matrix.left, matrix.right
    return Sketch(
        range=left @ (right @ projections.omega),
        corange=(projections.psi @ left) @ right,
        check=(projections.theta @ left) @ right,
    )


def reconstruct(seen: Sketch, projections: Projections) -> Reconstruction:
    """The matrix of rank at most k that explains the sketches: Q X with Q = qr(Y), X = argmin |Psi Q X - W|.

    It is the sketched matrix itself, to rounding, if that one has a rank of at most k. For Gaussian test
    matrices and l = 2k + 1 the expected squared error is at most 2 (1 + r / (k - r - 1)) times that of the
    best approximation of rank r, for every r < k - 1 (theorem 4.3).

    The error is estimated as what ``psi`` sees of it, and for the rest what ``theta`` sees: given the other
    test matrices the estimate's square has the squared error as its expectation, because ``theta`` is uniform
    on what ``psi`` leaves over and the reconstruction does not depend on it. Rounding of the check rows
    counts as error. The norm is estimated from all rows alike.
    """
    basis, _ = np.linalg.qr(seen.range)
    left, singular, right = np.linalg.svd(projections.psi @ basis, full_matrices=False)
    solved = (right.T / singular) @ (left.T @ seen.corange)
    seen_error = seen.corange - (projections.psi @ basis) @ solved
    check_error = seen.check - (projections.theta @ basis) @ solved
    (rows, rank), (width, columns), checks = seen.range.shape, seen.corange.shape, len(seen.check)
    error = np.sum(seen_error**2) + (rows - width) / checks * np.sum(check_error**2)
    norm = rows / (width + checks) * (np.sum(seen.corange**2) + np.sum(seen.check**2))
    gain = (np.sqrt(rank) + np.sqrt(columns)) / (singular[-1] * (np.sqrt(rows) + np.sqrt(columns)))
    estimate = ErrorEstimate(error=float(np.sqrt(error)), norm=float(np.sqrt(norm)))
    return Reconstruction(Factors(basis, solved), estimate, float(gain))
