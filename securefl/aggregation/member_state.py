"""The global state as one member holds it: the start of every round in its own rank, and the step along a mean.

The rule kept here: a start is made of the state once, and a codec of a round and the state once, since both cost linear
algebra on every weight; neither outlives the state that it was made of.

References: ``adapters.state``, ``adapters.outer`` and ``adapters.redistribution``.
"""

from __future__ import annotations

from securefl.adapters.outer import outer_of
from securefl.adapters.scaling import scaling_of
from securefl.adapters.state import SharedState
from securefl.adapters.update import Adapter, MeanUpdate, Update, whole_update
from securefl.adapters.update_norm import update_norm
from securefl.aggregation.encoding import RoundCodec
from securefl.protocol.client_noise import round_noise
from securefl.protocol.federation import Federation


class MemberState:
    """The state after the rounds applied so far, at a member of some rank.

    Args:
        federation: The pinned federation.
        rank: Rank of the member's adapters.

    Attributes:
        global_rank: Rank of the adapter in which the member holds the state; see ``PayloadPlan.global_rank``.
        scaling: Scaling of that adapter; see ``adapters.scaling``.
    """

    def __init__(self, federation: Federation, *, rank: int) -> None:
        self._federation, self._plan = federation, federation.plan
        self.global_rank = self._plan.global_rank(rank)
        self.scaling = scaling_of(federation.terms.lora, self.global_rank)
        self._outer = outer_of(
            federation.terms.outer,
            kept_rank=self._plan.kept_rank,
            seeded=federation.terms.recipe.seeded,
        )
        self._state: SharedState = self._plan.start()
        self._start: Adapter | None = None
        self._codec: tuple[int, SharedState, RoundCodec] | None = None

    @property
    def state(self) -> SharedState:
        """The state itself."""
        return self._state

    def start(self) -> Adapter:
        """The best adapter of ``global_rank`` that the state holds; made once a state, and every call gives a copy."""
        if self._start is None:
            self._start = self._state.redistributed(self.global_rank, scaling=self.scaling)
        return self._start.copy()

    def codec(self, round_number: int) -> RoundCodec:
        """The round's codec; the last one is kept, because drawing a basis costs an orthonormalisation a weight."""
        if self._codec is None or self._codec[0] != round_number or self._codec[1] is not self._state:
            noise = round_noise(self._federation, round_number)
            made = RoundCodec.of(self._plan, round_number, self._state.learned, noise)
            self._codec = (round_number, self._state, made)
        return self._codec[2]

    def summed_form(self, update: Update) -> Update:
        """The update as the payload sums it: the change itself, or the whole product where products are summed."""
        if not self._plan.sums_products:
            return update
        return whole_update(update, self.start(), scaling=self.scaling)

    def advance(self, mean: MeanUpdate) -> float:
        """Make the outer step along a round's mean.

        Returns:
            Norm of the mean update; see ``adapters.update_norm``.
        """
        moved = update_norm(self._state.change(mean))
        step, outer = self._outer.step(mean, learned=self._state.learned_side)
        self.go_on_from(self._state.advanced(step))
        self._outer = outer
        return moved

    def go_on_from(self, state: SharedState) -> None:
        """Put another state in the place of this one: one with other heads, or the best one of the rounds before."""
        self._state, self._start = state, None
