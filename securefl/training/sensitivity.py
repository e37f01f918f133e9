"""Sensitivity of the loss to each row and column of the adapted weights: what selective encryption goes by.

The rule kept here: scores are measured on the client's own batches with the round's adapter on, change nothing, and
leave the client only as coordinates of its contribution.

The score of an entry is |gradient x value|, to first order what the loss would change by if the entry were zero; a
row's or a column's is the sum over its entries. The value is that of the frozen base weight, the gradient the one that
training the whole weight would see, G = sum over tokens of delta^T x.

References: Lee, Ajanthan, Torr, "SNIP", ICLR 2019, arXiv 1810.02340, equation 4; as a mask for encryption Hu and Li,
"MaskCrypt", IEEE TDSC 2024, and Jin et al., "FedML-HE", arXiv 2303.10837, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.selection import Scores, feature_count, feature_places
from securefl.errors import TrainingError
from securefl.training.devices import Compute
from securefl.training.rows.tokens import Batch
from securefl.training.target_modules import weight_of
from securefl.training.tasks.model import BACKBONE, TaskModel

SCORED_BATCHES = 8
"""Batches that a client scores on: with 32 rows each, about what one epoch of a small client has."""


def feature_scores(model: TaskModel, layout: Layout, batches: Iterable[Batch], *, compute: Compute) -> Scores:
    """The score of every feature: (F,) float64, not negative, summed over batches of mean losses.

    One gradient of the size of a weight is held at a time.

    Args:
        model: The model with its adapters in use, every parameter frozen; nothing of it changes.
        layout: The federation's tensors.
        batches: Rows to score on.
        compute: Device and precision.

    Raises:
        TrainingError: if a score is not finite.
    """
    scores = np.zeros(feature_count(layout), dtype=np.float64)
    places = feature_places(layout)
    with ExitStack() as stack:
        for tensor in layout.adapted:
            place = places[tensor.name]
            rows, columns = scores[place.rows], scores[place.columns]
            stack.enter_context(_watched(model, tensor, rows=rows, columns=columns))
        for batch in batches:
            with compute.casting(enabled=True):
                loss = model.loss(batch)
            torch.autograd.backward(loss)
    if not np.isfinite(scores).all():
        raise TrainingError("a sensitivity score is not finite", hint="lower training.learning_rate")
    return scores


@contextmanager
def _watched(model: nn.Module, tensor: TensorSpec, *, rows: Scores, columns: Scores) -> Iterator[None]:
    """Adds a weight's scores to ``rows`` (m,) and ``columns`` (n,) whenever a gradient comes back through it."""
    layer = model.get_submodule(f"{BACKBONE}.{tensor.name}")
    assert isinstance(layer, LoraLayer)
    weight = weight_of(layer.get_base_layer())

    def passed(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not output.requires_grad:
            # Every parameter is frozen, so gradients start at the first adapted weight's output.
            output.requires_grad_()
        output.register_hook(partial(returned, inputs[0].detach()))  # type: ignore[no-untyped-call]

    def returned(entered: Tensor, gradient: Tensor) -> None:
        total = gradient.flatten(0, -2).float().T @ entered.flatten(0, -2).float()
        total.mul_(weight).abs_()
        rows[...] += total.sum(dim=1, dtype=torch.float64).cpu().numpy()
        columns[...] += total.sum(dim=0, dtype=torch.float64).cpu().numpy()

    handle = layer.register_forward_hook(passed)
    try:
        yield
    finally:
        handle.remove()
