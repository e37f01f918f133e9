"""A judgement before anything is charged: would private steps train, and is each row's gradient its own?

The rule kept here: nothing of a rehearsal is released. It moves the parameters once, looks, and puts them back.

Private training can fail in silence. A parameter whose module is not called as a module (its weight is used by a
function, or PEFT wrapped it after hooks were put on) has no gradient of single rows, and noise moves it all the same.
And where a row's loss depends on other rows of its batch (batch statistics, a mean over all tokens of a batch), the
clip bounds nothing. So a few rows are looked at twice: together, by the hooks, and each alone, by torch itself; both
must have the same gradients. That is done after a step, because from a head of zeros, or factors of zeros, most
gradients are zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from securefl.errors import TrainingError
from securefl.training.dp_sgd.steps import PrivateSteps
from securefl.training.dp_sgd.taps import Taps
from securefl.training.liveness import Start, check_values
from securefl.training.optimiser import Descent
from securefl.training.rows.tokens import Batch

REHEARSED_ROWS: Final = 3
"""Odd, and seldom the number of tokens or heads, so that another axis is not taken for that of the rows."""
_TOLERANCE: Final = 2e-3
_BF16_TOLERANCE: Final = 0.15
"""Largest distance of a row's two gradients by their norm; bf16 has 8 bits, and sums in another order in a batch."""
_OF_THE_WHOLE: Final = 0.02
"""Share of it allowed by the norm of all parameters' gradients instead: those of some are mere rounding."""


def rehearse(steps: PrivateSteps, optimiser: Descent) -> None:
    """Refuse a model that private steps would not train, or not privately.

    Args:
        steps: What is to run.
        optimiser: A fresh one, of the same parameters and rates, which is used up.

    Raises:
        TrainingError: if a parameter has no gradient of single rows, a row's gradient depends on other rows, a value
            is not finite, or a step does not move a parameter.
    """
    with _put_back(steps.parameters), _without_dropout(steps.model):
        batch, alone = _rehearsed(steps)
        _check_step_moves(steps, batch, optimiser)
        _check_rows_independent(steps, batch, alone)


def _rehearsed(steps: PrivateSteps) -> tuple[Batch, list[Batch]]:
    """A few rows of different lengths, where there are such, together and each alone."""
    order = np.argsort(steps.rows.lengths, kind="stable")
    count = min(REHEARSED_ROWS, len(order))
    places = order[np.linspace(0, len(order) // 2, count).astype(np.int64)]
    device = steps.compute.device
    return steps.rows.batch(places, device=device), [
        steps.rows.batch(places[number : number + 1], device=device) for number in range(count)
    ]


def _check_rows_independent(steps: PrivateSteps, batch: Batch, alone: list[Batch]) -> None:
    with Taps(steps.model, steps.parameters) as taps:
        losses = _losses(steps, batch)
        if tuple(losses.shape) != (len(alone),):
            raise _mixed("the loss")
        together = taps.gradients(losses)
    tolerance = _TOLERANCE if steps.compute.autocast is None else _BF16_TOLERANCE
    for place, row in enumerate(alone):
        chosen = torch.zeros(len(alone), device=losses.device)
        chosen[place] = 1.0
        by_hooks = {name: of_rows.weighted_sum(chosen) for name, of_rows in together.items()}
        _check_same(by_hooks, _of_torch(steps, row), tolerance=tolerance)


def _losses(steps: PrivateSteps, batch: Batch) -> Tensor:
    with steps.compute.casting(enabled=True):
        return steps.model.row_losses(batch)


def _of_torch(steps: PrivateSteps, row: Batch) -> dict[str, Tensor]:
    """The gradient of one row alone, by torch's own sum."""
    parameters = steps.parameters
    gradients = torch.autograd.grad(
        _losses(steps, row).sum(), list(parameters.values()), allow_unused=True, materialize_grads=True
    )
    return {name: gradient.float() for name, gradient in zip(parameters, gradients, strict=True)}


def _check_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, tolerance: float) -> None:
    whole = torch.stack([value.norm() for value in expected.values()]).norm()
    for name, value in expected.items():
        allowed = tolerance * (value.norm() + _OF_THE_WHOLE * whole) + torch.finfo(torch.float32).tiny
        if not bool((found[name] - value).norm() <= allowed):
            raise _mixed(name)


def _mixed(where: str) -> TrainingError:
    return TrainingError(
        "a row's gradient in a batch is not its gradient alone, so a clip of single rows would bound nothing",
        where=where,
        hint="take another base model (no batch statistics, no experts with a limit a batch), or a task that gives "
        "each row a loss of its own",
    )


def _check_step_moves(steps: PrivateSteps, batch: Batch, optimiser: Descent) -> None:
    before = Start.of(steps.trainable)
    with Taps(steps.model, steps.parameters) as taps:
        sums, _ = steps.summed(taps, [batch])
    for name, gradient in steps.noised(sums).items():
        steps.parameters[name].grad = gradient
    optimiser.step(share=1.0)
    check_values(steps.parameters, rates=optimiser.rates, what="global")
    for name, value in (before.factors | before.head).items():
        if torch.equal(steps.parameters[name].detach(), value):
            raise TrainingError(
                "a private step does not move a parameter",
                where=name,
                hint=f"raise {optimiser.rates.section}.learning_rate and {optimiser.rates.section}.head_learning_rate",
            )


@contextmanager
def _put_back(parameters: Mapping[str, nn.Parameter]) -> Iterator[None]:
    before = {name: value.detach().clone() for name, value in parameters.items()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(before[name])
                parameter.grad = None


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    """Dropout draws other masks for a row in a batch than for the row alone."""
    dropouts = [module for module in model.modules() if isinstance(module, nn.Dropout) and module.training]
    for module in dropouts:
        module.eval()
    try:
        yield
    finally:
        for module in dropouts:
            module.train()
