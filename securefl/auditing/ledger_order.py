"""Order of a member's events in its ledger: what may follow what, in a federation with attempts.

The rule kept here: rounds are applied one after the other, each once; a header leaves for an attempt that was reserved,
and an attempt ends void or spoiled, or with the sum that is applied. A member may miss an attempt, or a whole round,
and still apply its sum.

    round-reserved -> budget-anchored -> round-contributed -> round-voided, then reserved again, or aggregate-applied
"""

from __future__ import annotations

from collections.abc import Sequence

from securefl.ledger.events import (
    AggregateApplied,
    BudgetAnchored,
    Event,
    RoundContributed,
    RoundReserved,
    RoundSpoiled,
    RoundVoided,
    RunFinished,
    RunStarted,
)


def disorder(events: Sequence[Event], *, first_round: int, rounds: int) -> str | None:
    """One sentence's end on the first event that cannot stand where it does; None where all can.

    Args:
        events: Of one run, the oldest first.
        first_round: Number of the federation's first round.
        rounds: Number of the last round that was to be applied.
    """
    order = _Order(first_round, rounds)
    for place, event in enumerate(events, start=1):
        if not order.takes(event):
            return f"{_words(event)} at entry {place}, where {order.natural} belongs"
    return None if order.is_over else f"its end at entry {len(events) + 1}, where {order.natural} belongs"


class _Order:
    """Position of a ledger after some events."""

    def __init__(self, first_round: int, rounds: int) -> None:
        self._next, self._rounds = first_round, rounds
        self._reserved: set[tuple[int, int]] = set()
        self._sent: set[tuple[int, int]] = set()
        self._started = self.is_over = False
        self.natural = f"'{RunStarted.name}'"

    def takes(self, event: Event) -> bool:
        """Follow an event; False if it cannot stand here."""
        if self.is_over or self._started is isinstance(event, RunStarted):
            return False
        match event:
            case RunStarted():
                self._started = True
                self._begin(self._next)
            case RunFinished(rounds):
                if rounds != self._rounds or self._next != self._rounds + 1:
                    return False
                self.is_over = True
            case AggregateApplied(round_number=number, attempt=attempt, included=included):
                if number != self._next or (included and (number, attempt) not in self._sent):
                    return False
                self._begin(number + 1)
            case RoundReserved() | RoundContributed() | RoundVoided() | RoundSpoiled():
                return self._takes_of_attempt(event)
            case BudgetAnchored(round_number=number, attempt=attempt):
                return number == self._next and (number, attempt) in self._reserved
            case _:
                # Charges stand in a budget's ledger, outside every run.
                return False
        return True

    def _takes_of_attempt(self, event: RoundReserved | RoundContributed | RoundVoided | RoundSpoiled) -> bool:
        place = event.round_number, event.attempt
        match event:
            case RoundReserved():
                self._reserved.add(place)
                self.natural = f"'{RoundContributed.name}' of round {self._next}"
                return event.round_number == self._next
            case RoundContributed():
                self._sent.add(place)
                self.natural = f"'{AggregateApplied.name}' of round {self._next}"
                return event.round_number == self._next and place in self._reserved
            case RoundVoided():
                return event.round_number == self._next and place in self._sent
            case RoundSpoiled():
                if event.round_number == self._next - 1:
                    # The sum had been applied here, and t members could not open it: the round comes again.
                    self._begin(event.round_number)
                return event.round_number == self._next and place in self._sent

    def _begin(self, number: int) -> None:
        self._next = number
        self.natural = (
            f"'{RoundReserved.name}' of round {number}" if number <= self._rounds else f"'{RunFinished.name}'"
        )


def _words(event: Event) -> str:
    number = getattr(event, "round_number", None)
    return f"'{event.name}'" + ("" if number is None else f" of round {number}")
