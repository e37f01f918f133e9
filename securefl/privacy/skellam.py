"""Symmetric Skellam noise of variance v: the difference of two Poisson counts of mean v / 2 each.

The rule kept here: the variance v is a positive fraction, and the table that samples come from follows from it by
integer arithmetic alone. Sums of Skellam noise are Skellam noise, so the noise of any number of survivors is known
exactly.

    probability of k   exp(-v) I_|k|(v),   I_(k-1)(v) = I_(k+1)(v) + (2 k / v) I_k(v)

The recurrence is run downwards from where the probability is below 2^-400 (Miller's algorithm): its other solution
grows upwards, so that errors of the start die out.

Reference: Agarwal, Kairouz, Liu, NeurIPS 2021 (arXiv 2110.04995).
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Final

from securefl.errors import ConfigError
from securefl.privacy.tables import TAIL_BITS, WORKING_BITS, SymmetricTable, require_table

_START_BITS: Final = 400


@lru_cache(maxsize=8)
def skellam(variance: Fraction) -> SymmetricTable:
    """Make the table of Skellam noise.

    Args:
        variance: v, a positive fraction, in squared grid steps.

    Guarantee: samples are within ``tables.SAMPLE_DISTANCE`` of the Skellam distribution. Each step of the recurrence
    rounds by one unit in at least 2^384, so all weights are off by less than 2^-360 of themselves.

    Raises:
        ConfigError: if the variance is not positive, or too large for a table.
    """
    tail, start = tail_of(variance), _reach(variance, _START_BITS) + 1
    above, here = 0, 1 << WORKING_BITS
    weights = {start: here}
    for k in range(start, 0, -1):
        above, here = here, above + 2 * k * here * variance.denominator // variance.numerator
        weights[k - 1] = here
    return SymmetricTable.of_weights([weights[k] for k in range(tail + 1)])


def tail_of(variance: Fraction) -> int:
    """Largest magnitude of a sample: beyond it on one side lies a probability below 2^-130.

    Raises:
        ConfigError: if the variance is not positive, or too large for a table.
    """
    if variance <= 0:
        raise ConfigError(
            "the noise has no positive variance", hint='raise the noise, or write unit = "none"'
        )
    tail = _reach(variance, TAIL_BITS)
    require_table(tail)
    return tail


def _reach(variance: Fraction, bits: int) -> int:
    """The least t with Chernoff's bound P[X >= t] <= 2^-bits, by bisection, and two more against rounding."""
    mean, low, high = float(variance), 0, 1
    while _log2_tail(mean, high) > -bits:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _log2_tail(mean, middle) > -bits else (low, middle)
    return high + 2


def _log2_tail(variance: float, t: int) -> float:
    """Chernoff's bound: the least of v (cosh s - 1) - s t over s, at s = asinh(t / v); in bits."""
    ratio = t / variance
    # cosh s - 1 without cancellation for small ratios.
    rise = ratio * ratio / (math.sqrt(1 + ratio * ratio) + 1)
    return (variance * rise - t * math.asinh(ratio)) / math.log(2)
