"""Stochastic rounding to integers, drawn again until the integers are short enough (conditional rounding).

The rule kept here: whatever this module gives out has passed ``require_norm``, an exact comparison of integers. Noise
is added after it, and nothing is clipped after that.

Reference: Kairouz, Liu, Steinke, ICML 2021 (arXiv 2102.06387), algorithm 1, steps 4 and 5.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.errors import TrainingError
from securefl.privacy.noise_stream import NoiseStream

Vector = NDArray[np.float64]
Integers = NDArray[np.int64]
MAX_DRAWS: Final = 200
"""Each draw of a clipped vector is accepted with a probability of 0.39 or more, so all fail with less than 2^-142."""
LARGEST: Final = 1 << 26
"""Integers beyond it could overflow a sum of squares in 64 bits; no grid of ours has so many steps."""


def round_conditionally(values: Vector, *, squared_bound: int, stream: NoiseStream) -> Integers:
    """Round each value to one of its two neighbouring integers, the nearer one more often.

    Without the condition the expectation is the value itself. Drawing again moves it by at most what an event of
    probability 0.61 or less can; on flat vectors far less (``tests/privacy/test_rounding.py`` measures it).

    Args:
        values: (d,) float64 in grid steps.
        squared_bound: S; see ``integer_sensitivity``.
        stream: Draws one fraction a value and attempt.

    Returns:
        (d,) int64 with a squared Euclidean norm of at most S.

    Raises:
        TrainingError: if no draw is short enough: the values were not clipped, or are not finite.
    """
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) > LARGEST:
        raise TrainingError(
            "the update holds values that are not finite, or was not clipped", hint="lower the learning rate"
        )
    lower = np.floor(values)
    fraction, base = values - lower, lower.astype(np.int64)
    for _ in range(MAX_DRAWS):
        integers = base + (stream.fractions(base.size) < fraction)
        if squared_norm(integers) <= squared_bound:
            return integers
    raise TrainingError(
        "an update is longer than its clip, and was not rounded", hint="clip it to the norm of the plan first"
    )


def squared_norm(integers: Integers) -> int:
    """The exact sum of squares."""
    # Chunks of 2^10 squares below 2^53 add up within 64 bits; Python's integers add up the rest.
    return sum(
        int(np.dot(part, part)) for part in np.array_split(integers, -(-max(integers.size, 1) // 1024))
    )


def require_norm(integers: Integers, *, squared_bound: int) -> None:
    """Refuse integers that are longer than the sensitivity that noise was sized for.

    Raises:
        TrainingError: if the squared Euclidean norm is above the bound, or a value is too large to square.
    """
    if integers.size and (
        max(-int(integers.min()), int(integers.max())) > LARGEST or squared_norm(integers) > squared_bound
    ):
        raise TrainingError(
            "the integers of an update are longer than the sensitivity of the plan",
            hint="nothing was sent; clip and round the update with the parameters of the plan",
        )
