"""Fisher information of each layer's adapter: what layers are drawn by under ``[layers] allocation = "fisher"``.

The rule kept here: scores are measured on a member's own rows, one at a time, with the adapter that the round begins
from, and change nothing.

The score of a layer is the mean, over its parameters and the rows, of the squared gradient of one row's loss: the
diagonal of the empirical Fisher information, of the true labels' log-likelihood. Fed-HeLLo's official code takes a raw
logit's gradient on two images instead.

Reference: Fed-HeLLo, arXiv 2506.12213.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from securefl.training.devices import Compute
from securefl.training.rows.tokens import Batch
from securefl.training.tasks.model import TaskModel

FISHER_ROWS = 64
"""Rows that a member scores on, each with a backward pass of its own."""


def layer_fisher(
    model: TaskModel,
    factors: Mapping[str, nn.Parameter],
    layers: Sequence[Sequence[str]],
    rows: Iterable[Batch],
    *,
    compute: Compute,
) -> NDArray[np.float64]:
    """The score (L,) of each layer, float64, not negative.

    Args:
        model: The model with the adapter in use.
        factors: The adapter's, with gradients switched on, by weight name and factor as in ``Trainable``.
        layers: Names of each layer's weights.
        rows: Batches of one row each.
        compute: Device and precision.
    """
    parameters = list(factors.values())
    squares = [torch.zeros((), dtype=torch.float64, device=value.device) for value in parameters]
    count = 0
    for row in rows:
        with compute.casting(enabled=True):
            loss = model.loss(row)
        gradients: Sequence[Tensor | None] = torch.autograd.grad(loss, parameters, allow_unused=True)
        for total, gradient in zip(squares, gradients, strict=True):
            if gradient is not None:
                total += gradient.double().square().sum()
        count += 1
    sums = {name: float(total) for name, total in zip(factors, squares, strict=True)}
    sizes = {name: value.numel() for name, value in factors.items()}
    return np.array([_mean(layer, sums, sizes) / max(1, count) for layer in layers])


def _mean(layer: Sequence[str], sums: Mapping[str, float], sizes: Mapping[str, int]) -> float:
    own = [name for name in sums if name.rpartition(".")[0] in layer]
    return sum(sums[name] for name in own) / max(1, sum(sizes[name] for name in own))
