"""Judgement over a whole round of training: did everything that could learn move, and stay finite?

The rule kept here: data is never taken for a defect. A batch of one-token texts gives a query projection no gradient,
rows of one label that are learnt already give nothing a gradient, and a round may be a single step, in which only the
head moves. What is a defect shows whatever the data: a factor that no loss ever reached, a value that had a gradient
and did not move, a value that is not finite.

AdamW's state tells the first two apart at no cost: a parameter without a gradient tensor never gets a state, and one
whose gradients were all zero has a first moment of zeros.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from securefl.errors import TrainingError
from securefl.training.adapter_bank import Trainable
from securefl.training.optimiser import Optimiser
from securefl.training.schedule import Rates

SMALLEST_STEP = torch.finfo(torch.float32).tiny
"""float32's smallest normal number, 1.2e-38: a change below it may be rounded to zero by the next product."""
Parameters = Mapping[str, nn.Parameter]


@dataclass(frozen=True, slots=True)
class Start:
    """Parameters of a round before its first step.

    Attributes:
        factors: By the names of ``Trainable.factors``.
        head: By the names of ``Trainable.head``.
    """

    factors: dict[str, Tensor]
    head: dict[str, Tensor]

    @classmethod
    def of(cls, trainable: Trainable) -> Start:
        """A copy of the values as they are."""
        return cls(_copied(trainable.factors), _copied(trainable.head))

    @property
    def untrained(self) -> bool:
        """True if the head is still the federation's start of zeros, to which no learning rate has done anything."""
        return not any(bool(value.any()) for value in self.head.values())


def check_loss(loss: float, start: Start | None, *, rates: Rates, what: str, step: int) -> float:
    """The loss of a step, if it is a number.

    Args:
        loss: In nats.
        start: The values before the first step; None where no base model can be to blame.
        rates: Learning rates that the message names.
        what: The adapter's name in it.
        step: Number of the step.

    Raises:
        TrainingError: if it is not finite: through the learning rate, or, in the first step from a head of zeros,
            through the base model.
    """
    if math.isfinite(loss):
        return loss
    if step == 1 and start is not None and start.untrained:
        raise TrainingError(
            "the base model computes values that are not finite, before any training",
            where=f"first batch of the {what} adapter",
            hint="check the weights in model.path, or take another base model",
        )
    raise TrainingError(
        f"the loss of the {what} adapter is not finite", where=f"step {step}", hint=_lower(rates)
    )


def check_gradient(norm: float | None, *, rates: Rates, what: str, step: int) -> None:
    """Refuse a step whose gradient has no finite length: clipped, it would be zeros, and look like a round at rest.

    Raises:
        TrainingError: if the norm is there and not finite.
    """
    if norm is not None and not math.isfinite(norm):
        raise TrainingError(
            f"the gradient of the {what} adapter is not finite", where=f"step {step}", hint=_lower(rates)
        )


def check_round(optimiser: Optimiser, trainable: Trainable, start: Start, *, what: str) -> None:
    """Refuse a round that trained into nowhere, once all its steps are done.

    Args:
        optimiser: What trained it; its learning rates are those that the messages name.
        trainable: What it trained.
        start: The values before the first step.
        what: ``global`` or ``personal``.

    Raises:
        TrainingError: if a value is not finite, no loss depended on a factor, or a learning rate is too small to move
            what had a gradient.
    """
    rates = optimiser.rates
    check_values(trainable.factors | trainable.head, rates=rates, what=what)
    _check_reached(optimiser, trainable.factors, what=what)
    head, factors = f"{rates.section}.head_learning_rate", f"{rates.section}.learning_rate"
    _check_moved(optimiser, trainable.head, start.head, key=head, rate=rates.head)
    _check_moved(optimiser, trainable.factors, start.factors, key=factors, rate=rates.factors)


def check_values(parameters: Parameters, *, rates: Rates, what: str) -> None:
    """Refuse values that are not finite.

    Raises:
        TrainingError: naming the first one.
    """
    for name, value in parameters.items():
        if not bool(torch.isfinite(value).all()):
            raise TrainingError(
                f"the {what} adapter has values that are not finite", where=name, hint=_lower(rates)
            )


def _check_reached(optimiser: Optimiser, factors: Parameters, *, what: str) -> None:
    """Every factor must have had a gradient tensor, be it of zeros, in some step."""
    names = [name for name, value in factors.items() if optimiser.first_moment(value) is None]
    if names:
        modules = sorted({name.rpartition(".")[0] for name in names})
        raise TrainingError(
            f"training cannot move the {what} adapter: the model's output does not depend on {len(modules)} of its "
            "modules",
            where=modules[0],
            hint="take other lora.target_modules",
        )


def _check_moved(
    optimiser: Optimiser,
    parameters: Parameters,
    before: Mapping[str, Tensor],
    *,
    key: str,
    rate: float,
) -> None:
    """Of the parameters that had a gradient other than zero, at least one must have moved."""
    moments = {name: optimiser.first_moment(value) for name, value in parameters.items()}
    pulled = [name for name, moment in moments.items() if moment is not None and bool(moment.any())]
    if pulled and not any(_moved(parameters[name], before[name]) for name in pulled):
        raise TrainingError(
            f"{key} = {rate:g} is too small: no value moves in float32",
            where=pulled[0],
            hint=f"raise {key}",
        )


def _moved(value: Tensor, before: Tensor) -> bool:
    return bool(((value.detach() - before).abs() >= SMALLEST_STEP).any())


def _copied(parameters: Parameters) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in parameters.items()}


def _lower(rates: Rates) -> str:
    return (
        f"lower {rates.section}.learning_rate (now {rates.factors:g}) or {rates.section}.head_learning_rate "
        f"(now {rates.head:g})"
    )
