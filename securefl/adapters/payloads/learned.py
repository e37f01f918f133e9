"""``state``: the step of the one factor of the shared adapter that a round trains, against the learned other one.

The rule kept here: coordinates, partitions and linearity are those of ``basis``; only where the frozen factor comes
from differs. It is part of the global state (``learned_factors``), so the payload of a round is made from the state
that the round begins with.

Reference: RoLoRA, arXiv 2502.01755, here with rank partitions.
"""

from __future__ import annotations

from securefl.adapters.frozen.basis import Side, trained_side
from securefl.adapters.frozen.learned import Learned, learned_basis
from securefl.adapters.learned_factors import LearnedFactors
from securefl.adapters.payloads.base import PayloadSettings, RoundPayload, Segment, lay_out
from securefl.adapters.payloads.basis import BasisPayload, basis_pieces

LEFT_SCALE = 4.0
"""Bound of a coordinate of B's step, in units of the bound b on an update's entries."""


def state_start(settings: PayloadSettings) -> LearnedFactors:
    """The shared adapter before the first round."""
    shared = settings.ranks.shared_rank
    return LearnedFactors.start(settings.layout, shared_rank=shared, seed=settings.seed)


def state_segments(settings: PayloadSettings, round_number: int) -> tuple[Segment, ...]:
    """Segments of a contribution to a round."""
    side = trained_side(round_number)
    return lay_out(basis_pieces(settings.layout, settings.ranks, side, scale=_scale(side)))


def state_payload(settings: PayloadSettings, round_number: int, learned: Learned) -> RoundPayload:
    """A round's payload, against the frozen side of what was learned before it."""
    frozen = learned_basis(learned, round_number=round_number)
    payload = BasisPayload(settings.layout, settings.ranks, frozen, name="state", scale=_scale(frozen.side))
    return RoundPayload(payload, frozen)


def _scale(side: Side) -> float:
    return LEFT_SCALE if side is Side.LEFT else 1.0
