"""Range of a share that was counted on few rows.

Reference: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
"""

from __future__ import annotations

import math

QUANTILE_95 = 1.959964
"""Of the normal distribution, for an interval that holds the truth 19 times of 20."""


def wilson(share: float, samples: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share, both ends between 0 and 1.

    Args:
        share: Counted ones by ``samples``.
        samples: At least 1.
    """
    square = QUANTILE_95**2
    middle = (share + square / (2 * samples)) / (1 + square / samples)
    spread = math.sqrt(share * (1 - share) / samples + square / (4 * samples**2))
    reach = QUANTILE_95 * spread / (1 + square / samples)
    return max(0.0, middle - reach), min(1.0, middle + reach)
