"""A penalty on the last directions of every weight's factors, so that a rank which is not needed dies out (HetLoRA).

With B (m, r) and A (r, n) of a weight, and the tail its last max(1, r // 8) directions, the loss grows by strength
times the sum over all weights of |B[:, tail]|_F |A[tail]|_F. Where a client prunes its rank, r is what it has kept, and
the directions behind it are zeros. Reference: HetLoRA, arXiv 2401.06432, whose tail is a share of the rank that could
not be verified.
"""

from __future__ import annotations

import torch
from torch import Tensor

from securefl.training.adapter_bank import Trainable
from securefl.training.rank_pruning import tail_of


def tail_penalty(trainable: Trainable, *, strength: float, kept: int | None = None) -> Tensor:
    """The penalty of both factors of all weights, a scalar with a graph.

    Args:
        trainable: An adapter of which both factors are trained.
        strength: ``[training] rank_penalty``.
        kept: Directions that are not zeros; None for all of them.
    """
    parts = [
        _norm(left, trainable.factors[f"{name.removesuffix('.lora_B')}.lora_A"], kept)
        for name, left in trainable.factors.items()
        if name.endswith(".lora_B")
    ]
    return strength * torch.stack(parts).sum()


def _norm(left: Tensor, right: Tensor, kept: int | None) -> Tensor:
    tail = tail_of(right.shape[0] if kept is None else kept)
    # Of zeros, which B starts from, the gradient of a norm is 0 in torch, as a subgradient.
    product: Tensor = torch.linalg.vector_norm(left[:, tail]) * torch.linalg.vector_norm(right[tail])
    return product
