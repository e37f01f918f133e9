"""Penalties of adapters' losses, as ``[training]`` names them: two of the shared one's, and one of a private one's.

``tail``      the norm of each weight's last directions (``tail_penalty``)
``proximal``  half the squared distance of all that a round trains from where the round began (FedProx, arXiv
              1812.06127), which holds clients of different data together; factors as they are trained, and the head
``orthogonal``  of a private adapter: the sum over all weights of ||A_s A_p^T||_F^2, with A_s of the shared adapter and
              A_p of the private one, as between the adapters of two tasks in O-LoRA (arXiv 2310.14152). Where it is
              zero, both read other directions of a weight's input, so that what one has learnt the other leaves alone
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

from securefl.config.training import TrainingSection
from securefl.training.adapter_bank import Trainable
from securefl.training.tail_penalty import tail_penalty

_RIGHT: Final = ".lora_A"
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


def orthogonality(
    reference: Mapping[str, Tensor], factors: Mapping[str, nn.Parameter], *, strength: float
) -> Penalty:
    """The penalty of a private adapter, whose own factors alone get a gradient of it.

    Args:
        reference: A (r, n) of every weight of the shared adapter, by weight name, as it is when the penalty is asked
            for.
        factors: The private adapter's, by weight name and factor as in ``Trainable``, at least one A among them.
        strength: ``[training] orthogonal``.
    """

    def penalty() -> Tensor:
        squares = [
            (reference[name.removesuffix(_RIGHT)].detach() @ value.T).square().sum()
            for name, value in factors.items()
            if name.endswith(_RIGHT)
        ]
        return strength * torch.stack(squares).sum()

    return penalty


def _sum(parts: list[Penalty]) -> Tensor:
    return torch.stack([part() for part in parts]).sum()


def _proximal(parameters: Mapping[str, nn.Parameter], *, strength: float) -> Penalty:
    start = {name: value.detach().clone() for name, value in parameters.items()}

    def penalty() -> Tensor:
        squares = [(value - start[name]).square().sum() for name, value in parameters.items()]
        return strength / 2 * torch.stack(squares).sum()

    return penalty
