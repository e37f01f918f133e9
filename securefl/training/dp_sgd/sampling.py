"""Poisson sampling: every row is drawn by a coin of its own, in every step anew.

The rule kept here: the coins come from the operating system's generator, never from a configured seed: amplification by
sampling holds only while nobody else knows which rows were drawn. Batches differ in size and may be empty.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from securefl.privacy.noise_stream import NoiseStream


def poisson_rows(rows: int, probability: float, stream: NoiseStream) -> NDArray[np.int64]:
    """Draw row numbers, ascending.

    Args:
        rows: How many there are.
        probability: q, from 0 to 1.
        stream: Where the coins come from.

    Guarantee: each row is drawn independently with probability floor(q 2^64) / 2^64, at most q, if the stream's words
    are uniform.
    """
    below = int(Fraction(probability) * (1 << 64))
    if below >= 1 << 64:
        return np.arange(rows, dtype=np.int64)
    return np.flatnonzero(stream.words(rows) < np.uint64(below)).astype(np.int64)
