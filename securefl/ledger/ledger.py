"""A member's ledger: what it did, in an order that cannot be changed later, on disk before it acts on it.

The rule kept here: an event is appended, and safe against a crash, before what it speaks of happens; a ledger
that does not hold together is never written to. Under differential privacy the charge of a round will be an
event of the same kind, so the order stays: reserve, sync, contribute.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from securefl.errors import StateError
from securefl.ledger.chain import GENESIS, Entry, Signer, Verifier, unsigned_bytes, verified_entries
from securefl.ledger.events import (
    AggregateApplied,
    Event,
    RoundContributed,
    RoundReserved,
    RoundSpoiled,
    RoundVoided,
    RunFinished,
    RunStarted,
)
from securefl.storage.durable import DurableFile, DurableLog

__all__ = [
    "AggregateApplied",
    "Entry",
    "Event",
    "Ledger",
    "LedgerReader",
    "RoundContributed",
    "RoundReserved",
    "RoundSpoiled",
    "RoundVoided",
    "RunFinished",
    "RunStarted",
    "Signer",
    "VerifiedLedger",
    "Verifier",
]


class Ledger:
    """A ledger open for writing; a context manager that closes it.

    Args:
        storage: Where the lines go; what it holds is verified first.
        signer: The member's signing key.
        verifier: Checks signatures under the public half of that key.

    Raises:
        StateError: naming the line, if what is there does not hold together.
    """

    def __init__(self, storage: DurableLog, *, signer: Signer, verifier: Verifier) -> None:
        self._storage = storage
        self._signer = signer
        self._verifier = verifier
        self._entries = list(verified_entries(storage.read(), verifier))
        self._writable = True

    @classmethod
    def open(cls, path: Path, *, signer: Signer, verifier: Verifier) -> Ledger:
        """Open a ledger's file, or begin one.

        Raises:
            StateError: if another process has it open, or what is there does not hold together.
        """
        storage = DurableFile(path)
        try:
            return cls(storage, signer=signer, verifier=verifier)
        except StateError as error:
            storage.close()
            raise _located(error, path) from None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, the oldest first."""
        return tuple(self._entries)

    @property
    def head(self) -> bytes:
        """Digest of the last entry (32 bytes); all zeros while there is none."""
        return self._entries[-1].digest if self._entries else GENESIS

    def append(self, event: Event) -> Entry:
        """Add an event; it is on disk when this returns.

        Raises:
            StateError: if it could not be written; the ledger then takes nothing more until it is opened
                again.
            AuthenticationError: if signer and verifier do not belong together.
        """
        if not self._writable:
            raise StateError(
                "the ledger takes no more entries after a failed write", hint="start the member again"
            )
        unsigned = unsigned_bytes(sequence=len(self._entries), previous=self.head, event=event)
        entry = Entry(len(self._entries), self.head, event, self._signer.sign(unsigned))
        self._verifier(entry.signature, unsigned)
        self._writable = False
        self._storage.append(entry.line() + b"\n")
        self._writable = True
        self._entries.append(entry)
        return entry

    def close(self) -> None:
        """Close the file; appending is over."""
        self._writable = False
        self._storage.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class VerifiedLedger:
    """A ledger that held together when it was read.

    Attributes:
        entries: All entries, the oldest first.
        head: Digest of the last one (32 bytes).
    """

    entries: tuple[Entry, ...]
    head: bytes

    @property
    def finished(self) -> bool:
        """True if its last event is the end of a run."""
        return isinstance(self.entries[-1].event, RunFinished)


class LedgerReader:
    """Reads ledgers without writing to them."""

    @staticmethod
    def verify(path: Path, verifier: Verifier, *, head: bytes | None = None) -> VerifiedLedger:
        """The entries of a ledger's file, once every one of them has been checked.

        Args:
            path: The file.
            verifier: Checks signatures under its writer's public key.
            head: Digest of the last entry where it was recorded elsewhere: it shows that nothing is missing
                at the end.

        Raises:
            StateError: if the file cannot be read, is empty, does not hold together, or ends elsewhere.
        """
        try:
            entries = tuple(verified_entries(path.read_bytes(), verifier))
        except OSError as error:
            raise StateError(f"{path} cannot be read", hint=str(error.strerror)) from None
        except StateError as error:
            raise _located(error, path) from None
        if not entries:
            raise StateError(f"{path} is empty", hint="a ledger's first entry is the start of a run")
        if head is not None and entries[-1].digest != head:
            raise StateError(
                "the ledger does not end where its recorded head says",
                where=str(path),
                hint="entries are missing at its end, or were added after the head was recorded",
            )
        return VerifiedLedger(entries=entries, head=entries[-1].digest)


def _located(error: StateError, path: Path) -> StateError:
    """The same error with the file's name before the line's."""
    return StateError(
        error.what, where=f"{path}, {error.where}" if error.where else str(path), hint=error.hint
    )
