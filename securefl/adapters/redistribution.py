"""From the exact global change of a weight to the best LoRA factors of a client's own rank.

The rule kept here: what a client starts a round from is the closest matrix of its rank to the exact mean
(Eckart and Young 1936; this step is FlexLoRA's, arXiv 2402.11505), split as A = V_r^T and B = U_r S_r / s,
so that A's rows are orthonormal and s B A is that matrix. A direction that is only rounding noise, or
missing, becomes a random row in A with a zero column in B: it changes nothing, and it can be trained.
"""

from __future__ import annotations

import numpy as np

from securefl.adapters.linalg import (
    ROUNDING,
    Decomposition,
    complete_rows,
    decompose,
    random_orthonormal_rows,
)
from securefl.adapters.update import Factors, LoraFactors, Matrix


def redistribute(
    weight: Matrix | Factors | Decomposition,
    *,
    rank: int,
    scaling: float,
    noise_std: float,
    rng: np.random.Generator,
) -> LoraFactors:
    """The best adapter of ``rank`` for a weight's change.

    Args:
        weight: The change (m, n), or its factors, or what it decomposes into, which is then not done again.
        rank: r, at most min(m, n).
        scaling: the client's; see ``scaling``.
        noise_std: Directions that are no stronger than noise of this deviation are drawn anew.
        rng: Draws them: the same rows for every rank, as far as they go.

    Returns:
        A (r, n) with orthonormal rows, B (m, r); ``scaling * B @ A`` is the approximation.
    """
    rows, columns = weight.shape
    if _is_zero(weight):
        return LoraFactors(A=random_orthonormal_rows(rank, columns, rng=rng), B=np.zeros((rows, rank)))
    decomposition = weight if isinstance(weight, Decomposition) else decompose(weight)
    kept = decomposition.scaled_factors(min(rank, significant(decomposition, noise_std=noise_std)))
    fresh = complete_rows(kept.right, rank - kept.right.shape[0], rng=rng)
    A = np.concatenate([kept.right, fresh])
    B = np.zeros((rows, rank))
    B[:, : kept.left.shape[1]] = kept.left / scaling
    return LoraFactors(A=A, B=B)


def significant(decomposition: Decomposition, *, noise_std: float) -> int:
    """Number of directions of a matrix that are stronger than noise of this deviation, and than rounding."""
    rows, columns = decomposition.shape
    rounding = ROUNDING * float(decomposition.singular[0])
    floor = max(noise_floor(rows, columns, noise_std=noise_std), rounding)
    return int(np.count_nonzero(decomposition.singular > floor))


def noise_floor(rows: int, columns: int, *, noise_std: float) -> float:
    """The largest singular value to expect of a rows x columns matrix of independent noise of this deviation.

    The edge of its spectrum is std (sqrt(m) + sqrt(n)), whatever the entries' distribution (Yin, Bai and
    Krishnaiah 1988).
    """
    return noise_std * float(np.sqrt(rows) + np.sqrt(columns))


def _is_zero(weight: Matrix | Factors | Decomposition) -> bool:
    match weight:
        case Factors():
            return not weight.left.any()
        case Decomposition():
            return not weight.singular.any()
        case _:
            return not weight.any()
