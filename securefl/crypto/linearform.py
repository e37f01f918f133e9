"""Secret linear forms modulo a prime, over rows of words: exact, and as fast as matrices multiply.

The rule kept here: what a form gives is the integer sum_j a_j x_j mod m and nothing near it. Floating point
does the work, because its matrix products are the fastest integer products a processor has, and it is used
only where every intermediate result is an integer below 2^53, which float64 holds exactly.

Terms: a *limb* is a few consecutive bits of a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.crypto.profiles import DEGREE
from securefl.crypto.words import Words

WORD_BITS: Final = 54
"""Words and moduli are below 2^54; the data prime is."""
LIMB_BITS: Final = 9
"""Bits of a coefficient's limb: the most that the proof below allows for rows of 4096 words."""
WINDOW_ROWS: Final = 16
"""Rows taken at a time: 1 MiB of float64, near the size of a core's cache."""


class LinearForms:
    """K linear forms over rows of N words, modulo m.

    A word x < 2^54 is read as its two halves x = l + 2^32 h of 32 and 22 bits, so that a row of N words is a
    row of 2N numbers, and a form with coefficients a_j gets the coefficients a_j for l and 2^32 a_j mod m
    for h. Those are cut into limbs of 9 bits, a = sum_b a_b 2^(9b); one matrix product gives

        y_b = sum_j a_jb l_j + a'_jb h_j    for every limb b,        sum_j a_j x_j = sum_b 2^(9b) y_b mod m.

    *Exact in float64.* All numbers are non-negative integers, N <= 4096 = 2^12, so every sum of any of the
    2N products, in any order, fused or not, is an integer of at most

        2^12 (2^9 - 1) ((2^32 - 1) + (2^22 - 1)) < 2^53 (1 - 2^-9) (1 + 2^-10) < 2^53.

    *Exact in uint64.* The limbs are put together from the highest down, r <- (2^9 r + y_b) mod m, where
    2^9 r + y_b < 2^63 + 2^53 < 2^64.

    It assumes that a matrix product is computed as sums of products, in whatever order: a method that
    subtracts, such as Strassen's, would leave these bounds, and fail the tests with the largest words.

    Args:
        coefficients: K lists of N integers below m.
        modulus: m, below 2^54.
    """

    def __init__(self, coefficients: Sequence[Sequence[int]], modulus: int) -> None:
        degree = len(coefficients[0])
        assert degree <= DEGREE
        assert modulus < 1 << WORD_BITS
        self._modulus = modulus
        self._limbs = -(-modulus.bit_length() // LIMB_BITS)
        halves = np.empty((degree, 2, len(coefficients)), dtype=np.uint64)
        for index, form in enumerate(coefficients):
            halves[:, 0, index] = halves[:, 1, index] = form
        # By 2^32, eight bits at a time: a remainder below 2^54 stays below 2^62.
        for _ in range(4):
            halves[:, 1] = (halves[:, 1] << np.uint64(8)) % np.uint64(modulus)
        shifts = np.arange(0, self._limbs * LIMB_BITS, LIMB_BITS, dtype=np.uint64)
        limbs = (halves[..., None] >> shifts) & np.uint64((1 << LIMB_BITS) - 1)
        self._matrix = limbs.reshape(2 * degree, -1).astype(np.float64)

    def __repr__(self) -> str:
        return "LinearForms(<redacted>)"

    def of(self, rows: Words) -> Words:
        """Every form of every row.

        Args:
            rows: (k, N) uint64, each below 2^54.

        Returns:
            (k, K) uint64 below m.
        """
        values = np.empty((rows.shape[0], self._matrix.shape[1] // self._limbs), dtype=np.uint64)
        for start in range(0, rows.shape[0], WINDOW_ROWS):
            window = np.ascontiguousarray(rows[start : start + WINDOW_ROWS], dtype="<u8")
            products = window.view("<u4").astype(np.float64) @ self._matrix
            values[start : start + WINDOW_ROWS] = self._joined(products)
        return values

    def _joined(self, products: NDArray[np.float64]) -> Words:
        limbs = products.astype(np.uint64).reshape(products.shape[0], -1, self._limbs)
        joined = limbs[..., -1] % np.uint64(self._modulus)
        for index in range(self._limbs - 2, -1, -1):
            joined = ((joined << np.uint64(LIMB_BITS)) + limbs[..., index]) % np.uint64(self._modulus)
        return joined
