"""Fingerprint of a data set: the name under which its privacy budget is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

DOMAIN: Final = b"securefl/v2/data-fingerprint\x00"


def data_fingerprint(rows: Iterable[bytes]) -> bytes:
    """Compute the SHA-256 of a set of rows, in any order.

    Rows count as often as they stand there. A data set with one row more has another fingerprint, and so a budget of
    its own: who adds rows to a data set and trains again spends twice on the old rows, and must go on with the old
    ledger. Nothing here can see that.

    Args:
        rows: Each row in one fixed encoding.

    Returns:
        32 bytes.

    Guarantee: equal for equal collections of rows, and different for others, if SHA-256 is collision-resistant. It
    stays in the member's ledger; a salted digest of that line is all that others are given.
    """
    digests = sorted(hashlib.sha256(row).digest() for row in rows)
    return hashlib.sha256(DOMAIN + b"".join(digests)).digest()
