"""One vector as the integers of a contribution, and their sums as the mean: the grid's part of a round.

The rule kept here: the same functions in the same order as ``aggregation.encoding.RoundCodec`` in the first round,
which carries the weights, for a payload that is one vector; every client weighs as much as it can.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from securefl.adapters.payloads.base import RUN_VALUES, Vector
from securefl.adapters.seeding import seeded_generator
from securefl.aggregation.grid import Grid, Integers, Span
from securefl.aggregation.weighting import weight_steps, weighted
from securefl.bench.aggregation.measurement import Job
from securefl.bench.aggregation.ways import Float32

SAMPLES = 1000
"""Each client's sample count, and the count from which on all weigh the same."""


class GridEncoding:
    """Vectors (V,) to integers (D,), D = V + 1: the last one is the client's weight.

    Args:
        job: Says V, precision, bound and seed.
    """

    def __init__(self, job: Job) -> None:
        self._grid = Grid(job.precision_bits, (Span(job.values, job.bound),))
        self._seed = job.seed

    @property
    def length(self) -> int:
        """D."""
        return self._grid.size + 1

    def encode(self, client: int, vector: Float32) -> Integers:
        """A client's integers; the same ones every time, since the rounding is seeded."""
        return np.concatenate(list(self.runs(client, vector)))

    def runs(self, client: int, vector: Float32) -> Iterator[Integers]:
        """The same, in runs of about ``RUN_VALUES``."""
        steps = weight_steps(SAMPLES, cap=SAMPLES, limit=self._grid.limit)
        pieces = np.split(vector, range(RUN_VALUES, vector.size, RUN_VALUES))
        runs = (piece.astype(np.float64) for piece in pieces)
        values = weighted(runs, steps=steps, limit=self._grid.limit)
        rng = seeded_generator(self._seed, "rounding", client)
        yield from self._grid.quantise(values, rng=rng, saturated=np.zeros(1, dtype=np.int64))
        yield np.array([steps], dtype=np.int64)

    def decode(self, sums: Integers) -> Vector:
        """The mean (V,) from the sums (D,)."""
        values = self._grid.dequantise(sums[:-1])
        values /= sums[-1] / self._grid.limit
        return values
