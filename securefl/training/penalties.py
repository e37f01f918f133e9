"""Penalties of the shared adapter's rounds, as ``[training]`` names them.

``tail``      the norm of each weight's last directions (``tail_penalty``)
``proximal``  half the squared distance of all that a round trains from where the round began (FedProx, arXiv
              1812.06127), which holds clients of different data together; factors as they are trained, and the head
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from securefl.config.training import TrainingSection
from securefl.training.adapter_bank import Trainable
from securefl.training.tail_penalty import tail_penalty

Penalty = Callable[[], Tensor]
"""Gives a scalar with a graph, of the values as they are."""


def penalty_of(trainable: Trainable, section: TrainingSection, *, kept: int | None = None) -> Penalty | None:
    """All that is added to every loss of a round, from the values that it begins with; None for nothing.

    Args:
        trainable: Parameters that the round trains, as it begins.
        section: ``[training]``.
        kept: Directions that are not zeros; None for all of them.
    """
    parts: list[Penalty] = []
    if section.rank_penalty > 0:
        parts.append(partial(tail_penalty, trainable, strength=section.rank_penalty, kept=kept))
    if section.proximal > 0:
        parts.append(_proximal(trainable.factors | trainable.head, strength=section.proximal))
    return partial(_sum, parts) if parts else None


def _sum(parts: list[Penalty]) -> Tensor:
    return torch.stack([part() for part in parts]).sum()


def _proximal(parameters: Mapping[str, nn.Parameter], *, strength: float) -> Penalty:
    start = {name: value.detach().clone() for name, value in parameters.items()}

    def penalty() -> Tensor:
        squares = [(value - start[name]).square().sum() for name, value in parameters.items()]
        return strength / 2 * torch.stack(squares).sum()

    return penalty
