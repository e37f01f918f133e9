"""A client's mean gradient of the base model's adapted weights, from which rounds may begin.

The rule kept here: the gradient is taken at the public start, changes nothing, and is of the loss that rounds train.

A head of zeros passes no gradient to what is below it, so that where the federation's start has no other, one stands in
its place that the federation's seed draws, the same for everybody: as transformers draws a new head, Gaussian with a
deviation of 0.02. It is gone once the gradient is known.

Not verified: on how many rows the papers take it (Fed-SB on about a thousandth of the data); here on
``GRADIENT_ROWS`` of the client's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from securefl.adapters.layout import Layout
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Adapter, Matrix
from securefl.training.devices import Compute
from securefl.training.round_loop import RoundLoop
from securefl.training.rows.tokens import Batch
from securefl.training.target_modules import is_transposed
from securefl.training.tasks.head import TaskHead
from securefl.training.tasks.model import TaskModel

GRADIENT_ROWS: Final = 256
"""Rows that a client takes its gradient on, or all that it has."""
HEAD_DEVIATION: Final = 0.02
"""Of a head that stands in for one of zeros; transformers' ``initializer_range``."""
BEFORE: Final = 0
"""Number in the place of a round's, for the draw of the rows."""


class FirstGradient:
    """A client's ``GradientSource``.

    Args:
        loop: The client's loop, whose rows and adapters are used.
        head: The client's head.
    """

    def __init__(self, loop: RoundLoop, *, head: TaskHead) -> None:
        self._loop = loop
        self._head = head

    def at(self, start: Adapter) -> dict[str, Matrix]:
        """The gradient G (m, n) of every adapted weight, float64.

        Args:
            start: What round 1 trains from; its factors change nothing yet.
        """
        loop, bank = self._loop, self._loop.bank
        begun = self._head.with_home(start, round_number=1)
        bank.install_head("global", replace(begun, heads=self._heads(begun)))
        model = bank.use((), head="global")
        size = loop.section.per_device_train_batch_size
        drawn = loop.draws.scored(BEFORE, loop.rows, size=size)[: -(-GRADIENT_ROWS // size)]
        batches = [part for places in drawn for part in loop.parts(places)]
        modules = {name: layer.get_base_layer() for name, layer in bank.layers.items()}
        with self._head.adjusted(model):
            return mean_gradients(model, modules, batches, compute=loop.compute)

    def _heads(self, start: Adapter) -> Mapping[str, Matrix]:
        """The start's heads, or drawn ones where these are all zeros."""
        if any(head.any() for head in start.heads.values()):
            return start.heads
        return drawn_heads(self._loop.bank.layout, seed=self._loop.settings.seed)


def drawn_heads(layout: Layout, *, seed: int) -> dict[str, Matrix]:
    """Heads of a seed, the same for everybody; biases, which have one column, stay zero."""
    return {
        tensor.name: np.zeros((tensor.rows, 1))
        if tensor.columns == 1
        else seeded_generator(seed, "gradient-head", tensor.name).normal(
            0.0, HEAD_DEVIATION, (tensor.rows, tensor.columns)
        )
        for tensor in layout.heads
    }


def mean_gradients(
    model: TaskModel, modules: Mapping[str, nn.Module], batches: Iterable[Batch], *, compute: Compute
) -> dict[str, Matrix]:
    """The gradient (m, n) of each module's weight, of the mean loss over batches; float64.

    Args:
        model: The model in use, every parameter frozen.
        modules: By weight name; their weights are frozen again at the end.
        batches: At least one; each counts by its terms (rows, or the tokens that a loss counts).
        compute: Device and precision.
    """
    weights = {name: module.get_parameter("weight") for name, module in modules.items()}
    sums = {name: torch.zeros(weight.shape, device=weight.device) for name, weight in weights.items()}
    total = 0
    for weight in weights.values():
        weight.requires_grad_(True)
    try:
        for batch in batches:
            terms = model.loss_terms(batch)
            if terms:
                _add(model, weights, batch, sums, share=terms, compute=compute)
                total += terms
    finally:
        for weight in weights.values():
            weight.requires_grad_(False)
    return {name: _as_layout(value / max(1, total), modules[name]) for name, value in sums.items()}


def _add(
    model: TaskModel,
    weights: Mapping[str, nn.Parameter],
    batch: Batch,
    sums: Mapping[str, Tensor],
    *,
    share: int,
    compute: Compute,
) -> None:
    with compute.casting(enabled=True):
        loss = model.loss(batch)
    gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True, materialize_grads=True)
    for total, gradient in zip(sums.values(), gradients, strict=True):
        total.add_(gradient.float(), alpha=share)


def _as_layout(gradient: Tensor, module: nn.Module) -> Matrix:
    whole = gradient.T if is_transposed(module) else gradient
    return np.ascontiguousarray(whole.cpu().numpy().astype(np.float64))
