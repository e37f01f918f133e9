"""Anchors: heads of a ledger that others keep, by which its owner cannot turn it back unseen.

The rule kept here: a chain of signatures shows that a ledger is *a* history of its writer; that it is *the* history,
and all of it, only shows against a head that lies elsewhere: in a receipt, a certificate, another member's file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from securefl.errors import StateError
from securefl.ledger.chain import Entry


@dataclass(frozen=True, slots=True)
class Anchor:
    """One entry of a ledger as others know it.

    Attributes:
        ledger_key: Public key that signs the ledger (32 bytes).
        sequence: Place of the entry, from 0.
        digest: SHA-256 of its line (32 bytes), which has a salt.
    """

    ledger_key: bytes
    sequence: int
    digest: bytes


def require_anchors(entries: Sequence[Entry], anchors: Iterable[Anchor], *, ledger_key: bytes) -> None:
    """Refuse a ledger that is not a continuation of what was anchored.

    Guarantee: a ledger that passes has every anchored entry in its place, and so everything before it: truncation,
    an old copy, and a second history from an earlier point are found if an anchor is younger than the point. It
    assumes a collision-resistant SHA-256.

    Raises:
        StateError: naming the anchored entry that is missing or another one.
    """
    for anchor in anchors:
        if anchor.ledger_key != ledger_key:
            raise StateError(
                "the budget's ledger is signed with another key than the one that was anchored",
                hint="put back the data, the ledger and the key that were used before: data does not change within a "
                "federation",
            )
        if anchor.sequence >= len(entries):
            raise StateError(
                f"the budget's ledger ends before entry {anchor.sequence + 1}, which was anchored: it was cut or is an "
                "old copy",
                hint="put back the newest copy; without it the budget of this data counts as spent",
            )
        if entries[anchor.sequence].digest != anchor.digest:
            raise StateError(
                f"entry {anchor.sequence + 1} of the budget's ledger is not the one that was anchored: there are two "
                "histories",
                hint="put back the ledger that the anchor belongs to; charges of both count",
            )


def require_heads(entries: Sequence[Entry], heads: Iterable[bytes]) -> None:
    """Refuse a ledger that lacks an entry of which others have the digest alone, as a certificate has.

    Args:
        entries: The ledger's, verified.
        heads: Digests of entries (32 bytes each).

    Guarantee: as ``require_anchors``, but for the place of the entry, which the digest binds too.

    Raises:
        StateError: if one is missing.
    """
    there = {entry.digest for entry in entries}
    missing = [head for head in heads if head not in there]
    if missing:
        raise StateError(
            f"the budget's ledger lacks {len(missing)} of the entries that certificates name: it was cut, is an old "
            "copy, or there are two histories",
            hint="put back the newest copy; without it the budget of this data counts as spent",
        )
