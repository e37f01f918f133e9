"""State of a privacy budget as its events say it: what was charged, and what of it has left.

The rule kept here: a plain fold over events, the same for the client that spends and the auditor that reads; what
makes no sense (a contribution without a charge, a second charge of one attempt) is refused with its line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from securefl.errors import StateError
from securefl.ledger.budget_events import (
    BudgetEvent,
    BudgetOpened,
    ChargeContributed,
    ChargeReserved,
)
from securefl.ledger.chain import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One release that is paid for.

    Attributes:
        reservation: Sequence number of its entry.
        federation_digest: SHA-256 of the federation file (32 bytes).
        round_number: Number of the round.
        attempt: Number of the attempt.
        release: Text of ``privacy.events``.
    """

    reservation: int
    federation_digest: bytes
    round_number: int
    attempt: int
    release: str

    @property
    def place(self) -> tuple[bytes, int, int]:
        """Federation, round and attempt, which are charged once."""
        return self.federation_digest, self.round_number, self.attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """A budget after some events.

    Attributes:
        opened: The first event.
        reserved: Charges by the sequence numbers of their entries; none is ever taken back.
        bodies: Digests of what left, by reservation.
    """

    opened: BudgetOpened
    reserved: Mapping[int, Charge] = field(default_factory=dict)
    bodies: Mapping[int, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> BudgetState:
        """Fold all entries of a ledger.

        Raises:
            StateError: naming the line of an event that makes no sense there.
        """
        if not entries or not isinstance(entries[0].event, BudgetOpened):
            raise StateError(
                "this is no ledger of a privacy budget", where="line 1", hint="it does not open one"
            )
        state = cls(opened=entries[0].event)
        for entry in entries[1:]:
            event = entry.event
            if not isinstance(event, ChargeReserved | ChargeContributed):
                raise _senseless(entry.sequence, "an event that belongs into no budget")
            state = state.after(event, sequence=entry.sequence)
        return state

    @property
    def charges(self) -> tuple[Charge, ...]:
        """All charges, the oldest first."""
        return tuple(self.reserved.values())

    def of_attempt(self, event: ChargeReserved) -> Charge | None:
        """The charge that an attempt has already; None if it has none.

        Raises:
            StateError: if it was for another release: an attempt is made once.
        """
        place = (event.federation_digest, event.round_number, event.attempt)
        charge = next((charge for charge in self.reserved.values() if charge.place == place), None)
        if charge is not None and charge.release != event.release:
            raise StateError(
                f"attempt {event.attempt} of round {event.round_number} was charged before, for another release",
                hint="a new attempt has a new number",
            )
        return charge

    def has_body(self, reservation: int, body_digest: bytes) -> bool:
        """True where this very body left before.

        Raises:
            StateError: if another body left: each has noise of its own, and both would be released.
        """
        if reservation not in self.bodies:
            return False
        if self.bodies[reservation] != body_digest:
            raise StateError(
                "a charge has paid for another contribution",
                hint="send the one that was made first, or start anew",
            )
        return True

    def after(self, event: BudgetEvent, *, sequence: int) -> BudgetState:
        """The state after one more event.

        Raises:
            StateError: if it makes no sense here.
        """
        match event:
            case ChargeReserved():
                if self.of_attempt(event) is not None:
                    raise _senseless(sequence, "a second charge of one attempt")
                charge = Charge(
                    reservation=sequence,
                    federation_digest=event.federation_digest,
                    round_number=event.round_number,
                    attempt=event.attempt,
                    release=event.release,
                )
                return replace(self, reserved={**self.reserved, sequence: charge})
            case ChargeContributed():
                if event.reservation not in self.reserved:
                    raise _senseless(sequence, "there is no such charge")
                if event.reservation in self.bodies:
                    raise _senseless(sequence, "a second contribution for one charge")
                return replace(self, bodies={**self.bodies, event.reservation: event.body_digest})
            case _:
                raise _senseless(sequence, "a second opening of a budget")


def _senseless(sequence: int, reason: str) -> StateError:
    return StateError(
        "the budget's ledger has an event that makes no sense", where=f"line {sequence + 1}", hint=reason
    )
