"""Least epsilon of Skellam noise: what one test on two neighbouring sums shows, beside the only upper bound of it.

The rule kept here: no Renyi divergence and no theorem of its accountant takes part, so that a mistake in these is seen.

*Two neighbours.* A member's integers are k = floor(sqrt(S)) on one coordinate in every round, or zeros. The sum of that
coordinate over all rounds has noise of the sum of their variances, as sums of Skellam noise are Skellam noise. Adding
up is post-processing, so whatever is (epsilon, delta)-close for the rounds is so for this sum X. For every t

    P[X + k >= t] <= e^epsilon P[X >= t] + delta,   hence   epsilon >= log((P[X >= t - k] - delta) / P[X >= t]),

with k summed over the rounds. The best t is taken. For noise that is wide against k this is nearly the epsilon of a
Gaussian mechanism, of which no accountant may stay below.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.privacy.events import DistributedSkellam, Event

DEVIATIONS: Final = 14
"""Tails are summed up to so many standard deviations, and beyond the shift."""
WIDE: Final = 1e8
"""Variance from which a normal's tails stand for those of Skellam noise; they differ by less than 1e-4 of themselves
within ``DEVIATIONS``, as the excess kurtosis is 1 / variance."""
STEPS: Final = 10_000
"""Thresholds that are tried where tails are a normal's."""


def least_epsilon(events: Iterable[Event], *, delta: float) -> float:
    """Compute a lower bound of epsilon at a delta, from the releases under Skellam noise alone; 0 without any.

    Args:
        events: Everything that was released about one client, in any order.
        delta: Between 0 and 1, both excluded.

    Guarantee: an upper bound of epsilon below this value is wrong, but for rounding of floats; see above. It assumes
    nothing of the members.
    """
    released = [event for event in events if isinstance(event, DistributedSkellam)]
    if not released:
        return 0.0
    shift = sum(math.isqrt(event.squared_sensitivity) for event in released)
    variance = float(sum(event.variance for event in released))
    shifted, plain = (_normal if variance > WIDE else _summed)(variance, shift)
    seen = (shifted > delta) & (plain > 0)
    return float(max(0.0, np.log((shifted[seen] - delta) / plain[seen]).max(initial=0.0)))


Tails = tuple[NDArray[np.float64], NDArray[np.float64]]
"""At some thresholds t, P[X >= t - shift] and P[X >= t]."""


def _summed(variance: float, shift: int) -> Tails:
    from scipy.special import ive

    last = shift + math.ceil(DEVIATIONS * math.sqrt(variance) + DEVIATIONS)
    chances = ive(np.abs(np.arange(-shift, last + 1)), variance)
    tails = np.cumsum(chances[::-1])[::-1]
    return tails[: len(tails) - shift], tails[shift:]


def _normal(variance: float, shift: int) -> Tails:
    from scipy.stats import norm

    deviation = math.sqrt(variance)
    thresholds = np.linspace(0, shift + DEVIATIONS * deviation, STEPS)
    return norm.sf((thresholds - shift) / deviation), norm.sf(thresholds / deviation)
