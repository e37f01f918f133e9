"""Fixed-width words: unsigned integers of 1 to 8 bytes each, little-endian, without a gap.

The rule kept here: n integers are exactly n times width bytes, and every string of that length decodes;
whether an integer is in range is for the caller to check, who knows the range.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from securefl.errors import WireError

Words = NDArray[np.uint64]
WORD_BYTES = 8


def encode_words(values: Words, width: int) -> bytes:
    """The low ``width`` bytes of every value; callers make sure that nothing stands above them."""
    contiguous = np.ascontiguousarray(values, dtype="<u8")
    return contiguous.view(f"V{WORD_BYTES}").astype(f"V{width}").tobytes()


def decode_words(data: bytes | bytearray | memoryview, width: int, *, count: int) -> Words:
    """The inverse of ``encode_words``.

    Args:
        data: Exactly ``count * width`` bytes.
        width: Bytes of one word, 1 to 8.
        count: Number of words.

    Returns:
        (count,) uint64 below 2^(8 width).

    Raises:
        WireError: if the length is another.
    """
    if len(data) != count * width:
        raise WireError(f"{len(data)} bytes arrived where {count * width} belong")
    words = np.zeros(count, dtype="<u8")
    whole = max(0, count - WORD_BYTES // width)
    if whole:
        # Eight bytes are read at every word's start and what belongs to its neighbours is masked off:
        # several times faster than copying bytes. The last few words, where that would read beyond the end,
        # are copied.
        starts = np.ndarray((whole,), dtype="<u8", buffer=data, strides=(width,))
        np.bitwise_and(starts, np.uint64(2 ** (8 * width) - 1), out=words[:whole])
    tail = np.frombuffer(data, dtype=np.uint8, offset=whole * width).reshape(-1, width)
    words.view(np.uint8).reshape(-1, WORD_BYTES)[whole:, :width] = tail
    return words.astype(np.uint64, copy=False)
