"""What a round changed, as factors; and what an adapter starts from.

The rule kept here: a change is exact in the float32 numbers that were trained, and no product is multiplied out.
"""

from __future__ import annotations

import numpy as np

from securefl.adapters.frozen.basis import Side
from securefl.adapters.frozen.core import FramePair
from securefl.adapters.layout import Layout
from securefl.adapters.linalg import random_orthonormal_rows
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Adapter, Factors, LoraFactors, Matrix


def change(after: LoraFactors, before: LoraFactors, scaling: float) -> Factors:
    """Gives scaling * (B1 A1 - B0 A0), as factors (m, 2r) and (2r, n)."""
    return Factors(
        left=np.concatenate([scaling * after.B, -scaling * before.B], axis=1),
        right=np.concatenate([after.A, before.A], axis=0),
    )


def against(frozen: Matrix, trained: LoraFactors, scaling: float, *, side: Side) -> Factors:
    """The trained factor times the scaling, and the round's own frozen factor: float64, not the model's copy of it.

    Args:
        frozen: Orthonormal rows (r, n) if the left factor was trained, columns (m, r) if the right one was.
        trained: The factors after training.
        scaling: alpha / r of the update.
        side: The factor that was trained.
    """
    if side is Side.LEFT:
        return Factors(left=scaling * trained.B, right=frozen)
    return Factors(left=frozen, right=scaling * trained.A)


def within(pair: FramePair, core: Matrix, scaling: float) -> Factors:
    """Gives scaling * U C V, as factors (m, r) and (r, n): the left one with the core, the right one as it was drawn."""
    return Factors(left=pair.left @ (scaling * core), right=pair.right)


def personal_start(layout: Layout, *, rank: int, seed: int, member: str) -> Adapter:
    """Seeded orthonormal rows in A, zeros in B and the head: the form of the global adapter's own start."""
    weights = {}
    for tensor in layout.adapted:
        rng = seeded_generator(seed, "personal", member, tensor.name)
        rows = random_orthonormal_rows(rank, tensor.columns, rng=rng)
        weights[tensor.name] = LoraFactors(A=rows, B=np.zeros((tensor.rows, rank)))
    heads = {tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in layout.heads}
    return Adapter(weights=weights, heads=heads)
