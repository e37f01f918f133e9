"""The files of a client's privacy budget: the ledger and its key, and apart from them receipts and marks of rows.

The rule kept here: fail closed. A budget begins only where none of its files is there; a ledger without its key, or one
of both without its receipts, is refused, as is a ledger that does not continue them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from securefl.errors import StateError
from securefl.identity.signing import SigningKey, verify
from securefl.ledger.anchors import Anchor
from securefl.ledger.budget_files import BudgetPlace
from securefl.ledger.budget_ledger import BudgetLedger, verify_budget
from securefl.ledger.budget_state import BudgetState, Charge
from securefl.ledger.ledger import Ledger
from securefl.ledger.receipts import parse_receipts, receipt_line
from securefl.ledger.row_marks import Marks, marks_bytes, parse_marks
from securefl.storage.disk import disk_errors
from securefl.storage.durable import DurableFile
from securefl.storage.private import put_whole

_PUT_BACK = "put back the newest copy; without it the budget of this data counts as spent"


def open_budget(
    path: Path, *, client: str, data_fingerprint: bytes, anchors: Iterable[Anchor] = ()
) -> BudgetLedger:
    """Open the ledger of a budget, or begin one, for this process alone; no receipts are kept of it.

    Args:
        path: The ledger's file; see ``securefl.ledger.budget_files``. Its key lies beside it, as ``.key``.
        client: The client's id.
        data_fingerprint: Of its data set (32 bytes).
        anchors: Heads that others have kept of this ledger.

    Raises:
        StateError: if it does not hold together, is another client's or data set's, one of its files is missing,
            another process has it open, or it is not a continuation of the anchors.
        IdentityError: if its key cannot be read.
    """
    key_path = path.with_suffix(".key")
    begins = _begins(path, key_path)
    key = SigningKey.generate() if begins else SigningKey.load(key_path)
    with ExitStack() as stack:
        ledger = Ledger.open(path, signer=key, verifier=functools.partial(verify, key.public_key))
        stack.callback(ledger.close)
        budget = BudgetLedger(
            ledger,
            client=client,
            data_fingerprint=data_fingerprint,
            ledger_key=key.public_key,
            anchors=anchors,
        )
        if begins:
            key.save(key_path)
        stack.pop_all()
    return budget


class ReceiptedBudget:
    """A budget's ledger with its receipts, open for this process alone; a context manager that closes both.

    Args:
        place: Where its files are; its folders are there.
        marks: Of the data's rows.
        anchors: Heads that others have kept, beside the receipts.

    Guarantee: a ledger that opens continues every receipt that was written of it, so that a cut, an old copy, a second
    history and a deletion are found as long as the receipts are whole; see ``anchors.require_anchors``. Where ledger,
    key and receipts are deleted together, only heads that others keep can tell.

    Raises:
        StateError, IdentityError: as ``open_budget``, and if receipts are missing or altered.
    """

    def __init__(self, place: BudgetPlace, *, marks: Marks, anchors: Iterable[Anchor] = ()) -> None:
        self._place = place
        known = tuple(anchors)
        if not _is_whole(place):
            _forget_begun(place, known)
        with ExitStack() as stack:
            receipts = DurableFile(place.receipts)
            stack.callback(receipts.close)
            written = parse_receipts(_without_torn(receipts), where=str(place.receipts))
            self._ledger = open_budget(
                place.ledger,
                client=place.client,
                data_fingerprint=place.data_fingerprint,
                anchors=(*written, *known),
            )
            stack.callback(self._ledger.close)
            self._receipts = receipts
            _keep_marks(place, marks)
            if not written:
                self._write_receipt()
            stack.pop_all()

    @property
    def charges(self) -> tuple[Charge, ...]:
        """All charges, the oldest first."""
        return self._ledger.charges

    @property
    def anchor(self) -> Anchor:
        """The head, for others to keep."""
        return self._ledger.anchor

    def reserve(self, *, federation_digest: bytes, round_number: int, attempt: int, release: str) -> Charge:
        """Charge a release; see ``BudgetLedger.reserve``."""
        charge = self._ledger.reserve(
            federation_digest=federation_digest, round_number=round_number, attempt=attempt, release=release
        )
        self._write_receipt()
        return charge

    def contribute(self, charge: Charge, *, body_digest: bytes) -> Anchor:
        """Record that a charged release is about to leave, and give the head; see ``BudgetLedger.contribute``."""
        self._ledger.contribute(charge, body_digest=body_digest)
        self._write_receipt()
        return self.anchor

    def has_left(self, charge: Charge) -> bool:
        """True where what a charge paid for was about to leave, and may have left."""
        return self._ledger.has_left(charge)

    def __enter__(self) -> ReceiptedBudget:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ledger.close()
        self._receipts.close()

    def _write_receipt(self) -> None:
        self._receipts.append(receipt_line(self._ledger.anchor))


def read_budget(place: BudgetPlace) -> BudgetState | None:
    """The state of another budget, read and verified without writing; None where nothing was ever charged in it.

    Raises:
        StateError: if one of its files is missing, or its ledger does not hold together or continue its receipts.
    """
    if not _is_whole(place):
        if _is_unused(place):
            return None
        raise _missing(place)
    key = SigningKey.load(place.key).public_key
    anchors = parse_receipts(_read(place.receipts), where=str(place.receipts))
    return verify_budget(
        _read(place.ledger), ledger_key=key, verifier=functools.partial(verify, key), anchors=anchors
    )


def read_marks(place: BudgetPlace) -> Marks | None:
    """Marks of a budget's rows; None where nothing was ever charged in it.

    Raises:
        StateError: if they are altered, or missing while something was charged.
    """
    if not place.rows.exists():
        if _is_unused(place):
            return None
        raise _missing(place)
    return _marks_in(_read(place.rows), place)


def _keep_marks(place: BudgetPlace, marks: Marks) -> None:
    """Keep the marks, with those that are there already: a column of persons may have been named before."""
    there = _read(place.rows) if place.rows.exists() else None
    known = marks if there is None else _marks_in(there, place)
    whole = marks_bytes(np.union1d(known, marks), data_fingerprint=place.data_fingerprint)
    if whole != there:
        with disk_errors(place.rows):
            put_whole(place.rows, whole)


def _marks_in(data: bytes, place: BudgetPlace) -> Marks:
    return parse_marks(data, data_fingerprint=place.data_fingerprint, where=str(place.rows))


def _is_whole(place: BudgetPlace) -> bool:
    return all(path.exists() for path in (place.ledger, place.key, place.receipts, place.rows))


def _is_unused(place: BudgetPlace) -> bool:
    """True where nothing was ever charged: a first start that was stopped leaves no more than this."""
    lines = _read(place.ledger).count(b"\n") if place.ledger.exists() else 0
    receipts = (
        parse_receipts(_read(place.receipts), where=str(place.receipts)) if place.receipts.exists() else ()
    )
    return lines <= 1 and all(receipt.sequence < 1 for receipt in receipts)


def _forget_begun(place: BudgetPlace, anchors: tuple[Anchor, ...]) -> None:
    """Delete what a first start that was stopped has left, unless something was ever charged.

    Raises:
        StateError: if a file of a budget that was charged is missing.
    """
    if anchors or not _is_unused(place):
        raise _missing(place)
    with disk_errors(place.ledger):
        for path in (place.receipts, place.rows, place.key, place.ledger):
            path.unlink(missing_ok=True)


def _missing(place: BudgetPlace) -> StateError:
    named = {
        "ledger": place.ledger,
        "key": place.key,
        "receipts": place.receipts,
        "marks of its rows": place.rows,
    }
    what, path = next((what, path) for what, path in named.items() if not path.exists())
    return StateError(f"of a privacy budget the {what} cannot be found", where=str(path), hint=_PUT_BACK)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StateError(
            "a file of a privacy budget cannot be read", where=str(path), hint=str(error.strerror)
        ) from None


def _without_torn(receipts: DurableFile) -> bytes:
    """All whole lines; a torn one is cut off: its ledger's line is on disk, so nothing is lost with it."""
    data = receipts.read()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) != len(data):
        receipts.cut(len(whole))
    return whole


def _begins(path: Path, key_path: Path) -> bool:
    """True where there is no ledger yet, or one whose first start ended before its key was saved.

    Raises:
        StateError: if either file is there without the other one, or another process has the ledger open.
    """
    if path.exists() and not key_path.exists():
        _forget_unused(path, key_path)
    if path.exists() == key_path.exists():
        return not path.exists()
    missing = "key" if path.exists() else "ledger"
    raise StateError(
        f"the {missing} of a privacy budget is missing",
        where=str(key_path if path.exists() else path),
        hint=_PUT_BACK,
    )


def _forget_unused(path: Path, key_path: Path) -> None:
    """Delete a ledger that nothing was ever charged in; a process that is just beginning it has it locked."""
    storage = DurableFile(path)
    if not key_path.exists() and storage.read().count(b"\n") <= 1:
        path.unlink()
    storage.close()
