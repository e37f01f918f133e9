"""The vectors that all paths add: like the changes of LoRA factors, Gaussian, small, and clipped to the bound.

The rule kept here: they are drawn once for a run of the benchmark and lie in files, so that every path and every
peer reads the same bits; and their exact mean is computed once, in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from securefl.adapters.seeding import seeded_generator

BOUND = 0.25
"""Largest magnitude of a value: the default of ``grid.adapter_bound``."""
STD = BOUND / 5
"""Standard deviation of a value before clipping, which then touches less than one value in a million."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """A cohort's vectors on disk.

    Attributes:
        files: One ``.npy`` a client: (V,) float32.
        exact_mean: One ``.npy``: (V,) float64. Sums of so few float32 numbers of one magnitude are exact in float64,
            and the division errs by 2^-53 of a value.
    """

    files: tuple[Path, ...]
    exact_mean: Path


def draw_vectors(folder: Path, *, values: int, cohort: int, seed: int) -> Vectors:
    """Draw them into an existing folder: 4 bytes a value and client, 8 bytes a value for the mean."""
    total = np.zeros(values, dtype=np.float64)
    files = []
    for client in range(cohort):
        rng = seeded_generator(seed, "bench vectors", client)
        vector = rng.standard_normal(values, dtype=np.float32)
        vector *= np.float32(STD)
        np.clip(vector, -BOUND, BOUND, out=vector)
        files.append(folder / f"client-{client + 1}.npy")
        np.save(files[-1], vector)
        total += vector
    total /= cohort
    exact_mean = folder / "exact-mean.npy"
    np.save(exact_mean, total)
    return Vectors(tuple(files), exact_mean)
