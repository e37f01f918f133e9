"""Levels of noise, place by place: what should be noise of a charged deviation, and is weaker somewhere.

The rule kept here: a place is judged by values that are noise alone, so that a tensor without noise cannot hide behind
the noise of others. Noise that comes twice shows in the difference of the two, which is weaker than that of two noises.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from securefl.errors import ConfigError
from securefl.privacy.accounting.base import EXTRA_HINT


@dataclass(frozen=True, slots=True)
class WeakNoise:
    """A place whose noise is weaker than charged.

    Attributes:
        place: Its name.
        part: Deviation of the noise there, by the one that was charged.
    """

    place: str
    part: float


@dataclass(slots=True)
class NoiseLevels:
    """Sums of squares of noise by place."""

    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)

    def see(self, place: str, noise: ArrayLike) -> None:
        """Take up values that are noise alone.

        Args:
            place: Where they were seen.
            noise: (k,) by the deviation that was charged.
        """
        values = np.asarray(noise, dtype=np.float64)
        count, squares = self._seen.get(place, (0, 0.0))
        self._seen[place] = count + values.size, squares + float(values @ values)

    def weak(self, *, significance: float) -> tuple[WeakNoise, ...]:
        """Places whose noise is weaker than charged, in the order in which they were first seen.

        Args:
            significance: Chance that one of all places is named although none is weaker.

        Guarantee: for normal noise the chance is exact (chi-square), shared evenly among the places.
        """
        try:
            from scipy import stats
        except ImportError:
            raise ConfigError("looks at noise need scipy", hint=EXTRA_HINT) from None
        level = significance / max(1, len(self._seen))
        return tuple(
            WeakNoise(place, math.sqrt(squares / count))
            for place, (count, squares) in self._seen.items()
            if count and stats.chi2.cdf(squares, count) < level
        )
