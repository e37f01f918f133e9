"""The frozen factor of a round under ``state``: the one of the shared adapter that the round before trained.

The rule kept here: nothing is drawn or decomposed. All members hold the same bits of both factors, because these follow
from integer sums (``learned_factors``), so there is nothing to send and nothing to compare.

This is RoLoRA (arXiv 2502.01755): B is trained in odd rounds against the A that even rounds have learned, and the other
way about; or FFA-LoRA (arXiv 2403.12313), where rounds train B alone against one A for ever; or the mirror image of
that, one B for ever. ``basis`` freezes a random factor instead, drawn for the round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from securefl.adapters.frozen.basis import FrozenBasis, Side, trained_side
from securefl.adapters.update import LoraFactors
from securefl.config.trained_sides import TrainedSides

Learned = Mapping[str, LoraFactors]
"""A (R, n) and B (m, R) of every adapted weight of a shared adapter; a weight's change is ``B @ A``."""


@dataclass(frozen=True, slots=True)
class LearnedBasis(FrozenBasis):
    """The frozen factors of one round, and the shared adapter that they are factors of.

    A change is a step of the trained factor: the frozen factor is cut to the client's directions, and the whole shared
    adapter stays in the model, so that all clients, whatever their ranks, take gradients of the same one.

    Attributes:
        shared: Both factors of the shared adapter as the round begins. The arrays cannot be written to.
    """

    shared: Learned


def learned_basis(shared: Learned, *, round_number: int, sides: TrainedSides) -> LearnedBasis:
    """The frozen side of a shared adapter in a round.

    Args:
        shared: Both factors after the round before.
        round_number: Number of the round, from 1.
        sides: Sides that rounds train.
    """
    side = trained_side(round_number, sides=sides)
    return LearnedBasis(
        round_number=round_number,
        side=side,
        factors={name: pair.A if side is Side.LEFT else pair.B for name, pair in shared.items()},
        shared=shared,
    )
