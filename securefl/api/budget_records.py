"""Ledgers of privacy budgets in an audit: found, verified, and the charges of one federation in them.

The rule kept here: a ledger is read and never written, and its secret key is not touched. The public key stands in its
first line; that it is the key which charged this run, and that the ledger is whole, shows against heads that others
keep.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from securefl.errors import StateError
from securefl.identity.signing import verify
from securefl.ledger.anchors import Anchor
from securefl.ledger.budget_ledger import verify_budget
from securefl.ledger.budget_state import BudgetState, Charge

KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRecord:
    """One verified ledger of a client's budget.

    Attributes:
        path: Its file.
        state: What its events say.
    """

    path: Path
    state: BudgetState

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Charges of all federations that count, the oldest first."""
        return self.state.charges

    def of_federation(self, digest: bytes) -> tuple[Charge, ...]:
        """Charges of one federation that count, the oldest first."""
        return tuple(charge for charge in self.charges if charge.federation_digest == digest)

    def knows(self, digest: bytes) -> bool:
        """True where a release of this federation was ever charged, refunded or not."""
        return any(charge.federation_digest == digest for charge in self.state.reserved.values())


def files_of(folder: Path, member: str) -> list[Path]:
    """Ledger files of one client's budgets, by name; none where there is no such folder."""
    return sorted((folder / member).glob("*.jsonl"))


def read_record(path: Path, *, member: str, anchors: Sequence[Anchor] = ()) -> BudgetRecord:
    """Read and verify one ledger of a budget.

    Args:
        path: Its file, named by the data's fingerprint.
        member: The client whose budget it must be.
        anchors: Heads of it that others have kept.

    Guarantee: see ``chain.verified_entries`` and ``anchors.require_anchors``. Without anchors the ledger is some
    history that the holder of the key in its first line wrote: entries that are missing at its end do not show.

    Raises:
        StateError: in a sentence that names the line, if it cannot be read, does not hold together, or is of another
            client or data set.
    """
    try:
        data = path.read_bytes()
        key = _key_of(data)
        state = verify_budget(data, ledger_key=key, verifier=partial(verify, key), anchors=anchors)
    except OSError as error:
        raise StateError(
            "the budget's ledger cannot be read", where=str(path), hint=error.strerror or ""
        ) from None
    if state.opened.client != member or state.opened.data_fingerprint.hex() != path.stem:
        raise StateError("the budget's ledger is another client's or of other data", where=str(path))
    return BudgetRecord(path=path, state=state)


def _key_of(data: bytes) -> bytes:
    """The key that the first line names; nothing else is believed before that line's signature has been checked."""
    try:
        key = bytes.fromhex(json.loads(data.split(b"\n", 1)[0])["fields"]["ledger_key"])
    except (ValueError, KeyError, TypeError, RecursionError):
        key = b""
    if len(key) != KEY_BYTES:
        raise StateError("this is no ledger of a privacy budget", where="line 1", hint="it names no key")
    return key


def total(records: Iterable[BudgetRecord]) -> tuple[Charge, ...]:
    """Charges of all federations in several ledgers."""
    return tuple(charge for record in records for charge in record.charges)
