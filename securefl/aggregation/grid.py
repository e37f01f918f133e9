"""The grid: real values as bounded integers by stochastic rounding, and sums of integers as reals again.

The rule kept here: the bound and the step of every coordinate are public and fixed before training, so the
integers of any cohort fit a lane that was sized beforehand, and rounding is unbiased: its errors average out
in the sum.

Terms: a *span* is a run of coordinates under one bound; the *limit* is the largest integer, 2^(bits - 1) - 1;
the *step* of a span is bound / limit; a value beyond its bound is clipped to it, and counted as *saturated*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.payloads.base import Vector
from securefl.errors import ConfigError, ProtocolError, TrainingError

Integers = NDArray[np.int64]
CHUNK_VALUES = 1 << 17
"""Values rounded at a time: 1 MiB of float64, so working memory does not grow with the payload."""
MIN_BITS, MAX_BITS = 2, 32


@dataclass(frozen=True, slots=True)
class Span:
    """A run of coordinates under one bound.

    Attributes:
        size: Number of coordinates.
        bound: Largest magnitude of one value; it maps to the limit.
    """

    size: int
    bound: float


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid over a whole vector.

    Attributes:
        bits: Width of an integer, sign included.
        spans: The bounds, in the order of the coordinates.

    Raises:
        ConfigError: for a width outside 2 to 32 bits, or a bound that is not positive and finite.
    """

    bits: int
    spans: tuple[Span, ...]

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise ConfigError(f"a grid of {self.bits} bits", hint=f"take {MIN_BITS} to {MAX_BITS}")
        if not all(0 < span.bound < np.inf for span in self.spans):
            raise ConfigError("a grid's bound must be positive and finite")

    @property
    def limit(self) -> int:
        """The largest integer's magnitude."""
        return (1 << (self.bits - 1)) - 1

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return sum(span.size for span in self.spans)

    def step(self, span: Span) -> float:
        """Distance of two neighbouring grid points of a span."""
        return span.bound / self.limit

    def quantise(
        self, runs: Iterable[Vector], *, rng: np.random.Generator, saturated: NDArray[np.int64]
    ) -> Iterator[Integers]:
        """Round every value to one of its two neighbours on the grid, the nearer one more often.

        The expectation of the result is the clipped value, in steps; 0 and the bound stay what they are. The whole
        vector is never in memory.

        Args:
            runs: The V values in order, in runs of any length; left as they are.
            rng: Draws one float64 a value, in order, whatever the runs.
            saturated: (number of spans,) int64; how many values lay beyond their bound is added to it.

        Returns:
            The V integers in order, in runs.

        Raises:
            TrainingError: if a value is not finite.
            ProtocolError: if the runs are longer or shorter than the grid.
        """
        for index, chunk in self._chunks(runs):
            integers = np.empty(chunk.size, dtype=np.int64)
            saturated[index] += self._quantise_chunk(chunk, self.spans[index].bound, rng, integers)
            yield integers

    def dequantise(self, sums: Integers) -> Vector:
        """Integers (V,), or sums of them over clients, as float64 values (V,)."""
        values = np.empty(sums.shape, dtype=np.float64)
        for span, place in self._places():
            np.multiply(sums[place], self.step(span), out=values[place])
        return values

    def _chunks(self, runs: Iterable[Vector]) -> Iterator[tuple[int, Vector]]:
        """The runs, cut where a span ends and where they are long, each piece with its span's index."""
        ends = np.cumsum([span.size for span in self.spans])
        place = 0
        for run in runs:
            rest = run
            while rest.size:
                index = int(np.searchsorted(ends, place, side="right"))
                if index == len(ends):
                    raise ProtocolError(f"more than {place} values were put on a grid of so many")
                length = min(rest.size, int(ends[index]) - place, CHUNK_VALUES)
                yield index, rest[:length]
                rest, place = rest[length:], place + length
        if place != self.size:
            raise ProtocolError(f"{place} values were put on a grid of {self.size}")

    def _quantise_chunk(self, values: Vector, bound: float, rng: np.random.Generator, out: Integers) -> int:
        if not np.isfinite(values).all():
            raise TrainingError("the update holds values that are not finite", hint="lower the learning rate")
        saturated = int(np.count_nonzero(np.abs(values) > bound))
        scaled = np.clip(values, -bound, bound)
        # Dividing first keeps a value at the bound exactly at the limit.
        scaled /= bound
        scaled *= self.limit
        lower = np.floor(scaled)
        scaled -= lower
        # The fraction is exact, and 0 at the limit, which is therefore never passed.
        lower += rng.random(scaled.size) < scaled
        out[...] = lower
        return saturated

    def _places(self) -> Iterator[tuple[Span, slice]]:
        start = 0
        for span in self.spans:
            yield span, slice(start, start + span.size)
            start += span.size
