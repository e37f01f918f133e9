"""Clipping of a whole update in the Euclidean norm."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from securefl.errors import TrainingError

Vector = NDArray[np.float64]


def clip_norm(update: Vector, clip: float) -> Vector:
    """Scale an update down to a norm of at most the clip; a shorter one stays as it is.

    What bounds a member's influence is the integer norm after rounding (``rounding``); clipping makes that bound
    reachable. The norm is of the whole payload, so it comes before the payload is cut into windows.

    Args:
        update: (d,) float64, what training changed since the round's start.
        clip: C, above 0.

    Raises:
        TrainingError: if a value is not finite.
    """
    # Scaled by its largest value first, so that no square overflows.
    largest = float(np.abs(update).max(initial=0.0))
    if not math.isfinite(largest):
        raise TrainingError("the update holds values that are not finite", hint="lower the learning rate")
    if largest == 0.0:
        return np.zeros(update.shape)
    scaled = update / largest
    norm = math.sqrt(float(np.dot(scaled, scaled)))
    return scaled * min(largest, clip / norm)
