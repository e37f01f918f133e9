"""One member's side of early stopping: the loss that it sends, and the state that the federation goes back to.

The rule kept here: a sum of losses is taken up only if it leaves the others what they can have sent, so that a member
with a loss out of range ends nothing; ``early_stopping`` decides from the sums alone.
"""

from __future__ import annotations

from fractions import Fraction

from securefl.adapters.state import SharedState
from securefl.aggregation.early_stopping import EarlyStopping, loss_steps
from securefl.aggregation.others import check_others


class KeptState:
    """The best state so far by the cohort's losses.

    Args:
        patience: Rounds without a smaller loss after which the federation ends.
        start: The state before round 1.

    Attributes:
        state: The state of the smallest loss.
    """

    def __init__(self, patience: int, *, start: SharedState) -> None:
        self._sums = EarlyStopping(patience)
        self._own: int | None = None
        self.state = start

    @property
    def ended_with(self) -> int | None:
        """Number of the round whose state is kept, once the sums have ended the federation; else None."""
        return self._sums.best_round if self._sums.over else None

    def integer(self, loss: float | None, *, limit: int) -> int:
        """The integer that this member sends of its loss; see ``loss_steps``."""
        self._own = loss_steps(loss, limit=limit)
        return self._own

    def resume(self, integer: int) -> None:
        """Take up the integer of a contribution that was encoded before."""
        self._own = integer

    def judge(
        self,
        total: int,
        state: SharedState,
        *,
        round_number: int,
        limit: int,
        members: int,
        contributed: bool = True,
    ) -> None:
        """Take up a round's sum of losses.

        Args:
            total: The sum.
            state: What it is the loss of: the state that the round started from.
            round_number: The round's.
            limit: The largest integer of one loss.
            members: How many losses are in it.
            contributed: Whether this member's is.

        Raises:
            ProtocolError: if the sum leaves the others what they cannot have, or it is not the next round's.
        """
        own = self._own if contributed else None
        others = members if own is None else members - 1
        check_others(total, own or 0, least=0, most=others * limit, others=others, what="validation losses")
        self._sums, self._own = self._sums.told(round_number, Fraction(total, members)), None
        if self._sums.best_round == self._sums.measured:
            self.state = state
