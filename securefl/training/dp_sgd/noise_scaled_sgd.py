"""Gradient descent along noised sums, by the deviation of their noise.

The rule kept here: where noise rules, a step moves a parameter by a linear function of the sum that was released. All
coordinates have noise of one deviation, which everybody knows; a step follows the sum by that deviation. So a learning
rate means the same at every epsilon, batch and clip: it is how far noise alone moves a parameter in a step. Where there
is little noise, the root mean square of the sum takes the deviation's place, so that no step is longer than that.

AdamW divides by the root of its own estimate of the second moment, which under much noise is that of the noise, up to
chance: its first steps of a round are nearly of one length whatever the gradient, and its first moment counts a round's
early gradients several times and its last ones hardly. Measured on validation rows: ``benchmarks/README.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from securefl.training.adapter_bank import Trainable
from securefl.training.schedule import Rates


class NoiseScaledSgd:
    """Steps of x <- (1 - rate decay) x - rate g / max(s, r), with g the noised gradient.

    s is the deviation of its noise, and r its root mean square: of all factors together, and of the head.

    Args:
        trainable: What it moves.
        rates: Learning rates before any schedule.
        weight_decay: As AdamW's, apart from the gradient.
        deviation: s, positive: that of one coordinate of a gradient that a step is given.

    Attributes:
        rates: As given.

    Guarantee: post-processing of the gradients that it is given and of public numbers.
    """

    def __init__(self, trainable: Trainable, *, rates: Rates, weight_decay: float, deviation: float) -> None:
        self.rates = rates
        self._weight_decay = weight_decay
        self._deviation = deviation
        self._groups = (
            (rates.factors, tuple(trainable.factors.values())),
            (rates.head, tuple(trainable.head.values())),
        )

    def forget(self) -> None:
        """See ``optimiser.Descent``."""
        for _, parameters in self._groups:
            for parameter in parameters:
                parameter.grad = None

    @torch.no_grad()
    def step(self, *, share: float) -> None:
        """See ``optimiser.Descent``."""
        for rate, parameters in self._groups:
            scale = max(self._deviation, _root_mean_square(parameters))
            for parameter in parameters:
                parameter.mul_(1 - share * rate * self._weight_decay)
                if parameter.grad is not None:
                    parameter.add_(parameter.grad, alpha=-share * rate / scale)


def _root_mean_square(parameters: Sequence[nn.Parameter]) -> float:
    """Root mean square of all gradients that are there; 0 where there is none."""
    gradients = [parameter.grad.double() for parameter in parameters if parameter.grad is not None]
    squares = sum(gradient.square().sum().item() for gradient in gradients)
    return math.sqrt(squares / max(1, sum(gradient.numel() for gradient in gradients)))
