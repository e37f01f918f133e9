"""The leading singular vectors of a weight, in the same bits at every machine that has the same weight.

The rule kept here: large products are exact, and everything else is single float64 operations in a fixed order
(``alignment``). Both factors of a large product are rounded to whole numbers that are small enough for every partial
sum to stay below 2^53, where float64 has no rounding; so it does not matter in which order a machine's library adds.

The vectors are those of a subspace that is multiplied by the weight and its transpose ``PASSES`` times (Halko,
Martinsson and Tropp, 0909.4061, algorithm 4.4), turned by the eigenvectors of its small Gram matrix (Rayleigh and
Ritz). They are orthonormal to float64 rounding; the space that they span is near the leading one, and nearer the faster
the singular values fall behind it. What is asked of them is one choice for everybody, not the last digit.

    >>> import numpy as np
    >>> weight = np.diag([1.0, 5.0, 3.0]) @ np.eye(3, 4)
    >>> pair = leading_pair(weight, rank=2)
    >>> np.round(np.abs(pair.A), 5).tolist()
    [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    >>> np.round(pair.B.T @ weight @ pair.A.T, 5).tolist()
    [[5.0, 0.0], [0.0, 3.0]]
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from securefl.adapters.alignment import DRAWN_BELOW, eigenvectors, gram, ordered_sum, orthonormal_start, times
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import LoraFactors, Matrix

PASSES: Final = 12
"""Multiplications by the weight and its transpose. On a square of side 384 whose singular values fall as i^-0.5, as
slowly as in a pretrained weight, what is found for rank 16 holds all of the energy of the true ones but 1e-6."""
BESIDE: Final = 8
"""Further directions that are carried along, since the last ones of a subspace are its worst."""
EXACT_BITS: Final = 53
"""float64 holds every whole number up to 2^53."""
DEPENDENT: Final = 1e-12
"""Share of a row's length below which what is left of it behind the rows before is rounding."""


def leading_pair(weight: Matrix, *, rank: int) -> LoraFactors:
    """Singular vectors of the largest singular values, the largest first.

    Args:
        weight: (m, n), finite; the same bits at every member.
        rank: r, from 1 to the smaller side.

    Returns:
        A (r, n), orthonormal rows whose largest entry is positive, and B (m, r), orthonormal columns: right and left
        singular vectors, without the singular values. Where the weight has fewer than r directions, the others are
        drawn, the same for everybody.
    """
    block, width = min(rank + BESIDE, *weight.shape), max(weight.shape)
    # Products of two factors of so many bits each, as many of them as the longer side has.
    bits = (EXACT_BITS - (width - 1).bit_length()) // 2
    whole = _whole(weight, bits)
    rng = seeded_generator(0, "leading-directions")
    rows = orthonormal_start(rng, rank=block, width=weight.shape[1])
    for _ in range(PASSES):
        left = orthonormal(_whole(rows, bits) @ whole.T, rng=rng)
        rows = orthonormal(_whole(left, bits) @ whole, rng=rng)
    images = (_whole(rows, bits) @ whole.T).T
    turn = eigenvectors(gram(images))[:, :rank]
    right = orthonormal(times(rows.T, turn).T, rng=rng)
    left = orthonormal(times(images, turn).T, rng=rng)
    signs = _signs(right)
    return LoraFactors(A=right * signs[:, None], B=np.ascontiguousarray((left * signs[:, None]).T))


def orthonormal(rows: Matrix, *, rng: np.random.Generator) -> Matrix:
    """Gram-Schmidt (k, n), k <= n, in a fixed order; a row that depends on those before gives way to a drawn one."""
    found = np.empty_like(rows)
    for number, row in enumerate(rows):
        found[number] = _next(row, found[:number], rng)
    return found


def _next(row: Matrix, known: Matrix, rng: np.random.Generator) -> Matrix:
    while True:
        left = row
        # The second pass takes out what rounding left of the first ("twice is enough", Parlett 1980, section 6-9).
        for _ in range(2):
            for each in known:
                left = left - ordered_sum(left * each) * each
        before, after = ordered_sum(row * row), ordered_sum(left * left)
        if after > DEPENDENT * DEPENDENT * before:
            return left / math.sqrt(after)
        row = rng.integers(-DRAWN_BELOW, DRAWN_BELOW, size=row.shape).astype(np.float64)


def _whole(values: Matrix, bits: int) -> Matrix:
    """The values in whole steps, by one power of two, so that the largest has at most so many bits."""
    _, exponent = math.frexp(float(np.abs(values).max(initial=0.0)))
    return np.rint(np.ldexp(values, bits - exponent))


def _signs(rows: Matrix) -> Matrix:
    largest = np.argmax(np.abs(rows), axis=1)
    return np.where(np.take_along_axis(rows, largest[:, None], axis=1)[:, 0] < 0, -1.0, 1.0)
