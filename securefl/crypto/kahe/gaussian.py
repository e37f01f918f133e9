"""Discrete Gaussian integers of standard deviation 6.4, between -87 and 87, by an exact table.

The rule kept here: floating point has no part in a sample. The table is the cumulative distribution in units of 2^-128,
computed with integers; a sample is the number of table entries that do not exceed 128 uniform bits.

    weight of x     exp(-x^2 / (2 sigma^2)) = r^(x^2),  r = exp(-25 / 2048),  since 2 sigma^2 = 2048 / 25
    entry c_x       floor(2^128 (weights up to x) / (all weights)),  x = -87 .. 86
    sample          -87 + |{x : c_x <= U}|,  U uniform below 2^128

*The cost.* U's 16 leading bits decide all samples but those in the 2^-16 wide cells that an entry lies in; only these
draw the other 112 bits.

*Distance.* Each of 175 probabilities is off by less than 2^-128, and what lies beyond 87 has a probability below
2^-138, so a sample is within 2^-121 of the discrete Gaussian on all integers in statistical distance.

References: Micciancio, Walter, CRYPTO 2017, and Karmakar et al., IEEE Trans. Comp. 67 (2018), for samplers by table.
The table is the same on every machine; its SHA-256 stands in ``tests/vectors/kahe.json``.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.crypto.kahe.parameters import SIGMA, TAIL
from securefl.crypto.kahe.randomness import RandomStream

PRECISION_BITS: Final = 128
FIRST_BITS: Final = 16
_LATER_BYTES: Final = (PRECISION_BITS - FIRST_BITS) // 8
_WORKING_BITS: Final = 320
"""Bits of the fixed-point weights: all their errors together stay below 2^-300, and no entry lies so near an integer
that they could move it (``tests/crypto/kahe/test_gaussian.py`` computes the table with other means)."""
_UNDECIDED: Final = -(1 << 15)

Samples = NDArray[np.int16]


def sample(count: int, stream: RandomStream) -> Samples:
    """Draw independent samples.

    Args:
        count: How many.
        stream: Where the bits come from: 2 bytes a sample, and 14 more for each that these do not decide.

    Returns:
        (count,) int16 between -``TAIL`` and ``TAIL``.
    """
    first = np.frombuffer(stream.take(2 * count), dtype="<u2")
    samples: Samples = _table()[first]
    open_ones = np.flatnonzero(samples == _UNDECIDED)
    later = np.frombuffer(stream.take(_LATER_BYTES * open_ones.size), np.uint8)
    samples[open_ones] = _decided(first[open_ones], later.reshape(-1, _LATER_BYTES))
    return samples


@cache
def cumulative() -> tuple[int, ...]:
    """The 174 entries c_x, x = -87 .. 86, in units of 2^-128."""
    half = _weights()
    weights = half[:0:-1] + half
    total, running, entries = sum(weights), 0, []
    for weight in weights[:-1]:
        running += weight
        entries.append((running << PRECISION_BITS) // total)
    return tuple(entries)


def _weights() -> list[int]:
    """The weights r^(x^2) of x = 0 .. 87, in units of 2^-320: each is the one before it times r^(2 x - 1)."""
    root = _exponential(1 / (2 * SIGMA**2))
    square = (root * root) >> _WORKING_BITS
    weights, factor = [1 << _WORKING_BITS], root
    for _ in range(TAIL):
        weights.append((weights[-1] * factor) >> _WORKING_BITS)
        factor = (factor * square) >> _WORKING_BITS
    return weights


def _exponential(exponent: Fraction) -> int:
    """exp(-exponent) in units of 2^-320, for an exponent below 1, by its power series."""
    result, term, step = 0, 1 << _WORKING_BITS, 0
    while term:
        result += term if step % 2 == 0 else -term
        step += 1
        term = term * exponent.numerator // (exponent.denominator * step)
    return result


@cache
def _table() -> Samples:
    """The sample of every 16 leading bits, or ``_UNDECIDED``."""
    entries = np.array([entry >> (PRECISION_BITS - FIRST_BITS) for entry in cumulative()])
    cells = np.arange(1 << FIRST_BITS)
    table = (np.searchsorted(entries, cells, side="right") - TAIL).astype(np.int16)
    table[entries] = _UNDECIDED
    table.flags.writeable = False
    return table


def _decided(first: NDArray[np.uint16], later: NDArray[np.uint8]) -> Samples:
    """Samples of all 128 bits: 16 leading ones, and 112 as 14 little-endian bytes."""
    high = np.zeros((len(later), 8), np.uint8)
    high[:, :6] = later[:, 8:]
    leading = high.view("<u8")[:, 0] | (first.astype(np.uint64) << np.uint64(48))
    entries = np.array([entry >> 64 for entry in cumulative()], dtype=np.uint64)
    counts = np.searchsorted(entries, leading, side="right")
    # Only an entry with the same 64 leading bits leaves the comparison to the others.
    for place in np.flatnonzero(entries[counts - 1] == leading).tolist():
        bits = (int(leading[place]) << 64) | int.from_bytes(later[place, :8].tobytes(), "little")
        counts[place] = sum(entry <= bits for entry in cumulative())
    decided: Samples = (counts - TAIL).astype(np.int16)
    return decided
