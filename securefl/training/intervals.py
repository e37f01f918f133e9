"""Intervals around figures that few rows gave.

The rule kept here: a share of rows has Wilson's interval, any other figure one from seeded resamples of its rows, so
that the same rows have the same interval everywhere. All levels are 95 %, and all say how far the figure of these
rows may lie from that of all rows like them; that a site's rows change is in none of them.

References: Wilson, Journal of the American Statistical Association 22 (1927); Efron and Tibshirani, An Introduction to
the Bootstrap (1993), section 13.3 (percentiles); Agresti and Min, Statistics in Medicine 24 (2005), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
"""Lower and upper end."""

LEVEL: Final = 0.95
DRAWS: Final = 1000
"""Resamples: the ends of an interval of width w are then known to about w / 20."""
_Z: Final = NormalDist().inv_cdf((1 + LEVEL) / 2)
_SEED: Final = 20


def wilson(hits: int, rows: int) -> Interval:
    """Wilson's interval of a share of rows.

    Args:
        hits: Rows that count, from 0 to ``rows``.
        rows: At least 1.
    """
    share, square = hits / rows, _Z**2 / rows
    middle = (share + square / 2) / (1 + square)
    reach = _Z * math.sqrt(share * (1 - share) / rows + square / (4 * rows)) / (1 + square)
    # Of no hit and of all hits one end is the share itself, which rounding would miss.
    return (middle - reach if hits else 0.0), (middle + reach if hits < rows else 1.0)


def bootstrap(figures: Callable[[NDArray[np.int64]], Mapping[str, float]], rows: int) -> dict[str, Interval]:
    """Percentile intervals of figures, by ``DRAWS`` resamples with replacement.

    Args:
        figures: From numbers of rows, in which one may stand several times, to figures by name.
        rows: At least 1.
    """
    rng = np.random.default_rng(_SEED)
    drawn = [figures(rng.integers(0, rows, size=rows)) for _ in range(DRAWS)]
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    found = {name: np.quantile([one[name] for one in drawn], ends) for name in drawn[0]}
    return {name: (float(low), float(high)) for name, (low, high) in found.items()}


def paired_reach(wins: int, losses: int, rows: int) -> float:
    """Half the width of Agresti and Min's interval of the difference of two shares of the same rows.

    Args:
        wins: Rows that count for the first model alone.
        losses: Rows that count for the second model alone.
        rows: All rows, at least 1.
    """
    # Half a row is added to each of the four counts, so that few rows do not look like certainty.
    first, second, total = wins + 0.5, losses + 0.5, rows + 2
    return _Z * math.sqrt(first + second - (first - second) ** 2 / total) / total
