"""Discrete Gaussian noise N_Z(0, v): integers x with probabilities proportional to exp(-x^2 / (2 v)).

The rule kept here: the variance parameter v is a positive fraction, and the table that samples come from follows from
it by integer arithmetic alone.

References: Canonne, Kamath, Steinke, NeurIPS 2020 (arXiv 2004.00010): N_Z(0, v) satisfies the concentrated
differential privacy of the Gaussian of variance v, and its variance is at most v.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import isqrt

from securefl.errors import ConfigError
from securefl.privacy.tables import TAIL_BITS, WORKING_BITS, SymmetricTable, require_table

_LN2_ABOVE = Fraction(694, 1000)
"""Above ln 2 = 0.6931..."""


@lru_cache(maxsize=8)
def discrete_gaussian(variance: Fraction) -> SymmetricTable:
    """Make the table of N_Z(0, variance).

    Args:
        variance: v, a positive fraction, in squared grid steps.

    Guarantee: samples are within ``tables.SAMPLE_DISTANCE`` of N_Z(0, v). Weights are products of at most tail factors,
    each off by less than 2^-383 of 1; all errors together stay below 2^-330.

    Raises:
        ConfigError: if the variance is not positive, or too large for a table.
    """
    tail = tail_of(variance)
    root = _exponential(1 / (2 * variance))
    square = (root * root) >> WORKING_BITS
    weights, factor = [1 << WORKING_BITS], root
    # The weight of x is that of x - 1 times exp(-(2 x - 1) / (2 v)).
    for _ in range(tail):
        weights.append((weights[-1] * factor) >> WORKING_BITS)
        factor = (factor * square) >> WORKING_BITS
    return SymmetricTable.of_weights(weights)


def tail_of(variance: Fraction) -> int:
    """Largest magnitude of a sample: P[X > tail] <= exp(-tail^2 / (2 v)) is below 2^-130 (sub-Gaussian, op. cit.).

    Raises:
        ConfigError: if the variance is not positive, or too large for a table.
    """
    if variance <= 0:
        raise ConfigError(
            "the noise has no positive variance", hint='raise the noise, or write unit = "none"'
        )
    square = 2 * variance * TAIL_BITS * _LN2_ABOVE
    tail = isqrt(square.__ceil__()) + 1
    require_table(tail)
    return tail


def _exponential(exponent: Fraction) -> int:
    """exp(-exponent) in units of 2^-384, by the power series of a part of it below 1 and by squaring."""
    halvings = max(0, exponent.__ceil__().bit_length())
    part = exponent / (1 << halvings)
    guard = WORKING_BITS + 64
    result, term, step = 0, 1 << guard, 0
    while term:
        result += term if step % 2 == 0 else -term
        step += 1
        term = term * part.numerator // (part.denominator * step)
    for _ in range(halvings):
        result = (result * result) >> guard
    return result >> (guard - WORKING_BITS)
