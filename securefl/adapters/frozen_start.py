"""The first frozen factors of a federation, where they are not drawn from its seed but found in the model.

The rule kept here: they enter the state before the first round, in the same bits at every member, and are part of what
members compare before every attempt (``sum_chain.basis_digest``); a member with other ones sums with nobody.

``state``  A starts as the right singular vectors, and B stays zero; rounds move both as they always do
``core``   U and V are the singular vectors for the whole federation, see ``frozen.core``

References: PiSSA, arXiv 2404.02948, whose A and B both start from the weight, which is changed by as much; here A
alone does, without the singular values, since B begins at zero. LoRA-XS, arXiv 2405.17604, for cores.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from securefl.adapters.frozen.learned import Learned
from securefl.adapters.learned_factors import LearnedFactors
from securefl.adapters.state import GlobalState, SharedState
from securefl.adapters.update import LoraFactors, Matrix
from securefl.errors import ProtocolError


def begun_from(state: SharedState, directions: Learned) -> SharedState:
    """The state before the first round with these directions in the place of drawn ones.

    Args:
        state: Before the first round of training.
        directions: Right and left singular vectors of every adapted weight, as A (k, n) and B (m, k), orthonormal.

    Raises:
        ProtocolError: if rounds have begun, a weight is missing, or the payload freezes nothing for ever.
    """
    if state.round_number:
        raise ProtocolError(
            f"round {state.round_number} has begun: frozen factors are chosen before the first"
        )
    match state:
        case LearnedFactors():
            weights = {
                name: LoraFactors(A=_fixed(_of(directions, name).A[: len(pair.A)]), B=pair.B)
                for name, pair in state.weights.items()
            }
            return replace(state, weights=weights)
        case GlobalState():
            frozen = {name: _fixed_pair(_of(directions, name)) for name in state.weights}
            return replace(state, frozen=frozen)
        case _:
            raise ProtocolError(
                "this payload freezes no factors that could be chosen", where="payload.frozen_from"
            )


def _of(directions: Learned, name: str) -> LoraFactors:
    if name not in directions:
        raise ProtocolError("a weight has no directions to begin from", where=name)
    return directions[name]


def _fixed_pair(pair: LoraFactors) -> LoraFactors:
    return LoraFactors(A=_fixed(pair.A), B=_fixed(pair.B))


def _fixed(values: Matrix) -> Matrix:
    kept = np.array(values, order="C")
    kept.setflags(write=False)
    return kept
