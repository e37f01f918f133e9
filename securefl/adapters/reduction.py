"""A smaller adapter of the same weights: the nearest one of a rank, by SVD of each product.

The rule kept here: the product of a weight's factors is never multiplied out, and what is lost is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from securefl.adapters.linalg import Decomposition, decompose
from securefl.adapters.update import Factors, LoraFactors, Matrix


@dataclass(frozen=True, slots=True)
class Reduction:
    """Factors of a smaller rank.

    Attributes:
        weights: By weight name; the scaling is in them, so that theirs is 1.
        lost: Frobenius norm of all that was cut off by the norm of all changes, from 0 to 1.
    """

    weights: Mapping[str, LoraFactors]
    lost: float


def reduced(weights: Mapping[str, LoraFactors], *, scaling: float, rank: int) -> Reduction:
    """The best approximation of every weight's change by a rank (Eckart and Young 1936).

    Args:
        weights: An adapter's factors.
        scaling: What their products are multiplied by.
        rank: The rank, at least 1.
    """
    changes = {
        name: decompose(Factors(left=factors.B * scaling, right=factors.A))
        for name, factors in weights.items()
    }
    whole = math.fsum(float(np.square(change.singular).sum()) for change in changes.values())
    cut = math.fsum(float(np.square(change.singular[rank:]).sum()) for change in changes.values())
    return Reduction(
        weights={name: _factors(change, rank) for name, change in changes.items()},
        lost=math.sqrt(cut / whole) if whole else 0.0,
    )


def _factors(change: Decomposition, rank: int) -> LoraFactors:
    """Both factors with the root of the singular values; a matrix that has fewer directions is filled with zeros."""
    roots = np.sqrt(change.singular[:rank])
    left, right = change.left[:, :rank] * roots, change.right[:rank] * roots[:, None]
    missing = rank - roots.size
    return LoraFactors(A=_padded(right, rows=missing), B=_padded(left, columns=missing))


def _padded(values: Matrix, *, rows: int = 0, columns: int = 0) -> Matrix:
    return np.pad(values, ((0, rows), (0, columns)))
