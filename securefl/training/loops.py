"""The two loops of a client: training of what has gradients, evaluation of what is in use.

The rule kept here: nothing that is not finite, and nothing that could not move, counts as trained; ``liveness`` judges
it. Metrics are measured in float32 without autocast, so that whoever loads the saved adapter measures the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from securefl.training.adapter_bank import Trainable
from securefl.training.devices import Compute
from securefl.training.liveness import Start, check_gradient, check_loss, check_round
from securefl.training.optimiser import Optimiser
from securefl.training.rows.tokens import Batch, Tokenised, ordered_batches
from securefl.training.schedule import Rates
from securefl.training.tasks.base import Metric, MetricOf
from securefl.training.tasks.model import TaskModel


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a long piece of work.

    Attributes:
        what: ``global``, ``personal``, ``fine-tuned``, ``head``, ``probe``, ``evaluate`` or ``fuse``.
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
BeforeStep = Callable[[Sequence[Batch], float], Rates | None]
"""Takes a batch in its parts, and the share of the learning rates in its step; gives the rates that a loss which is not
finite any more is due to, where they are not the step's own."""


def steps_of(what: str, step_sink: StepSink) -> Callable[[int, int], None]:
    """Take steps done and steps in all, and tell a step sink of them under a name."""
    return lambda done, total: step_sink(Progress(what, done, total))


def nothing_before(_: Sequence[Batch], __: float) -> Rates | None:
    """A ``BeforeStep`` that does nothing."""
    return None


def train(
    model: TaskModel,
    trainable: Trainable,
    batches: Iterable[Sequence[Batch]],
    *,
    steps: int,
    optimiser: Optimiser,
    share_of: Callable[[int], float],
    compute: Compute,
    what: str,
    step_sink: StepSink,
    before_step: BeforeStep = nothing_before,
    penalty: Callable[[], Tensor] | None = None,
) -> float:
    """Train for so many steps, at learning rates that fall over the rounds of the federation.

    Over all rounds, because at constant rates the norm of the updates grows without end: on the quickstart's corpus,
    12 rounds, constant rates gave an accuracy of 0.812 (loss 0.90), half of them 0.857, and a cosine over the rounds
    0.868 (loss 0.59) without tuning. Not within each round: a mean of several clients already damps the last steps'
    noise, and rates that fall anew in every round were worse than constant ones (BANKING77, three rounds: 0.72
    against 0.76).

    Args:
        model: The model with its adapters in use.
        trainable: The parameters to train, gradients on.
        batches: At least ``steps`` batches, each in one part or several.
        steps: Number of optimiser steps.
        optimiser: AdamW of what is trained.
        share_of: From the number of steps done to the share of the learning rates in the next one.
        compute: Device and precision.
        what: What the steps are called.
        step_sink: Takes the progress.
        before_step: Called with each batch, and the share of the learning rates, before its step.
        penalty: What is added to every loss that is trained on; the losses that are told are without it.

    Returns:
        The mean loss over all steps, nats.

    Raises:
        TrainingError: if a loss or parameter is not finite, the model's output does not depend on a factor, or a
            learning rate is too small to move anything.
    """
    start = Start.of(trainable)
    losses: list[float] = []
    rates = optimiser.rates
    for step, parts in zip(range(1, steps + 1), batches, strict=False):
        share = share_of(step - 1)
        moved_by = before_step(parts, share)
        optimiser.forget()
        checked = partial(check_loss, start=start, rates=moved_by or rates, what=what, step=step)
        losses.append(_gradients(model, parts, compute=compute, checked=checked))
        if penalty is not None:
            torch.autograd.backward(penalty())
        norm = optimiser.step(share=share)
        check_gradient(norm, rates=rates, what=what, step=step)
        step_sink(Progress(what, step, steps, losses[-1]))
    check_round(optimiser, trainable, start, what=what)
    return math.fsum(losses) / len(losses)


def _gradients(
    model: TaskModel, parts: Sequence[Batch], *, compute: Compute, checked: Callable[[float], float]
) -> float:
    """Add the gradients of a batch's mean loss up, part by part, and give that loss, nats.

    The mean is over the terms of the whole batch, so that a part counts by its terms (rows, or the tokens that a loss
    counts), not by its rows. A part without any adds nothing.
    """
    return math.fsum(
        _backward(model, part, compute=compute, checked=checked, share=share)
        for part, share in shares_of(model, parts)
    )


def shares_of(model: TaskModel, parts: Sequence[Batch]) -> list[tuple[Batch, float]]:
    """Parts of a batch with what each one's mean loss counts in the mean over all of them, more than 0."""
    if len(parts) == 1:
        return [(parts[0], 1.0)]
    terms = [model.loss_terms(part) for part in parts]
    return [(part, count / sum(terms)) for part, count in zip(parts, terms, strict=True) if count]


def _backward(
    model: TaskModel,
    batch: Batch,
    *,
    compute: Compute,
    checked: Callable[[float], float],
    share: float = 1.0,
) -> float:
    """A share of a batch's mean loss, whose gradients are added to those that are there."""
    with compute.casting(enabled=True):
        loss = model.loss(batch)
    value = checked(loss.item())
    torch.autograd.backward(loss * share)
    return value * share


def evaluate(
    model: TaskModel,
    rows: Tokenised,
    metric: MetricOf,
    *,
    batch_size: int,
    compute: Compute,
    step_done: Callable[[int, int], None] | None = None,
    final: bool = False,
) -> Metric:
    """The metric of the model as it is in use.

    Args:
        model: The model with its adapters in use.
        rows: At least one row.
        metric: The task's: from the outcomes of all rows, in their order, to the metric.
        batch_size: Rows at a time.
        compute: Device; figures are computed in float32, whatever the precision of training.
        step_done: Called after each batch with its number and the number of batches.
        final: True for a report; see ``TaskModel.reading``.
    """
    read, width = model.reading(final=final)
    outcomes = collected(
        read,
        rows,
        width=width,
        batch_size=batch_size,
        compute=compute,
        step_done=step_done,
    )
    return metric(outcomes, rows)


def collected(
    of: Callable[[Batch], Tensor],
    rows: Tokenised,
    *,
    width: int,
    batch_size: int,
    compute: Compute,
    step_done: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Figures (rows, width) of every row, in the rows' order, of the model as it is in use.

    Args:
        of: From a batch to its figures, (rows, width).
        rows: At least one row.
        width: Figures of a row.
        batch_size: Rows at a time.
        compute: Device; figures are computed in float32, whatever the precision of training.
        step_done: Called after each batch with its number and the number of batches.
    """
    places = ordered_batches(rows.lengths, batch_size)
    figures = np.empty((len(rows), width), dtype=np.float64)
    for number, place in enumerate(places, start=1):
        batch = rows.batch(place, device=compute.device)
        with torch.inference_mode(), compute.casting(enabled=False):
            figures[place] = of(batch).float().cpu().numpy()
        if step_done is not None:
            step_done(number, len(places))
    return figures
