"""A budget that goes on, in an audit: its key, receipts and marks of rows beside its ledger.

The rule kept here: where a ledger that was charged is on this machine, so are the other files of its budget, and each
is the ledger's own; an audit asks no less of them than a client does that opens the budget (fail closed). Without them
a client would begin anew, or not know that other data shares its rows. Of the key only the public half is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from securefl.errors import SecureFLError, StateError, plain_reason
from securefl.identity.signing import SigningKey
from securefl.ledger.anchors import Anchor
from securefl.ledger.budget_files import BudgetPlace
from securefl.ledger.receipts import parse_receipts
from securefl.ledger.row_marks import parse_marks


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveLedger:
    """Facts of a ledger that goes on, as an audit has read them.

    Attributes:
        key: Public key that signs it (32 bytes).
        entries: Its entries; the first one opens it, and charges follow.
        named: Digests of entries that contributions have named as its head; each had its receipt by then.
    """

    key: bytes
    entries: int
    named: frozenset[bytes] = frozenset()

    @property
    def is_charged(self) -> bool:
        """True where something follows the opening; a first start that was stopped leaves no more than that."""
        return self.entries > 1


def kept_receipts(place: BudgetPlace) -> tuple[Anchor, ...]:
    """Heads in a budget's receipts, the oldest first; none where there is no file.

    Raises:
        StateError: if the file cannot be read, or a line is no receipt.
    """
    if not place.receipts.exists():
        return ()
    return parse_receipts(_read(place.receipts, what="receipts of its budget"), where=str(place.receipts))


def file_findings(
    place: BudgetPlace, ledger: LiveLedger | None, *, receipts: Sequence[Anchor] | None
) -> Iterator[str]:
    """Sentences on files of a budget that are missing, altered, or not the ledger's.

    Args:
        place: Where they are.
        ledger: The ledger at that place; None where there is none.
        receipts: What ``kept_receipts`` gives; None where it refused them, which its error says.

    Guarantee: a key, receipts or marks of rows that were deleted, emptied, damaged or exchanged for another budget's
    are found, and receipts that end before the ledger's last entry but one, or lack an entry that a contribution has
    named. A crash leaves the last entry without its receipt, and then no contribution names it, so that this is no
    finding. Marks are checked against the digest in their own file: whoever writes both can change them unseen.
    """
    if ledger is None:
        if place.receipts.exists():
            yield (
                f"its budget's ledger cannot be found ({place.ledger}), and receipts of it are here: {place.receipts}"
            )
        return
    if ledger.is_charged:
        yield from _of_key(place, ledger)
        yield from _of_receipts(place, ledger, receipts)
        yield from _of_marks(place)


def _of_key(place: BudgetPlace, ledger: LiveLedger) -> Iterator[str]:
    if not place.key.exists():
        yield f"the key of its budget's ledger cannot be found: {place.key}"
        return
    try:
        key = SigningKey.load(place.key).public_key
    except SecureFLError as error:
        yield str(error).rstrip(".")
        return
    if key != ledger.key:
        yield f"the key beside its budget's ledger is not the one that signs it: {place.key}"


def _of_receipts(place: BudgetPlace, ledger: LiveLedger, receipts: Sequence[Anchor] | None) -> Iterator[str]:
    """Receipts that are missing or end too early."""
    if not place.receipts.exists():
        yield (
            f"the receipts of its budget's ledger cannot be found ({place.receipts}): they were deleted, or lie in "
            "another folder, which --receipts names"
        )
        return
    if receipts is None:
        return
    newest = max((receipt.sequence for receipt in receipts), default=-1)
    if newest < ledger.entries - 2:
        yield (
            f"the receipts of its budget's ledger end at entry {newest + 1} of {ledger.entries}: they were cut or are "
            f"an old copy ({place.receipts})"
        )
        return
    lacking = ledger.named - {receipt.digest for receipt in receipts}
    if lacking:
        yield (
            f"the receipts of its budget's ledger lack {len(lacking)} of the entries that its contributions have "
            f"named, each of which had its receipt before: they were cut or are an old copy ({place.receipts})"
        )


def _of_marks(place: BudgetPlace) -> Iterator[str]:
    if not place.rows.exists():
        if place.receipts.exists():
            yield f"the marks of the rows of its budget cannot be found: {place.rows}"
        return
    try:
        parse_marks(
            _read(place.rows, what="marks of the rows of its budget"),
            data_fingerprint=place.data_fingerprint,
            where=str(place.rows),
        )
    except StateError as error:
        yield str(error).rstrip(".")


def _read(path: Path, *, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StateError(f"the {what} cannot be read", where=str(path), hint=plain_reason(error)) from None
