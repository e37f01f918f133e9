"""Calibration: the least noise multiplier with which a composition keeps a target."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from securefl.errors import ConfigError
from securefl.privacy.accounting.base import Accountant
from securefl.privacy.accounting.rdp import RdpAccountant
from securefl.privacy.events import Event

LEAST: Final = 0.02
NARROW: Final = 0.8
MOST: Final = 2.0**20
CLOSE: Final = 0.995
"""Share of the target epsilon that the result uses at least, where epsilon varies smoothly."""
TOLERANCE: Final = 1e-4
"""Relative width at which the search ends in any case."""


def least_multiplier(
    events_of: Callable[[float], Iterable[Event]],
    *,
    target_epsilon: float,
    delta: float,
    accountant: Accountant,
) -> float:
    """Find a noise multiplier, hardly above the least one, whose events keep a target epsilon.

    Args:
        events_of: All events of a federation under a noise multiplier; epsilon falls as it rises.
        target_epsilon: Largest epsilon allowed.
        delta: At this delta.
        accountant: Computes epsilon.

    Raises:
        ConfigError: if no noise of reasonable size keeps it.
    """
    # Epsilon by Renyi divergence is above the tight one by little, and quick to compute: it narrows the search.
    coarse = _search(events_of, RdpAccountant(), target_epsilon, delta, low=LEAST, high=1.0)
    if isinstance(accountant, RdpAccountant):
        return coarse
    return _search(events_of, accountant, target_epsilon, delta, low=coarse * NARROW, high=coarse)


def _search(
    events_of: Callable[[float], Iterable[Event]],
    accountant: Accountant,
    target_epsilon: float,
    delta: float,
    *,
    low: float,
    high: float,
) -> float:
    """Find a multiplier whose epsilon is at most the target, and hardly less; see ``CLOSE``."""

    def epsilon(multiplier: float) -> float:
        return accountant.epsilon(events_of(multiplier), delta=delta)

    above, below = math.inf, epsilon(high)
    while below > target_epsilon:
        low, high, above = high, 2 * high, below
        if high > MOST:
            raise ConfigError(
                f"'privacy.target_epsilon' is {target_epsilon:g}, which no noise keeps at delta {delta:g}",
                hint="raise target_epsilon or delta, or write fewer rounds",
            )
        below = epsilon(high)
    while below < CLOSE * target_epsilon and high > low * (1 + TOLERANCE):
        middle = _between(low, high, above, below, target_epsilon)
        found = epsilon(middle)
        if found <= target_epsilon:
            high, below = middle, found
        else:
            low, above = middle, found
    return high


def _between(low: float, high: float, above: float, below: float, target: float) -> float:
    """Point where the line through both ends, in logarithms, meets the target; well inside, so the ends approach."""
    part = 0.5
    if math.isfinite(above) and below > 0:
        aim = math.log(target * (1 + CLOSE) / 2)
        part = (math.log(above) - aim) / (math.log(above) - math.log(below))
    return math.exp(math.log(low) + min(max(part, 0.1), 0.9) * (math.log(high) - math.log(low)))
