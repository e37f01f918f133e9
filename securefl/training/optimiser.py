"""Optimisers of one adapter, with learning rates that a schedule scales.

The usual one is AdamW, with gradients that are clipped by their global norm; ``dp_sgd`` has another one.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from securefl.training.adapter_bank import Trainable
from securefl.training.kept import Array, Kept
from securefl.training.schedule import Rates


class Descent(Protocol):
    """Steps of any optimiser.

    Attributes:
        rates: Learning rates before any schedule.
    """

    rates: Rates

    def forget(self) -> None:
        """Drop all gradients, so that those of the next batch add up from nothing."""
        ...

    def step(self, *, share: float) -> float | None:
        """Follow the gradients that are there.

        Args:
            share: What both learning rates are multiplied by in this step.

        Returns:
            The gradient's norm before it was clipped, where there is a limit.
        """
        ...


class Optimiser:
    """AdamW over an adapter's factors and head, each with a learning rate of its own.

    Args:
        trainable: What it moves.
        rates: Learning rates before any schedule.
        weight_decay: AdamW's.
        max_grad_norm: Longest gradient over all of the parameters together; a longer one is scaled down to it. 0
            leaves every gradient as it is.

    Attributes:
        rates: As given.
    """

    def __init__(
        self, trainable: Trainable, *, rates: Rates, weight_decay: float, max_grad_norm: float
    ) -> None:
        self.rates = rates
        self._max_grad_norm = max_grad_norm
        self._parameters = [*trainable.factors.values(), *trainable.head.values()]
        self._adamw = torch.optim.AdamW(
            [
                {"params": list(trainable.factors.values()), "lr": rates.factors},
                {"params": list(trainable.head.values()), "lr": rates.head},
            ],
            weight_decay=weight_decay,
        )

    def forget(self) -> None:
        """See ``Descent.forget``."""
        self._adamw.zero_grad()

    def step(self, *, share: float) -> float | None:
        """See ``Descent.step``."""
        norm = None
        if self._max_grad_norm > 0:
            norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._max_grad_norm).item()
        for group, rate in zip(self._adamw.param_groups, (self.rates.factors, self.rates.head), strict=True):
            group["lr"] = rate * share
        self._adamw.step()
        return norm

    def kept(self) -> Kept:
        """AdamW's moments and counts of steps, by the place of each parameter."""
        arrays: dict[str, Array] = {}
        for place, parameter in enumerate(self._parameters):
            for name, value in self._adamw.state.get(parameter, {}).items():
                arrays[f"{place}/{name}"] = value.detach().cpu().numpy()
        return Kept(arrays)

    def restore(self, kept: Kept) -> None:
        """Go on from kept moments of the same parameters."""
        for place, parameter in enumerate(self._parameters):
            found = kept.under(str(place)).arrays
            if found:
                self._adamw.state[parameter] = {
                    # AdamW counts steps on the CPU, whatever device the parameter is on.
                    name: torch.from_numpy(np.array(value)).to("cpu" if name == "step" else parameter.device)
                    for name, value in found.items()
                }

    def first_moment(self, parameter: Tensor) -> Tensor | None:
        """AdamW's mean of a parameter's gradients; None where it never had a gradient tensor, be it of zeros."""
        if parameter not in self._adamw.state:
            return None
        moment: Tensor = self._adamw.state[parameter]["exp_avg"]
        return moment
