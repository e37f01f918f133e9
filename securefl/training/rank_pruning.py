"""A client's choice to give up the last directions of its own factors (HetLoRA, arXiv 2401.06432).

The tail of a client that trains r directions is the last max(1, r // 8) of them; its size is the sum over all weights
of |B[:, tail]|_F |A[tail]|_F, which ``tail_penalty`` adds to the loss. If a round's training has made it smaller, the
client gives the tail up, as long as a direction is left. The first round never does: its B begin as zeros.

Not verified: the share of the rank that the paper takes off at once, and whether it asks each weight by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from securefl.adapters.update import Adapter, Matrix, Update

TAIL_PARTS: Final = 8
"""The tail is a rank by this, and at least one direction."""


def tail_of(rank: int) -> slice:
    """The last directions of a client that trains so many."""
    return slice(rank - max(1, rank // TAIL_PARTS), rank)


def directions_left(start: Adapter, update: Update, *, scaling: float, trained: int) -> int:
    """Directions that a client keeps after a round.

    Args:
        start: What the round began with: A (r, n) and B (m, r) of every weight.
        update: Factors after it: B (m, k), the scaling in it, and A (k, n).
        scaling: Of ``start``.
        trained: Directions that the round trained, at least 1.
    """
    tail = tail_of(trained)
    before = scaling * _size(((pair.B, pair.A) for pair in start.weights.values()), tail)
    after = _size(((pair.left, pair.right) for pair in update.weights.values()), tail)
    return tail.start if after < before and tail.start > 0 else trained


def _size(pairs: Iterable[tuple[Matrix, Matrix]], tail: slice) -> float:
    return sum(float(np.linalg.norm(left[:, tail]) * np.linalg.norm(right[tail])) for left, right in pairs)
