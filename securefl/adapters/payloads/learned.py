"""``state``: the step of the one factor of the shared adapter that a round trains, against the learned other one.

The rule kept here: coordinates, partitions and linearity are those of ``basis``; only where the frozen factor comes
from differs. It is part of the global state (``learned_factors``), so the payload of a round is made from the state
that the round begins with.

Reference: RoLoRA, arXiv 2502.01755, here with rank partitions.
"""

from __future__ import annotations

from securefl.adapters.frozen.basis import trained_side
from securefl.adapters.frozen.learned import Learned, learned_basis
from securefl.adapters.learned_factors import LearnedFactors
from securefl.adapters.payloads.base import PayloadSettings, RoundPayload, Segment, lay_out
from securefl.adapters.payloads.basis import BasisPayload, basis_pieces

STEP_SCALE = 4.0
"""Bound of a coordinate of a step, in units of the bound b on an update's entries.

A row of a change is the row of B's step times rows of A, whose entries are about 1/sqrt(n): the step's entries are
larger than the change's by about sqrt(n / R), 10 for MiniLM and R = 4. Measured there (HWU64, ranks 2 to 16, learning
rate 2e-3, 45 steps, alpha / sqrt(r)): entries up to 0.47 in the first round; the default b is 0.25. Steps of A are
smaller, by about the scaling.
"""


def state_start(settings: PayloadSettings) -> LearnedFactors:
    """The shared adapter before the first round."""
    shared = settings.ranks.shared_rank
    return LearnedFactors.start(
        settings.layout,
        shared_rank=shared,
        seed=settings.seed,
        sides=settings.sides,
        aligned=settings.aligned,
    )


def state_segments(settings: PayloadSettings, round_number: int) -> tuple[Segment, ...]:
    """Segments of a contribution to a round."""
    side = trained_side(round_number, sides=settings.sides)
    return lay_out(basis_pieces(settings.layout, settings.ranks, side, scale=STEP_SCALE))


def state_payload(settings: PayloadSettings, round_number: int, learned: Learned) -> RoundPayload:
    """A round's payload, against the frozen side of what was learned before it."""
    frozen = learned_basis(learned, round_number=round_number, sides=settings.sides)
    payload = BasisPayload(settings.layout, settings.ranks, frozen, scale=STEP_SCALE)
    return RoundPayload(payload, frozen)
