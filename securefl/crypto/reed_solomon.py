"""Decoding of a Reed-Solomon code modulo 65521: the places where a word leaves every polynomial of low degree.

The rule kept here: what is found is only a guess for the caller to check; nothing is corrected.

A word of n values at n points is a codeword if some polynomial of degree below t has them. With the weights
w_i = 1 / prod_{j != i} (x_i - x_j), the sums s_k = sum_i w_i y_i x_i^k for k < n - t are 0 for a codeword, and are
otherwise sums over the wrong places alone: a sequence whose shortest linear recurrence has the wrong points as its
roots, if they are at most (n - t) / 2.

References: Reed and Solomon, J. SIAM 1960; Massey, IEEE Trans. Inf. Theory 1969 (the shortest recurrence).
"""

from __future__ import annotations

import numpy as np

from securefl.crypto.residues import PRIME, Residues, barycentric_weights


def wrong_places(word: Residues, points: Residues, threshold: int) -> frozenset[int]:
    """Places of a word whose change makes it a codeword, where that takes at most (n - t) / 2 of them.

    Args:
        word: (n,) residues.
        points: (n,) distinct points from 1 to 65520.
        threshold: t, from 1 to n: codewords are the values of polynomials of degree below it.

    Returns:
        Indices into the word. Empty for a codeword, and where no so few places can be found.
    """
    terms, sums = word * barycentric_weights(points) % PRIME, list[int]()
    for _ in range(len(points) - threshold):
        sums.append(int(terms.sum()) % PRIME)
        terms = terms * points % PRIME
    recurrence = _shortest_recurrence(sums)
    values = np.zeros_like(points)
    for coefficient in recurrence:
        values = (values * points + coefficient) % PRIME
    wrong = np.flatnonzero(values == 0)
    degree = len(recurrence) - 1
    found = len(wrong) == degree and 2 * degree <= len(sums)
    return frozenset(wrong.tolist() if found else ())


def _shortest_recurrence(sequence: list[int]) -> list[int]:
    """Massey's c_0 = 1, ..., c_L with sum_j c_j s_{k-j} = 0 for all k >= L, of the least L."""
    current, former = [1], [1]
    length, gap, former_error = 0, 1, 1
    for place in range(len(sequence)):
        error = sum(c * s for c, s in zip(current, reversed(sequence[: place + 1]), strict=False)) % PRIME
        if error:
            factor = error * pow(former_error, -1, PRIME)
            longer = [*current, *[0] * (gap + len(former) - len(current))]
            for index, coefficient in enumerate(former, start=gap):
                longer[index] = (longer[index] - factor * coefficient) % PRIME
            if 2 * length <= place:
                length, former, former_error, gap = place + 1 - length, current, error, 0
            current = longer
        gap += 1
    return [*current, *[0] * (length + 1 - len(current))][: length + 1]
