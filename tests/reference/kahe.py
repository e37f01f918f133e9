"""Key-additive encryption again, slowly: Python's integers and decimals, nothing from the library.

ChaCha20 block by block, the Gaussian table by ``decimal``, products by one multiplication of large integers.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from functools import cache

N = 4096
Q_BITS = 60
TAIL = 87
MASK = 0xFFFFFFFF


def _rotated(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (32 - bits))) & MASK


def _quarter(state: list[int], a: int, b: int, c: int, d: int) -> None:
    for into, other, turned, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[into] = (state[into] + state[other]) & MASK
        state[turned] = _rotated(state[turned] ^ state[into], bits)


def chacha20(key: bytes, *, counter: int, blocks: int) -> bytes:
    """Keystream of RFC 8439 under nonce zero."""
    constants = struct.unpack("<4I", b"expand 32-byte k")
    out = []
    for block in range(counter, counter + blocks):
        start = [*constants, *struct.unpack("<8I", key), block, 0, 0, 0]
        state = list(start)
        for _ in range(10):
            for columns in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
                _quarter(state, *columns)
            for diagonal in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
                _quarter(state, *diagonal)
        out.append(struct.pack("<16I", *((x + y) & MASK for x, y in zip(state, start, strict=True))))
    return b"".join(out)


class Stream:
    """Bytes of a keystream, in order."""

    def __init__(self, seed: bytes) -> None:
        self._seed, self._next, self._rest = seed, 0, b""

    def take(self, size: int) -> bytes:
        while len(self._rest) < size:
            blocks = -(-(size - len(self._rest)) // 64)
            self._rest += chacha20(self._seed, counter=self._next, blocks=blocks)
            self._next += blocks
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def public(attempt: bytes, section: int, row: int) -> tuple[list[int], list[int]]:
    """Low and high limbs of a_row."""
    fields = b"".join(
        struct.pack(">I", len(field)) + field for field in (attempt, struct.pack(">H", section))
    )
    key = hashlib.shake_256(b"securefl/v3/kahe/public\x00" + fields).digest(32)
    words = struct.unpack(f"<{2 * N}i", chacha20(key, counter=512 * row, blocks=512))
    limbs = [word >> 2 for word in words]
    return limbs[:N], limbs[N:]


@cache
def cumulative() -> list[int]:
    """The 174 entries of the table, in units of 2^-128."""
    with localcontext() as context:
        context.prec = 150
        weights = [(Decimal(-25 * x * x) / Decimal(2048)).exp() for x in range(-TAIL, TAIL + 1)]
        total, running, entries = sum(weights), Decimal(0), []
        for weight in weights[:-1]:
            running += weight
            entries.append(int(running / total * (1 << 128)))
    return entries


def samples(count: int, take: Callable[[int], bytes]) -> list[int]:
    """Gaussian integers: 16 bits for each, then 112 more for each whose cell an entry lies in."""
    first = struct.unpack(f"<{count}H", take(2 * count))
    cells = {entry >> 112 for entry in cumulative()}
    more = take(14 * sum(leading in cells for leading in first))
    drawn, used = [], 0
    for leading in first:
        bits = leading << 112
        if leading in cells:
            bits |= int.from_bytes(more[used : used + 14], "little")
            used += 14
        drawn.append(bisect_right(cumulative(), bits) - TAIL)
    return drawn


def _as_integer(polynomial: Sequence[int], width: int) -> int:
    positive = b"".join(max(x, 0).to_bytes(width, "little") for x in polynomial)
    negative = b"".join(max(-x, 0).to_bytes(width, "little") for x in polynomial)
    return int.from_bytes(positive, "little") - int.from_bytes(negative, "little")


def product(a: Sequence[int], s: Sequence[int]) -> list[int]:
    """a s in Z[X]/(X^N + 1), by one multiplication of integers whose digits are coefficients."""
    width, size = 16, len(a)
    half = 1 << (8 * width - 1)
    biased = _as_integer(a, width) * _as_integer(s, width) + _as_integer([half] * (2 * size), width)
    data = biased.to_bytes(width * 2 * size + 1, "little")
    digits = [int.from_bytes(data[width * i : width * (i + 1)], "little") - half for i in range(2 * size)]
    return [low - high for low, high in zip(digits[:size], digits[size:], strict=True)]


def masks(attempt: bytes, section: int, row: int, s: Sequence[int]) -> list[int]:
    """a_row s, integers."""
    low, high = public(attempt, section, row)
    return product([x + (y << 30) for x, y in zip(low, high, strict=True)], s)


def encrypt(
    rows: Sequence[Sequence[int]],
    s: Sequence[int],
    seed: bytes,
    *,
    attempt: bytes,
    section: int,
    k: int,
    d: int,
) -> list[list[int]]:
    """Words of a window of at most four ciphertexts, whose errors are drawn together."""
    stream = Stream(seed)
    errors = samples(len(rows) * N, stream.take)
    words = []
    for row, slots in enumerate(rows):
        e = errors[row * N : (row + 1) * N]
        mask = masks(attempt, section, row, s)
        c = [
            ((m << k) + x - y + (1 << d >> 1)) % (1 << Q_BITS) for m, x, y in zip(slots, e, mask, strict=True)
        ]
        words.append([x >> d for x in c])
    return words


def decrypt(
    total: Sequence[Sequence[int]], s: Sequence[int], *, attempt: bytes, section: int, k: int, d: int
) -> list[list[int]]:
    """Slots of a total."""
    q, slots = 1 << Q_BITS, []
    for row, words in enumerate(total):
        mask = masks(attempt, section, row, s)
        phase = [((x << d) + y + q // 2) % q - q // 2 for x, y in zip(words, mask, strict=True)]
        slots.append([(x + (1 << k - 1)) >> k for x in phase])
    return slots
