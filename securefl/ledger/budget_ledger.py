"""The ledger of a privacy budget: one a client and data set, outside every run.

The rule kept here: a charge is on disk before what it pays for happens (reserve, sync, contribute), and stays; so a
process that is killed at any point has charged too much or exactly, never too little.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType

from securefl.errors import StateError
from securefl.ledger.anchors import Anchor, require_anchors
from securefl.ledger.budget_events import (
    SALT_BYTES,
    BudgetOpened,
    ChargeContributed,
    ChargeReserved,
)
from securefl.ledger.budget_state import BudgetState, Charge
from securefl.ledger.chain import Entry, Verifier, verified_entries
from securefl.ledger.ledger import Ledger


class BudgetLedger:
    """A budget's ledger, open for writing; a context manager that closes it.

    Args:
        ledger: Its file, verified and locked; an empty one is begun.
        client: The client's id.
        data_fingerprint: Of its data set (32 bytes).
        ledger_key: Public key that signs the ledger (32 bytes).
        anchors: Heads that others have kept of this ledger.

    Raises:
        StateError: if it is another client's or data set's, has an event that makes no sense, or is not a continuation
            of the anchors.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        client: str,
        data_fingerprint: bytes,
        ledger_key: bytes,
        anchors: Iterable[Anchor] = (),
    ) -> None:
        self._ledger = ledger
        self._ledger_key = ledger_key
        own = BudgetOpened(
            client=client, data_fingerprint=data_fingerprint, ledger_key=ledger_key, salt=_salt()
        )
        require_anchors(ledger.entries, anchors, ledger_key=ledger_key)
        if not ledger.entries:
            ledger.append(own)
        self._state = BudgetState.of(ledger.entries)
        _require_own(self._state.opened, own)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """All charges, the oldest first."""
        return self._state.charges

    @property
    def anchor(self) -> Anchor:
        """The head, for others to keep: in a receipt, in a certificate."""
        entries = self._ledger.entries
        return Anchor(self._ledger_key, entries[-1].sequence, entries[-1].digest)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, the oldest first."""
        return self._ledger.entries

    def has_left(self, charge: Charge) -> bool:
        """True where ``contribute`` was called for a charge."""
        return charge.reservation in self._state.bodies

    def reserve(self, *, federation_digest: bytes, round_number: int, attempt: int, release: str) -> Charge:
        """Charge a release; it is on disk when this returns. Call it before training.

        A charge of the same round and attempt that is there already, after a crash, is taken up again.

        Raises:
            StateError: if it could not be written, or the same attempt was charged for another release.
        """
        event = ChargeReserved(
            federation_digest=federation_digest,
            round_number=round_number,
            attempt=attempt,
            release=release,
            salt=_salt(),
        )
        known = self._state.of_attempt(event)
        if known is not None:
            return known
        self._append(event)
        charge = self._state.of_attempt(event)
        assert charge is not None
        return charge

    def contribute(self, charge: Charge, *, body_digest: bytes) -> None:
        """Record that a charged release is about to leave; it is on disk when this returns.

        Raises:
            StateError: if it could not be written, or the charge has paid for another body.
        """
        if self._state.has_body(charge.reservation, body_digest):
            return
        self._append(ChargeContributed(reservation=charge.reservation, body_digest=body_digest, salt=_salt()))

    def close(self) -> None:
        """Close the file."""
        self._ledger.close()

    def __enter__(self) -> BudgetLedger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _append(self, event: ChargeReserved | ChargeContributed) -> None:
        # Checked against the state before it is written, so that no ledger holds an event that a reader refuses.
        state = self._state.after(event, sequence=len(self._ledger.entries))
        self._ledger.append(event)
        self._state = state


def verify_budget(
    data: bytes, *, ledger_key: bytes, verifier: Verifier, anchors: Iterable[Anchor] = ()
) -> BudgetState:
    """Verify a budget's ledger without writing to it.

    Args:
        data: The file's bytes.
        ledger_key: Public key that signs it (32 bytes), from where it was anchored.
        verifier: Checks signatures under that key.
        anchors: Heads that others have kept.

    Guarantee: see ``chain.verified_entries`` and ``anchors.require_anchors``.

    Raises:
        StateError: naming the line or the anchor that does not hold.
    """
    entries = tuple(verified_entries(data, verifier))
    require_anchors(entries, anchors, ledger_key=ledger_key)
    state = BudgetState.of(entries)
    if state.opened.ledger_key != ledger_key:
        raise StateError(
            "the budget's ledger names another key than the one that signs it",
            where="line 1",
            hint="put back the newest copy",
        )
    return state


def _require_own(opened: BudgetOpened, own: BudgetOpened) -> None:
    if replace(opened, salt=own.salt) != own:
        raise StateError(
            "the budget's ledger is of another client, data set or key",
            hint="name another folder under privacy.ledger in client.toml",
        )


def _salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)
