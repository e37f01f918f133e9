"""Integer samples by inversion of an exact table of cumulative probabilities.

The rule kept here: floating point has no part in a sample. A table holds floor(2^128 P[X <= x]) for the integers of a
symmetric range; a sample is the least x whose entry exceeds 128 uniform bits.

*The cost.* One search of 64 uniform bits among the entries' leading halves. Only where these are equal, with
probability below 2^-40 a draw for any table here, are the other 64 bits drawn and compared.

*Distance.* Every probability is off by at most 2^-128, and the range leaves out less than 2^-128 on each side, so a
sample is within (number of integers in the range) 2^-128 of its distribution in statistical distance. That is below
``SAMPLE_DISTANCE`` for ranges up to 2^20 integers, the largest allowed; the accountants add it to delta.

Reference: inversion by table as in Micciancio and Walter, CRYPTO 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.errors import ConfigError
from securefl.privacy.noise_stream import NoiseStream

PRECISION_BITS: Final = 128
TAIL_BITS: Final = 130
"""Either tail beyond the range of a table has a probability below 2^-130."""
WORKING_BITS: Final = 384
"""Bits of the fixed-point weights from which a table is made."""
MAX_TAIL: Final = (1 << 19) - 1
"""Largest magnitude of a sample; a wider table would be of no use on grids of at most 24 bits."""
SAMPLE_DISTANCE: Final = Fraction(1, 1 << 107)
"""Statistical distance of one sample from its distribution, at most."""

Integers = NDArray[np.int64]
_HALF_BITS: Final = 64
_CHUNK: Final = 1 << 18
"""Samples drawn at a time, so that working memory does not grow with the payload."""


@dataclass(frozen=True, slots=True)
class SymmetricTable:
    """A symmetric distribution of integers between -tail and tail.

    Attributes:
        tail: Largest magnitude.
        entries: floor(2^128 P[X <= x]) for x = -tail .. tail - 1.
        leading: (2 tail,) uint64, the entries' leading 64 bits.
    """

    tail: int
    entries: tuple[int, ...]
    leading: NDArray[np.uint64]

    def __repr__(self) -> str:
        return f"SymmetricTable(tail={self.tail})"

    @classmethod
    def of_weights(cls, half: Sequence[int]) -> SymmetricTable:
        """Make the table of a distribution from its weights.

        Args:
            half: Weights of 0 .. tail, in any common unit; those of negative integers are the same.
        """
        tail = len(half) - 1
        total, running, entries = 2 * sum(half) - half[0], 0, []
        for x in range(-tail, tail):
            running += half[abs(x)]
            entries.append((running << PRECISION_BITS) // total)
        leading = np.array([entry >> _HALF_BITS for entry in entries], dtype=np.uint64)
        leading.flags.writeable = False
        return cls(tail=tail, entries=tuple(entries), leading=leading)

    def draw(self, count: int, stream: NoiseStream) -> Integers:
        """Draw independent samples.

        Args:
            count: How many.
            stream: Where the bits come from: 8 bytes a sample, and 8 more for each that these do not decide.

        Returns:
            (count,) int64 between -tail and tail.

        Guarantee: within ``SAMPLE_DISTANCE`` of the table's distribution in statistical distance for each sample,
        jointly independent, if the stream's words are uniform; see the module.
        """
        samples = np.empty(count, dtype=np.int64)
        for start in range(0, count, _CHUNK):
            part = samples[start : start + _CHUNK]
            part[...] = self._decide(stream.words(part.size), stream)
        return samples

    def _decide(self, words: NDArray[np.uint64], stream: NoiseStream) -> Integers:
        places = np.searchsorted(self.leading, words, side="right")
        # Entries with the same leading half leave the comparison to the other 64 bits.
        for index in np.flatnonzero(self.leading[np.maximum(places, 1) - 1] == words).tolist():
            places[index] = self._place(int(words[index]), int(stream.words(1)[0]))
        return places.astype(np.int64) - self.tail

    def _place(self, high: int, low: int) -> int:
        """Number of entries that do not exceed 128 bits."""
        bits = (high << _HALF_BITS) | low
        first = int(np.searchsorted(self.leading, np.uint64(high), side="left"))
        last = int(np.searchsorted(self.leading, np.uint64(high), side="right"))
        return first + sum(entry <= bits for entry in self.entries[first:last])


def require_table(tail: int) -> None:
    """Refuse a distribution that is too wide for a table.

    Raises:
        ConfigError: if its range has magnitudes above ``MAX_TAIL``.
    """
    if tail > MAX_TAIL:
        raise ConfigError(
            f"noise of magnitudes up to {tail} on the integer grid is wider than the {MAX_TAIL} of the largest table",
            hint="put the clipped update on a coarser grid: fewer steps within the clip",
        )
