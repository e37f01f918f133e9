"""Two adapters as one: what a client serves, made of the global and its personal adapter.

Reference: AdaFusion in FDLoRA, arXiv 2406.07925.

The rule kept here: the fused adapter is an ordinary LoRA adapter of scaling 1 (saved with lora_alpha = r), so
it loads without us. ``product`` is w_s dW_s + w_p dW_p exactly, by concatenating factors; ``factor`` is the
paper's (w_s B_s + w_p B_p)(w_s A_s + w_p A_p), whose cross terms belong to neither adapter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np

from securefl.adapters.update import Adapter, LoraFactors, Matrix
from securefl.errors import ModelError

FusionSpace = Literal["product", "factor"]


@dataclass(frozen=True, slots=True)
class Fusible:
    """An adapter with the scaling it was trained under.

    Attributes:
        adapter: Its factors and heads.
        scaling: Of its weights; see ``scaling``.
    """

    adapter: Adapter
    scaling: float


def fuse(
    first: Fusible, second: Fusible, *, weights: tuple[float, float], space: FusionSpace = "product"
) -> Adapter:
    """One adapter of scaling 1 out of two on the same tensors; heads are added with the same weights.

    In ``factor`` each factor carries the square root of its own scaling, so that weights (1, 0) and (0, 1)
    give the adapters back, and equal scalings give the paper's formula; the smaller rank is padded with
    zeros.

    Args:
        first: The global adapter.
        second: The personal adapter.
        weights: (w_s, w_p), any sign.
        space: Where they are added.

    Raises:
        ModelError: if they are not adapters of the same tensors.
    """
    if set(first.adapter.weights) != set(second.adapter.weights) or set(first.adapter.heads) != set(
        second.adapter.heads
    ):
        raise ModelError("two adapters of different tensors cannot be fused")
    joined = {
        name: _fused(factors, second.adapter.weights[name], (first.scaling, second.scaling), weights, space)
        for name, factors in first.adapter.weights.items()
    }
    heads = _heads(first.adapter.heads, second.adapter.heads, weights)
    return Adapter(weights=joined, heads=heads)


def fused_rank(first_rank: int, second_rank: int, *, space: FusionSpace) -> int:
    """Rank of the fused adapter: the sum in product space, the larger one in factor space."""
    return first_rank + second_rank if space == "product" else max(first_rank, second_rank)


def _heads(
    first: Mapping[str, Matrix], second: Mapping[str, Matrix], weights: tuple[float, float]
) -> dict[str, Matrix]:
    return {name: weights[0] * head + weights[1] * second[name] for name, head in first.items()}


def _fused(
    first: LoraFactors,
    second: LoraFactors,
    scalings: tuple[float, float],
    weights: tuple[float, float],
    space: FusionSpace,
) -> LoraFactors:
    match space:
        case "product":
            B = [scalings[0] * weights[0] * first.B, scalings[1] * weights[1] * second.B]
            return LoraFactors(A=np.concatenate([first.A, second.A], axis=0), B=np.concatenate(B, axis=1))
        case "factor":
            rank = max(first.A.shape[0], second.A.shape[0])
            shares = [weight * np.sqrt(scaling) for weight, scaling in zip(weights, scalings, strict=True)]
            return LoraFactors(
                A=shares[0] * _padded(first.A, rank, axis=0) + shares[1] * _padded(second.A, rank, axis=0),
                B=shares[0] * _padded(first.B, rank, axis=1) + shares[1] * _padded(second.B, rank, axis=1),
            )
        case _:
            assert_never(space)


def _padded(factor: Matrix, rank: int, *, axis: int) -> Matrix:
    widths = [(0, 0), (0, 0)]
    widths[axis] = (0, rank - factor.shape[axis])
    return np.pad(factor, widths)
