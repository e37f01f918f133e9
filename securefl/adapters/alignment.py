"""Turning the learned factors of a weight to the singular vectors of their product, in the same bits at every machine.

The rule kept here: every step is an addition, a multiplication, a division or a square root of single float64 numbers
in a fixed order. IEEE 754 fixes the result of each, so no machine's linear algebra library has a say, and nothing has
to be sent to agree on a basis.

If the rows of A are orthonormal, the singular vectors of B A are the eigenvectors of B^T B, an r x r matrix: with them
as the columns of W, B A = (B W)(W^T A), the rows of W^T A are the right singular vectors, and the columns of B W are
the left ones times the singular values. That is the step of FedSVD (arXiv 2505.12805), which the paper leaves to the
server. The eigenvectors come from Jacobi's rotations (Golub and Van Loan, 4th edition, section 8.5).

    >>> import numpy as np
    >>> A = orthonormal_start(np.random.default_rng(0), rank=2, width=5)
    >>> B = np.array([[1.0, 2.0], [0.0, 1.0], [3.0, 0.0]])
    >>> turned_A, turned_B = aligned(A, B)
    >>> bool(np.allclose(turned_B @ turned_A, B @ A)), np.round(turned_B.T @ turned_B, 9).tolist()
    (True, [[10.701562119, 0.0], [0.0, 4.298437881]])
"""

from __future__ import annotations

import math

import numpy as np

from securefl.adapters.update import Matrix

MOST_SWEEPS = 30
"""Passes over all pairs of directions; Jacobi's method needs about 6 to 10, and every pass keeps the product."""
CONVERGED = 1e-15
"""Cosine of two columns from which on they are taken for orthogonal."""
DRAWN_BELOW = 1 << 20
"""Entries of a start before it is orthonormalised are whole numbers below this, whose bits no machine changes."""


def orthonormal_start(rng: np.random.Generator, *, rank: int, width: int) -> Matrix:
    """Random orthonormal rows (rank, width), rank <= width, by Gram-Schmidt in a fixed order."""
    drawn = rng.integers(-DRAWN_BELOW, DRAWN_BELOW, size=(rank, width)).astype(np.float64)
    rows = np.empty((rank, width))
    for number, row in enumerate(drawn):
        left = row
        # The second pass takes out what rounding left of the first ("twice is enough", Parlett 1980, section 6-9).
        for _ in range(2):
            for known in rows[:number]:
                left = left - ordered_sum(left * known) * known
        rows[number] = left / math.sqrt(ordered_sum(left * left))
    return rows


def aligned(A: Matrix, B: Matrix) -> tuple[Matrix, Matrix]:
    """Factors of the same product, A with its right singular vectors as rows, the strongest first.

    Args:
        A: (r, n), orthonormal rows.
        B: (m, r).

    Returns:
        A (r, n) with orthonormal rows, whose largest entry is positive, and B (m, r) with orthogonal columns.
    """
    turn = eigenvectors(gram(B))
    rows, columns = times(A.T, turn).T, times(B, turn)
    largest = np.argmax(np.abs(rows), axis=1)
    signs = np.where(np.take_along_axis(rows, largest[:, None], axis=1)[:, 0] < 0, -1.0, 1.0)
    return np.ascontiguousarray(rows * signs[:, None]), columns * signs


def eigenvectors(symmetric: Matrix) -> Matrix:
    """Eigenvectors (r, r) of a positive semi-definite matrix as columns, of the largest eigenvalue first."""
    matrix = symmetric.copy()
    # Rows are turned in memory that lies together; they are the columns of the answer.
    vectors = np.eye(len(matrix))
    for _ in range(MOST_SWEEPS):
        if not _sweep(matrix, vectors):
            break
    order = np.argsort(-np.diagonal(matrix), kind="stable")
    return np.ascontiguousarray(vectors[order].T)


def ordered_sum(values: Matrix) -> float:
    """Sum of a vector by halves: always the same additions, in the same order."""
    return float(_folded(values))


def _folded(values: Matrix) -> Matrix:
    """Sum over the first axis by halves."""
    while len(values) > 1:
        half = len(values) // 2
        pairs = values[:half] + values[half : 2 * half]
        values = pairs if len(values) == 2 * half else np.concatenate([pairs, values[2 * half :]])
    first: Matrix = values[0]
    return first


def gram(columns: Matrix) -> Matrix:
    """B^T B of a matrix (m, r): exactly symmetric, since both halves are the same products in the same order."""
    return np.stack([_folded(columns * column[:, None]) for column in columns.T])


def times(columns: Matrix, turn: Matrix) -> Matrix:
    """A matrix (m, r) times one (r, k), a direction after the other."""
    total: Matrix = columns[:, :1] * turn[0]
    for number in range(1, len(turn)):
        total = total + columns[:, number : number + 1] * turn[number]
    return total


def _sweep(matrix: Matrix, vectors: Matrix) -> bool:
    """Turns every pair of directions until it is orthogonal, in place; False where all were."""
    turned = False
    for p in range(len(matrix) - 1):
        for q in range(p + 1, len(matrix)):
            one, other, both = float(matrix[p, p]), float(matrix[q, q]), float(matrix[p, q])
            if abs(both) <= CONVERGED * math.sqrt(max(one * other, 0.0)):
                continue
            turned = True
            slope = (other - one) / (2.0 * both)
            tangent = math.copysign(1.0, slope) / (abs(slope) + math.sqrt(slope * slope + 1.0))
            cosine = 1.0 / math.sqrt(tangent * tangent + 1.0)
            sine = tangent * cosine
            _turn(matrix, p, q, cosine, sine)
            _turn(matrix.T, p, q, cosine, sine)
            # What rounding has left of the pair's own entry is no part of any later step.
            matrix[p, q] = matrix[q, p] = 0.0
            _turn(vectors, p, q, cosine, sine)
    return turned


def _turn(rows: Matrix, p: int, q: int, cosine: float, sine: float) -> None:
    one, other = rows[p].copy(), rows[q].copy()
    rows[p] = cosine * one - sine * other
    rows[q] = sine * one + cosine * other
