"""The first frozen factors of a member's rounds, where its own model says them.

The rule kept here: they enter the state once, before the first round, from a model whose digest all members share; what
each has computed is part of the state that they compare, so that one with other bits sums with nobody.
"""

from __future__ import annotations

from securefl.adapters.frozen_start import begun_from
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.state import SharedState
from securefl.aggregation.update_source import PrincipalSource
from securefl.errors import ModelError


def begun_from_model(state: SharedState, plan: PayloadPlan, learner: object) -> SharedState:
    """The state with the singular vectors of a learner's base model in the place of drawn factors.

    Args:
        state: Before the first round.
        plan: Says how many directions rounds train against.
        learner: The member's.

    Raises:
        ModelError: if the learner has no base model that it could take them from.
    """
    if not isinstance(learner, PrincipalSource):
        raise ModelError(
            "this federation begins from the singular vectors of the base model, which this member's learner does not "
            "give",
            hint='write frozen_from = "seed" in [payload]',
        )
    return begun_from(state, learner.principal_directions(plan.frozen_rank))
