"""Ledgers of privacy budgets in an audit: found, verified, and the charges of one federation in them.

The rule kept here: a ledger is read and never written. The public key stands in its first line; that it is the key
which charged this run, and that the ledger is whole, shows against heads that others keep, and against the files that
lie with it (``live_budgets``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from securefl.auditing.live_budgets import LiveLedger, file_findings, kept_receipts
from securefl.errors import SecureFLError, StateError, plain_reason
from securefl.identity.signing import verify
from securefl.ledger.anchors import Anchor
from securefl.ledger.budget_files import BudgetPlace
from securefl.ledger.budget_ledger import verify_budget
from securefl.ledger.budget_state import BudgetState, Charge

KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRecord:
    """One verified ledger of a client's budget.

    Attributes:
        path: Its file.
        data: Its bytes.
        state: What its events say.
        places: Sequence numbers of its entries by their digests (32 bytes each), which heads of it are.
    """

    path: Path
    data: bytes = field(repr=False)
    state: BudgetState
    places: Mapping[bytes, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        *lines, _ = self.data.split(b"\n")
        places = {hashlib.sha256(line).digest(): number for number, line in enumerate(lines)}
        object.__setattr__(self, "places", places)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Charges of all federations, the oldest first."""
        return self.state.charges

    def of_federation(self, digest: bytes) -> tuple[Charge, ...]:
        """Charges of one federation, the oldest first."""
        return tuple(charge for charge in self.charges if charge.federation_digest == digest)

    def live(self, named: Set[bytes]) -> LiveLedger:
        """Facts of it that the files beside it are held against; ``named`` as in ``budgets_of``."""
        return LiveLedger(
            key=self.state.opened.ledger_key,
            entries=len(self.places),
            named=frozenset(self.places.keys() & named),
        )

    def knows(self, digest: bytes) -> bool:
        """True where a release of this federation was ever charged."""
        return bool(self.of_federation(digest))

    def after(self, copy: BudgetRecord) -> BudgetRecord:
        """This ledger, if it goes on where a copy of it ends that a run has left.

        Raises:
            StateError: if it ends before, or tells another history.
        """
        if copy.data.startswith(self.data) and len(self.data) < len(copy.data):
            raise StateError(
                "the budget's ledger ends before the copy that the run has left: it was cut or is an old copy",
                where=f"{self.path} and {copy.path}",
                hint="charges of the copy count",
            )
        if not self.data.startswith(copy.data):
            raise StateError(
                "two copies of the budget's ledger tell different histories",
                where=f"{self.path} and {copy.path}",
                hint="charges of both count",
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientBudgets:
    """All that an audit finds of a client's budgets.

    Attributes:
        records: One verified ledger for each data set, the longer one where copy and live ledger are both there.
        copy: The copy that the run has left, alone; None where it is missing or broken.
        receipts: Heads of them that this machine's user keeps.
        broken: In sentences, what is wrong with any of the files.
    """

    records: tuple[BudgetRecord, ...]
    copy: BudgetRecord | None
    receipts: tuple[Anchor, ...]
    broken: tuple[str, ...]


def budgets_of(
    member: str, *, copy: Path, live: Path, kept: Path, named: Set[bytes] = frozenset()
) -> ClientBudgets:
    """Read all ledgers of a client's budgets: the copy that a run left, and those that go on.

    Args:
        member: The client.
        copy: File in the run's results; it may be missing.
        live: Folder of budgets, one folder a client, whose ledgers are named by the data's fingerprint.
        kept: Folder of their receipts and marks of rows, one folder a client.
        named: Heads of them that the client's contributions have named (32 bytes each).
    """
    found: dict[bytes, BudgetRecord] = {}
    copied: BudgetRecord | None = None
    alive: dict[bytes, LiveLedger] = {}
    receipts: list[Anchor] = []
    broken: list[str] = []
    for path in [*([copy] if copy.is_file() else []), *sorted((live / member).glob("*.jsonl"))]:
        try:
            record = read_record(path, member=member)
            data = record.state.opened.data_fingerprint
            if path == copy:
                copied = record
            elif data.hex() != path.stem:
                raise StateError("the budget's ledger is of other data than its name says", where=str(path))
            else:
                alive[data] = record.live(named)
            found[data] = record.after(found[data]) if data in found else record
        except SecureFLError as error:
            broken.append(str(error).rstrip("."))
    for data in found:
        place = BudgetPlace(ledgers=live, kept_receipts=kept, client=member, data_fingerprint=data)
        try:
            known: tuple[Anchor, ...] | None = kept_receipts(place)
        except StateError as error:
            known = None
            broken.append(str(error).rstrip("."))
        receipts += known or ()
        # A ledger that is here and not alive is broken, and was named.
        if data in alive or not place.ledger.exists():
            broken += file_findings(place, alive.get(data), receipts=known)
    return ClientBudgets(
        records=tuple(found.values()), copy=copied, receipts=tuple(receipts), broken=tuple(broken)
    )


def read_record(path: Path, *, member: str, anchors: Sequence[Anchor] = ()) -> BudgetRecord:
    """Read and verify one ledger of a budget.

    Args:
        path: Its file.
        member: The client whose budget it must be.
        anchors: Heads of it that others have kept.

    Guarantee: see ``chain.verified_entries`` and ``anchors.require_anchors``. Without anchors the ledger is some
    history that the holder of the key in its first line wrote: entries that are missing at its end do not show.

    Raises:
        StateError: in a sentence that names the line, if it cannot be read, does not hold together, or is of another
            client.
    """
    try:
        data = path.read_bytes()
        key = _key_of(data)
        state = verify_budget(data, ledger_key=key, verifier=partial(verify, key), anchors=anchors)
    except OSError as error:
        raise StateError(
            "the budget's ledger cannot be read", where=str(path), hint=plain_reason(error)
        ) from None
    except StateError as error:
        where = f"{path}, {error.where}" if error.where else str(path)
        raise StateError(error.what, where=where, hint=error.hint) from None
    if state.opened.client != member:
        raise StateError("the budget's ledger is another client's", where=str(path))
    return BudgetRecord(path=path, data=data, state=state)


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
