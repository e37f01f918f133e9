"""From the exact global change of a weight to the best LoRA factors of a client's own rank.

The rule kept here: what a client starts a round from is the closest matrix of its rank to the exact mean
(Eckart and Young 1936; this step is FlexLoRA's, arXiv 2402.11505), split so that s B A is that matrix:

``left``   A = V_r^T, whose rows are orthonormal, and B = U_r S_r / s, as in FlexLoRA
``right``  A = S_r V_r^T / s and B = U_r, whose columns are orthonormal, as in HLoRA (arXiv 2503.00813)
``sqrt``   A = (S_r / s)^1/2 V_r^T and B = U_r (S_r / s)^1/2

A direction that is only rounding noise, or missing, becomes a random direction in the factor without singular values
(in A under ``sqrt``, and of a weight that has no change yet) and zeros in the other one: it changes nothing, and it can
be trained.
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
from securefl.config.aggregation import SplitName


def redistribute(
    weight: Matrix | Factors | Decomposition,
    *,
    rank: int,
    scaling: float,
    noise_std: float,
    rng: np.random.Generator,
    split: SplitName = "left",
) -> LoraFactors:
    """The best adapter of ``rank`` for a weight's change.

    Args:
        weight: The change (m, n), or its factors, or what it decomposes into, which is then not done again.
        rank: r, at most min(m, n).
        scaling: the client's; see ``scaling``.
        noise_std: Directions that are no stronger than noise of this deviation are drawn anew.
        rng: Draws them: the same rows for every rank, as far as they go.
        split: The factor that holds the singular values.

    Returns:
        A (r, n) and B (m, r), as ``split`` says; ``scaling * B @ A`` is the approximation.
    """
    rows, columns = weight.shape
    if _is_zero(weight):
        return LoraFactors(A=random_orthonormal_rows(rank, columns, rng=rng), B=np.zeros((rows, rank)))
    decomposition = weight if isinstance(weight, Decomposition) else decompose(weight)
    kept = min(rank, significant(decomposition, noise_std=noise_std))
    if split == "right":
        turned = _split(decomposition.transposed(), kept, rank=rank, scaling=scaling, share=1.0, rng=rng)
        return LoraFactors(A=turned.B.T, B=turned.A.T)
    share = 0.5 if split == "sqrt" else 1.0
    return _split(decomposition, kept, rank=rank, scaling=scaling, share=share, rng=rng)


def _split(
    weight: Decomposition,
    kept: int,
    *,
    rank: int,
    scaling: float,
    share: float,
    rng: np.random.Generator,
) -> LoraFactors:
    """The kept directions with so much of their singular values in B as ``share`` says, and fresh rows in A."""
    left, right = weight.left[:, :kept], weight.right[:kept]
    fresh = complete_rows(right, rank - kept, rng=rng)
    B = np.zeros((weight.shape[0], rank))
    if share == 1.0:
        B[:, :kept] = left * weight.singular[:kept] / scaling
        return LoraFactors(A=np.concatenate([right, fresh]), B=B)
    strength = (weight.singular[:kept] / scaling) ** share
    B[:, :kept] = left * strength
    return LoraFactors(A=np.concatenate([strength[:, None] * right, fresh]), B=B)


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
