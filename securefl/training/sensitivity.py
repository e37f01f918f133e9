"""Sensitivity of the loss to each row and column of the adapted weights: what selective encryption goes by.

The rule kept here: scores are measured on the client's own batches with the round's adapter on, change nothing, and
leave the client only as coordinates of its contribution.

The score of an entry is |gradient x value|, to first order what the loss would change by if the entry were zero; a
row's or a column's is the sum over its entries. The value is that of the frozen base weight, the gradient the one that
training the whole weight would see, G = sum over tokens of delta^T x.

Selection by columns has a score of its own, which needs no gradient: S_j = sum_k |W_kj| ||x_j||_2, with the base
weight's column j and the j-th input over all tokens of the batches that are no padding. Rows have none.

References: Lee, Ajanthan, Torr, "SNIP", ICLR 2019, arXiv 1810.02340, equation 4; as a mask for encryption Hu and Li,
"MaskCrypt", IEEE TDSC 2024, and Jin et al., "FedML-HE", arXiv 2303.10837, section 3. By columns:
SHE-LoRA, arXiv 2505.21051.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Protocol

import numpy as np
import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.selection import Scores, feature_count, feature_places
from securefl.config.encryption import SelectBy
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
        batches: Rows to score on; a batch whose loss has no terms is passed over.
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
        for batch in filter(model.loss_terms, batches):
            with compute.casting(enabled=True):
                loss = model.loss(batch)
            torch.autograd.backward(loss)
    if not np.isfinite(scores).all():
        raise TrainingError("a sensitivity score is not finite", hint="lower training.learning_rate")
    return scores


class FeatureScores(Protocol):
    """A function that scores features; see ``feature_scores``."""

    def __call__(
        self, model: TaskModel, layout: Layout, batches: Iterable[Batch], *, compute: Compute
    ) -> Scores:
        """The score of every feature, (F,)."""
        ...


def scores_by(by: SelectBy) -> FeatureScores:
    """The scores that a selection goes by."""
    return column_scores if by == "columns" else feature_scores


def column_scores(model: TaskModel, layout: Layout, batches: Iterable[Batch], *, compute: Compute) -> Scores:
    """The score of every column, S_j, in its place of (F,) float64; zeros in the places of rows.

    Args:
        model: The model with its adapters in use; nothing of it changes.
        layout: The federation's tensors.
        batches: Rows to score on, all at once: the norm is over the tokens of all of them.
        compute: Device and precision.

    Raises:
        TrainingError: if a score is not finite.
    """
    scores = np.zeros(feature_count(layout), dtype=np.float64)
    squares = {tensor.name: np.zeros(tensor.columns) for tensor in layout.adapted}
    shown: list[Tensor] = []
    with ExitStack() as stack, torch.no_grad():
        for tensor in layout.adapted:
            stack.enter_context(_inputs_seen(model, tensor, shown, squares[tensor.name]))
        for batch in batches:
            shown[:] = [batch.attention_mask]
            with compute.casting(enabled=True):
                model.loss(batch)
    for tensor in layout.adapted:
        weight = _base_weight(model, tensor).abs().sum(dim=0, dtype=torch.float64)
        place = feature_places(layout)[tensor.name].columns
        scores[place] = weight.cpu().numpy() * np.sqrt(squares[tensor.name])
    if not np.isfinite(scores).all():
        raise TrainingError("a sensitivity score is not finite", hint="lower training.learning_rate")
    return scores


@contextmanager
def _inputs_seen(
    model: nn.Module, tensor: TensorSpec, shown: list[Tensor], squares: Scores
) -> Iterator[None]:
    """Add the squares of a weight's inputs to ``squares`` (n,) whenever it computes, without those of padding.

    Args:
        model: The model.
        tensor: The weight.
        shown: Holds the mask (rows, tokens) of the batch that is computed.
        squares: Of each input, over rows and tokens.
    """

    def passed(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        entered, mask = inputs[0].detach().double().square(), shown[0]
        if entered.shape[:-1] == mask.shape:
            entered = entered * mask[..., None]
        squares[...] += entered.flatten(0, -2).sum(dim=0).cpu().numpy()

    handle = _module(model, tensor).register_forward_pre_hook(passed)
    try:
        yield
    finally:
        handle.remove()


def _module(model: nn.Module, tensor: TensorSpec) -> nn.Module:
    return model.get_submodule(f"{BACKBONE}.{tensor.name}")


def _base_weight(model: nn.Module, tensor: TensorSpec) -> Tensor:
    layer = _module(model, tensor)
    assert isinstance(layer, LoraLayer)
    return weight_of(layer.get_base_layer())


@contextmanager
def _watched(model: nn.Module, tensor: TensorSpec, *, rows: Scores, columns: Scores) -> Iterator[None]:
    """Add a weight's scores to ``rows`` (m,) and ``columns`` (n,) whenever a gradient comes back through it."""
    layer, weight = _module(model, tensor), _base_weight(model, tensor)

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
