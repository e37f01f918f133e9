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
    starts = _starts(data, width, count=count)
    # What belongs to a word's neighbours is masked off: several times faster than copying bytes.
    np.bitwise_and(starts, np.uint64(2 ** (8 * width) - 1), out=words[: starts.size])
    tail = np.frombuffer(data, dtype=np.uint8, offset=starts.size * width).reshape(-1, width)
    words.view(np.uint8).reshape(-1, WORD_BYTES)[starts.size :, :width] = tail
    return words.astype(np.uint64, copy=False)


def add_words(totals: Words, data: bytes | bytearray | memoryview, width: int) -> None:
    """Add words to running totals, in place, modulo 2^(8 width): what a total holds above that means nothing.

    A word is added with the bytes of its neighbours that stand behind it. These reach only bits from 8 width on, and
    carries go upwards, so the lower bits are exact; it takes a third of the time of decoding and adding.

    Args:
        totals: (n,) uint64, changed.
        data: Exactly n words of ``width`` bytes.
        width: Bytes of one word, 1 to 8.

    Raises:
        WireError: if the length is another; nothing is added then.
    """
    if len(data) != totals.size * width:
        raise WireError(f"{len(data)} bytes arrived where {totals.size * width} belong")
    starts = _starts(data, width, count=totals.size)
    np.add(totals[: starts.size], starts, out=totals[: starts.size])
    rest = memoryview(data)[starts.size * width :]
    totals[starts.size :] += decode_words(rest, width, count=totals.size - starts.size)


def _starts(data: bytes | bytearray | memoryview, width: int, *, count: int) -> Words:
    """The eight bytes at the start of every word, but of the last few, where that would read beyond the end."""
    whole = max(0, count - WORD_BYTES // width)
    return (
        np.ndarray((whole,), dtype="<u8", buffer=data, strides=(width,)) if whole else np.empty(0, np.uint64)
    )
