"""Marks of a data set's rows: short digests by which two data sets that share rows know of each other.

The rule kept here: a budget follows rows, not files. A data set with a row more, or a part of another one, has a
fingerprint of its own, and still counts every charge that was made on one of its rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.errors import StateError
from securefl.ledger.fingerprint import data_fingerprint

DOMAIN: Final = b"securefl/v3/row-mark\x00"
FILE_DOMAIN: Final = b"securefl/v3/row-marks-of\x00"
DIGEST_BYTES: Final = 32
MARK_BYTES: Final = 8
Marks = NDArray[np.uint64]
"""Marks, ascending, each once."""


@dataclass(frozen=True, slots=True)
class MarkedData:
    """A data set as its budget knows it.

    Attributes:
        fingerprint: Name of its budget (32 bytes).
        marks: Of its rows, and of the persons that they are about where a column names them.
    """

    fingerprint: bytes
    marks: Marks = field(repr=False)

    @classmethod
    def of(cls, rows: Iterable[bytes], persons: Iterable[bytes] = ()) -> MarkedData:
        """Mark rows and persons, each by the bytes that stand for it.

        The fingerprint is of the rows alone, so that the same rows have one budget with persons and without them.
        """
        found = frozenset(rows)
        named = (b"person\x00" + person for person in persons)
        return cls(data_fingerprint(found), _marks({*(b"row\x00" + row for row in found), *named}))


def marks_bytes(marks: Marks, *, data_fingerprint: bytes) -> bytes:
    """Marks as a file has them: unsigned, 8 bytes each, little-endian; before them a digest (32 bytes).

    The digest is of the fingerprint too, so that no file stands in the place of another budget's.
    """
    content = marks.astype("<u8").tobytes()
    return _digest(content, data_fingerprint) + content


def parse_marks(data: bytes, *, data_fingerprint: bytes, where: str) -> Marks:
    """Marks from a file.

    A digest of the marks alone is taken as well: budgets that began before it had the fingerprint are not lost, and
    their files have the whole one from the next charge on.

    Raises:
        StateError: if it is not what was written for this budget.
    """
    digest, content = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    known = (_digest(content, data_fingerprint), hashlib.sha256(content).digest())
    if digest not in known or len(content) % MARK_BYTES:
        raise StateError(
            "the marks of a data set have been altered or damaged, or are another data set's",
            where=where,
            hint="put back the newest copy of the file",
        )
    return np.frombuffer(content, dtype="<u8").astype(np.uint64)


def _digest(content: bytes, data_fingerprint: bytes) -> bytes:
    return hashlib.sha256(FILE_DOMAIN + data_fingerprint + content).digest()


def _marks(values: Iterable[bytes]) -> Marks:
    digests = b"".join(hashlib.sha256(DOMAIN + value).digest()[:MARK_BYTES] for value in values)
    return np.unique(np.frombuffer(digests, dtype="<u8").astype(np.uint64))
