"""Arithmetic modulo 65521, the largest prime of 16 bits: inverses, products and interpolation, exact in int64.

The rule kept here: a residue is from 0 to 65520, so a product of two is below 2^32, and a sum of fewer than 2^31 such
products is below 2^63.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

PRIME: Final = 65521

Residues = NDArray[np.int64]


def lagrange(known: Residues, wanted: Residues) -> Residues:
    """The matrix that takes a polynomial's values at some points to its values at others, modulo 65521.

    Args:
        known: (t,) distinct points from 1 to 65520.
        wanted: (m,) points of the same range, none of them among the known ones.

    Returns:
        (m, t) int64 residues; exact for polynomials of degree below t.
    """
    reach = (wanted[:, None] - known[None, :]) % PRIME
    # The barycentric form: prod_m (x - x_m) / ((x - x_i) prod_{m != i} (x_i - x_m)).
    return (
        _row_products(reach)[:, None]
        * barycentric_weights(known)[None, :]
        % PRIME
        * _inverse_gaps(wanted, known)
        % PRIME
    )


def barycentric_weights(points: Residues) -> Residues:
    """Weights w_i = 1 / prod_{j != i} (x_i - x_j) of distinct points, (n,)."""
    gaps = (points[:, None] - points[None, :]) % PRIME
    np.fill_diagonal(gaps, 1)
    return _inverses(_row_products(gaps))


def _inverse_gaps(wanted: Residues, known: Residues) -> Residues:
    """Inverses of every wanted point less every known one, (m, t).

    Members' points are consecutive numbers, so there are few gaps, each of which stands in the matrix many times.
    """
    least, largest = int(wanted.min() - known.max()), int(wanted.max() - known.min())
    by_gap = _inverses(np.arange(least, largest + 1) % PRIME)
    found: Residues = by_gap[wanted[:, None] - known[None, :] - least]
    return found


def _row_products(matrix: Residues) -> Residues:
    """Products along the rows of a matrix (m, t): (m,)."""
    product = np.ones(matrix.shape[0], dtype=np.int64)
    for column in matrix.T:
        product = product * column % PRIME
    return product


def _inverses(values: Residues) -> Residues:
    """Inverses of residues, and 0 for 0: x^(p - 2) by Fermat, with squares; every factor is below 2^16."""
    result, power = np.ones_like(values), values
    for bit in range((PRIME - 2).bit_length()):
        if (PRIME - 2) >> bit & 1:
            result = result * power % PRIME
        power = power * power % PRIME
    return result
