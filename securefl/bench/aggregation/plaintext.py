"""Adding without a cipher: in float32, as users do it, and in our own integers.

The rule kept here: nothing that a plain implementation would not need. These are what encryption is compared
with, so they must be as fast and as small as they can be made simply.
"""

from __future__ import annotations

import numpy as np

from securefl.aggregation.grid import Integers
from securefl.bench.aggregation.grid_encoding import GridEncoding
from securefl.bench.aggregation.measurement import Job
from securefl.bench.aggregation.ways import Float32, Reading, Sent
from securefl.crypto.words import Words, decode_words, encode_words

WORD_BITS = 64


class Float32Path:
    """Raw float32 both ways; the server adds in float32 and divides."""

    versions = ("numpy",)

    def __init__(self, job: Job) -> None:
        self._cohort = job.cohort
        self._sum = np.zeros(job.values, dtype="<f4")
        self.settings: dict[str, str | int | float] = {"bytes_up": "float32", "bytes_down": "float32"}

    def key_round(self) -> None:
        """No one-time keys."""

    def contribute(self, client: int, vector: Float32) -> Sent[bytes]:
        """The vector's own bytes."""
        return _sent(vector.astype("<f4", copy=False).tobytes())

    def add(self, client: int, contribution: Sent[bytes]) -> None:
        """Add them."""
        self._sum += np.frombuffer(contribution.content, dtype="<f4")

    def publish(self) -> Sent[bytes]:
        """The mean."""
        return _sent((self._sum / np.float32(self._cohort)).tobytes())

    def reader(self, aggregate: Sent[bytes]) -> _Float32Reader:
        """Read it."""
        return _Float32Reader(aggregate.content)

    def integers(self, client: int, vector: Float32) -> None:
        """None: floats are added."""
        return


class _Float32Reader:
    def __init__(self, published: bytes) -> None:
        self._published = published

    def prepare(self) -> None:
        """Nothing to prepare."""

    def read(self) -> Reading:
        return Reading(np.frombuffer(self._published, dtype="<f4").astype(np.float64))


class SamePrecisionPath:
    """The integers that securefl would encrypt, in as few bits as hold one up and a sum of them down.

    Two values share a word, as they share a slot under the cipher; a word is whole bytes. Integers travel as
    distances from the smallest one, so that none is negative.
    """

    versions = ("numpy",)

    def __init__(self, job: Job) -> None:
        self._encoding = GridEncoding(job)
        self._cohort = job.cohort
        self._limit = (1 << (job.precision_bits - 1)) - 1
        self._up_bits = (2 * self._limit).bit_length()
        self._down_bits = (2 * self._limit * job.cohort).bit_length()
        self._sums = np.zeros((2, -(-self._encoding.length // 2)), dtype=np.uint64)
        self.settings: dict[str, str | int | float] = {
            "bits_up": self._up_bits,
            "bits_down": self._down_bits,
        }

    def key_round(self) -> None:
        """No one-time keys."""

    def contribute(self, client: int, vector: Float32) -> Sent[bytes]:
        """The integers, two to a word."""
        shifted = np.zeros(self._sums.shape, dtype=np.uint64)
        integers = self._encoding.encode(client, vector)
        shifted.reshape(-1)[: integers.size] = integers + self._limit
        return _sent(_packed(shifted, self._up_bits))

    def add(self, client: int, contribution: Sent[bytes]) -> None:
        """Add them."""
        self._sums += _unpacked(contribution.content, self._up_bits, columns=self._sums.shape[1])

    def publish(self) -> Sent[bytes]:
        """The sums, two to a word."""
        return _sent(_packed(self._sums, self._down_bits))

    def reader(self, aggregate: Sent[bytes]) -> _SamePrecisionReader:
        """Read them."""
        return _SamePrecisionReader(self, aggregate.content)

    def integers(self, client: int, vector: Float32) -> Integers:
        """Integers that ``contribute`` packs."""
        return self._encoding.encode(client, vector)

    def reading(self, published: bytes) -> Reading:
        """The mean and the sums in what was published."""
        words = _unpacked(published, self._down_bits, columns=self._sums.shape[1])
        sums = words.reshape(-1)[: self._encoding.length].astype(np.int64)
        sums -= self._cohort * self._limit
        return Reading(self._encoding.decode(sums), sums)


class _SamePrecisionReader:
    def __init__(self, path: SamePrecisionPath, published: bytes) -> None:
        self._path = path
        self._published = published

    def prepare(self) -> None:
        """Nothing to prepare."""

    def read(self) -> Reading:
        return self._path.reading(self._published)


def _sent(content: bytes) -> Sent[bytes]:
    return Sent(content, len(content))


def _packed(pairs: Words, bits: int) -> bytes:
    """(2, k) values of so many bits each, as k words of two, or 2k words where two would not fit 64 bits."""
    if 2 * bits > WORD_BITS:
        return encode_words(pairs.reshape(-1), _bytes_of(bits))
    return encode_words(pairs[0] | (pairs[1] << np.uint64(bits)), _bytes_of(2 * bits))


def _unpacked(data: bytes, bits: int, *, columns: int) -> Words:
    """The inverse of ``_packed``: (2, columns)."""
    if 2 * bits > WORD_BITS:
        return decode_words(data, _bytes_of(bits), count=2 * columns).reshape(2, columns)
    both = decode_words(data, _bytes_of(2 * bits), count=columns)
    return np.stack([both & np.uint64((1 << bits) - 1), both >> np.uint64(bits)])


def _bytes_of(bits: int) -> int:
    return -(-bits // 8)
