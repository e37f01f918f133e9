"""The three decompositions that adapters need, with the freedom of sign taken out of them.

The rule kept here: a product of factors is never multiplied out; its singular values come from the factors'
QRs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from securefl.adapters.update import Factors, Matrix

ROUNDING = 1e-12
"""Singular values below this share of the largest are float64 rounding of the decomposition itself."""


@dataclass(frozen=True, slots=True)
class Decomposition:
    """A thin singular value decomposition, ``(left * singular) @ right``.

    Attributes:
        left: (m, k), orthonormal columns.
        singular: (k,), descending.
        right: (k, n), orthonormal rows; the largest entry of each row is positive.
    """

    left: Matrix
    singular: Matrix
    right: Matrix

    @classmethod
    def zero(cls, rows: int, columns: int) -> Decomposition:
        """A matrix of zeros, of rank 0."""
        return cls(np.zeros((rows, 0)), np.zeros(0), np.zeros((0, columns)))

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.left.shape[0], self.right.shape[1]

    @property
    def rank(self) -> int:
        """k, the number of directions."""
        return self.singular.size

    def product(self) -> Matrix:
        """The (m, n) matrix."""
        return (self.left * self.singular) @ self.right

    def limited(self, rank: int | None) -> Decomposition:
        """The matrix without its weakest directions, so that at most ``rank`` are left; memory of its own.

        With e the strongest singular value that has no place, what is below e goes, what is above 2e stays as it is,
        and s between them becomes 2 (s - e) (a firm threshold, Gao and Bruce 1997). Where the rank is at most
        ``rank``, or None, e is 0, and only float64 rounding goes (``ROUNDING``).

        Guarantee:
            The difference has no singular value above e, the least that any matrix of this rank can have (Eckart and
            Young 1936). Matrices that differ by d (Frobenius) become matrices that differ by at most
            (2 + 2 sqrt(rank)) d, whatever gaps the singular values have: a function with slopes up to 2 of the
            singular values moves by 2 d, and e moves by d (Weyl). So members whose machines round differently keep
            the same matrix to rounding error. A cut at ``rank`` would keep one of two equally strong directions here
            and the other one there.
        """
        edge = 0.0 if rank is None or self.rank <= rank else float(self.singular[rank])
        singular = np.where(
            self.singular > 2 * edge, self.singular, 2 * np.maximum(self.singular - edge, 0.0)
        )
        left = int(np.count_nonzero(singular > ROUNDING * self.singular.max(initial=0.0)))
        return Decomposition(self.left[:, :left].copy(), singular[:left].copy(), self.right[:left].copy())

    def transposed(self) -> Decomposition:
        """The (n, m) matrix's decomposition, views of this one's memory; its signs are those of this one."""
        return Decomposition(self.right.T, self.singular, self.left.T)


def decompose(weight: Matrix | Factors) -> Decomposition:
    """The SVD of a matrix, or of a product of factors (m, k) and (k, n) in O((m + n) k^2)."""
    if isinstance(weight, Factors):
        left_basis, left_core = np.linalg.qr(weight.left)
        right_basis, right_core = np.linalg.qr(weight.right.T)
        u, singular, vt = np.linalg.svd(left_core @ right_core.T, full_matrices=False)
        return _with_fixed_signs(left_basis @ u, singular, vt @ right_basis.T)
    return _with_fixed_signs(*np.linalg.svd(weight, full_matrices=False))


def _with_fixed_signs(left: Matrix, singular: Matrix, right: Matrix) -> Decomposition:
    largest = np.argmax(np.abs(right), axis=1)
    signs = np.where(np.take_along_axis(right, largest[:, None], axis=1)[:, 0] < 0, -1.0, 1.0)
    return Decomposition(left * signs, singular, right * signs[:, None])


def orthonormal_rows(rows: Matrix) -> Matrix:
    """Gram-Schmidt of linearly independent rows (k, n), k <= n: row i depends on the rows up to i alone.

    The diagonal of the QR's triangle is made positive, which makes the answer unique: two machines differ by
    rounding errors only.
    """
    q, r = np.linalg.qr(rows.T)
    return np.ascontiguousarray((q * np.where(np.diagonal(r) < 0, -1.0, 1.0)).T)


def random_orthonormal_rows(count: int, width: int, *, rng: np.random.Generator) -> Matrix:
    """``count`` <= ``width`` random orthonormal rows; a smaller count draws the first of the same."""
    return orthonormal_rows(rng.standard_normal((count, width)))


def complete_rows(known: Matrix, count: int, *, rng: np.random.Generator) -> Matrix:
    """``count`` random orthonormal rows that are orthogonal to the ``known`` ones (k, n); k + count <= n."""
    drawn = rng.standard_normal((count, known.shape[1]))
    # The second projection takes out what rounding left of the first ("twice is enough", Parlett 1980,
    # section 6-9).
    for _ in range(2):
        drawn -= (drawn @ known.T) @ known
    return orthonormal_rows(drawn)
