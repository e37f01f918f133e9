"""Start of the personal adapter, which stays with its client."""

from __future__ import annotations

import numpy as np

from securefl.adapters.layout import Layout
from securefl.adapters.linalg import random_orthonormal_rows
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Adapter, LoraFactors


def personal_start(layout: Layout, *, rank: int, seed: int, member: str) -> Adapter:
    """Seeded orthonormal rows in A, zeros in B and the head: the form of the global adapter's own start."""
    weights = {}
    for tensor in layout.adapted:
        rng = seeded_generator(seed, "personal", member, tensor.name)
        rows = random_orthonormal_rows(rank, tensor.columns, rng=rng)
        weights[tensor.name] = LoraFactors(A=rows, B=np.zeros((tensor.rows, rank)))
    heads = {tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in layout.heads}
    return Adapter(weights=weights, heads=heads)
