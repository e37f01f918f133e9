"""Gaussian noise for DP-SGD: integers on a grid of 2^-24 standard deviations, from exact tables.

The rule kept here: no floating-point arithmetic has a part in a sample, so that the low bits of what is released tell
nothing of the sum (Mironov 2012); and no seed of a configuration reaches it.

A sample is 2^10 X + Y, with X and Y from N_Z(0, 2^28). Y is wide on the lattice 2^10 Z, 16 of its steps, so the sum is
within a factor 1 +- 2^-3000 of N_Z(0, 2^48 + 2^28) (Peikert, CRYPTO 2010, theorem 3.1; the same convolution as in
Micciancio and Walter, CRYPTO 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.privacy.discrete_gaussian import discrete_gaussian
from securefl.privacy.noise_stream import NoiseStream

_SHIFT: Final = 10
_PART_VARIANCE: Final = 1 << 28
VARIANCE: Final = (_PART_VARIANCE << (2 * _SHIFT)) + _PART_VARIANCE
"""Of a sample, in squared grid steps."""


@dataclass(frozen=True, slots=True)
class FineNoise:
    """Noise of one standard deviation for sums of real numbers.

    Attributes:
        deviation: Standard deviation, positive.
    """

    deviation: float

    @property
    def step(self) -> float:
        """Width of the grid, about 2^-24 standard deviations."""
        return self.deviation / math.sqrt(VARIANCE)

    def added(self, sums: NDArray[np.float64], stream: NoiseStream) -> NDArray[np.float64]:
        """Round to the grid, and add noise.

        Args:
            sums: (d,) float64, below 2^38 standard deviations.
            stream: Where the bits come from.

        Returns:
            (d,) float64, multiples of the grid's step.

        Guarantee: the integers that are returned times a step are post-processing of the rounded sums plus Gaussian
        noise of this standard deviation, but for a factor exp(d 2^-50) in probabilities and the tables' distance of
        2 d 2^-107 (``privacy.accounting.concentrated``, ``privacy.tables``). Rounding moves two sums apart by at most
        sqrt(d) steps; with clips of one z-th of the deviation, half of ``row_clipping.MARGIN`` covers that up to
        d = 10^9 / z^2 values.
        """
        grid = np.rint(sums / self.step).astype(np.int64)
        return (grid + drawn(sums.size, stream)).astype(np.float64) * self.step


def drawn(count: int, stream: NoiseStream) -> NDArray[np.int64]:
    """Draw (count,) samples of N_Z(0, ``VARIANCE``); see the module."""
    table = discrete_gaussian(Fraction(_PART_VARIANCE))
    return (table.draw(count, stream) << _SHIFT) + table.draw(count, stream)
