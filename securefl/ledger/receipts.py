"""Receipts: heads of a budget's ledger as lines of a file that lies apart from it.

The rule kept here: one line an entry, in one encoding, written after the ledger's own line is on disk; so a ledger that
is whole continues every receipt, and one that was cut, or is an old copy, does not.

    {"head":"<64 hex digits>","ledger_key":"<64 hex digits>","sequence":0}
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from securefl.errors import StateError
from securefl.ledger.anchors import Anchor


def receipt_line(anchor: Anchor) -> bytes:
    """The anchor's only encoding, with its newline."""
    value = {
        "head": anchor.digest.hex(),
        "ledger_key": anchor.ledger_key.hex(),
        "sequence": anchor.sequence,
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"


def parse_receipts(data: bytes, *, where: str) -> tuple[Anchor, ...]:
    """Anchors from a file of receipts, the oldest first; a last line that is torn is passed over.

    Args:
        data: The file's bytes.
        where: Its path, for the error.

    Raises:
        StateError: naming the first line that is no receipt.
    """
    *lines, _ = data.split(b"\n")
    return tuple(_parsed(line, where=f"{where}, line {number}") for number, line in enumerate(lines, start=1))


def _parsed(line: bytes, *, where: str) -> Anchor:
    try:
        anchor = _anchor(json.loads(line))
    except (ValueError, RecursionError):
        anchor = None
    if anchor is None or receipt_line(anchor) != line + b"\n":
        raise StateError(
            "a receipt of a privacy budget has been altered or damaged",
            where=where,
            hint="put back the newest copy of the file",
        )
    return anchor


def _anchor(value: object) -> Anchor | None:
    if not isinstance(value, Mapping):
        return None
    key, sequence, head = value.get("ledger_key"), value.get("sequence"), value.get("head")
    if not isinstance(key, str) or not isinstance(sequence, int) or not isinstance(head, str):
        return None
    return Anchor(bytes.fromhex(key), sequence, bytes.fromhex(head))
