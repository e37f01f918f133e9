"""The two loops of a client: training of what has gradients, evaluation of what is in use.

The rule kept here: nothing that is not finite, and nothing that could not move, counts as trained; ``liveness`` judges
it. Metrics are measured in float32 without autocast, so that whoever loads the saved adapter measures the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from securefl.config.training import TrainingSection
from securefl.training.adapter_bank import Trainable
from securefl.training.devices import Compute
from securefl.training.liveness import Start, check_loss, check_round
from securefl.training.models import PooledClassifier
from securefl.training.rows.tokens import Batch, Tokenised, ordered_batches


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long piece of work is.

    Attributes:
        what: ``global``, ``personal``, ``probe``, ``evaluate`` or ``fuse``.
        step: Steps done.
        steps: Steps in all.
        loss: Loss of the last step, where there is one.
    """

    what: str
    step: int
    steps: int
    loss: float | None = None

    @property
    def fraction(self) -> float:
        """Between 0 and 1."""
        return self.step / self.steps


StepSink = Callable[[Progress], None]
"""A step sink: takes progress, once a step."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a model is worth on some rows.

    Attributes:
        accuracy: Share of rows whose largest logit is the label's.
        loss: Mean cross-entropy, nats.
        f1: F1 of the second label, where there are two.
        samples: Number of rows.
        hits: (samples,) bool, which rows are right, in their order; for comparing two models row by row.
    """

    accuracy: float
    loss: float
    f1: float | None
    samples: int
    hits: NDArray[np.bool_] = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """What ``accuracy`` is called in reports."""
        return "accuracy"


def train(
    model: PooledClassifier,
    trainable: Trainable,
    batches: Sequence[Batch] | Iterator[Batch],
    *,
    steps: int,
    section: TrainingSection,
    compute: Compute,
    what: str,
    step_sink: StepSink,
) -> float:
    """Trains for so many steps with a fresh AdamW at constant learning rates.

    Constant, because a mean of several clients already damps the last steps' noise: on BANKING77 (4 clients, 680
    sentences each, Dirichlet 0.5) three rounds gave 0.76, and 0.72 with rates that fall linearly within the round.

    Args:
        model: The model with its adapters in use.
        trainable: The parameters to train, gradients on.
        batches: At least ``steps`` batches.
        steps: Number of optimiser steps.
        section: Learning rates and weight decay.
        compute: Device and precision.
        what: What the steps are called.
        step_sink: Takes the progress.

    Returns:
        The mean loss over all steps, nats.

    Raises:
        TrainingError: if a loss or parameter is not finite, the model's output does not depend on a factor, or a
            learning rate is too small to move anything.
    """
    optimiser = torch.optim.AdamW(
        [
            {"params": list(trainable.factors.values()), "lr": section.learning_rate},
            {"params": list(trainable.head.values()), "lr": section.head_learning_rate},
        ],
        weight_decay=section.weight_decay,
    )
    start = Start.of(trainable)
    losses: list[float] = []
    for step, batch in zip(range(1, steps + 1), batches, strict=False):
        with compute.casting(enabled=True):
            loss = nn.functional.cross_entropy(_logits(model, batch), batch.labels)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(check_loss(loss.item(), start, section=section, what=what, step=step))
        step_sink(Progress(what, step, steps, losses[-1]))
    check_round(optimiser, trainable, start, section=section, what=what)
    return math.fsum(losses) / len(losses)


def evaluate(
    model: PooledClassifier,
    rows: Tokenised,
    *,
    batch_size: int,
    compute: Compute,
    exact: bool = True,
    step_done: Callable[[int, int], None] | None = None,
) -> Metric:
    """The metric of the model as it is in use.

    Args:
        model: The model with its adapters in use.
        rows: At least one row.
        batch_size: Rows at a time.
        compute: Device and precision.
        exact: Whether to measure in float32; without it, as fast as training.
        step_done: Called after each batch with its number and the number of batches.
    """
    places = ordered_batches(rows.lengths, batch_size)
    logits = np.empty((len(rows), model.classifier.out_features), dtype=np.float64)
    for number, place in enumerate(places, start=1):
        batch = rows.batch(place, device=compute.device)
        with torch.inference_mode(), compute.casting(enabled=not exact):
            logits[place] = _logits(model, batch).float().cpu().numpy()
        if step_done is not None:
            step_done(number, len(places))
    return measured(logits, rows.labels)


def measured(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> Metric:
    """The metric of logits (rows, labels) against labels (rows,)."""
    guesses = logits.argmax(axis=1)
    shifted = logits - logits.max(axis=1, keepdims=True)
    likelihoods = shifted[np.arange(len(labels)), labels] - np.log(np.exp(shifted).sum(axis=1))
    hits = guesses == labels
    return Metric(
        accuracy=int(hits.sum()) / len(labels),
        loss=-float(likelihoods.mean()),
        f1=_f1(guesses, labels) if logits.shape[1] == 2 else None,
        samples=len(labels),
        hits=hits,
    )


def _f1(guesses: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    hits = int((guesses & labels).sum())
    named = int(guesses.sum()) + int(labels.sum())
    return 2 * hits / named if named else 0.0


def _logits(model: PooledClassifier, batch: Batch) -> Tensor:
    logits: Tensor = model(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits
    return logits
