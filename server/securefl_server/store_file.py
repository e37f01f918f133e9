"""The store's file as SQLite sees it: its errors as sentences, what it says of itself, its events, and reading beside.

The rule kept here: a file of another federation or version is refused before anything is read from it or written to it.
Sentences name the path: they are for the server's operator alone.

Reference: https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from securefl.errors import DiskError, IdentityError, SecureFLError, StateError
from securefl.protocol.serving.event_codec import decode_object
from securefl.protocol.serving.round_events import RoundEvent

FORMAT: Final = "1"
_DISK: Final = {
    sqlite3.SQLITE_FULL: ("the disk is full", "make room there; the server goes on where it stopped"),
    sqlite3.SQLITE_READONLY: (
        "the server's store cannot be written to",
        "mend its owner or mode, or its file system",
    ),
    sqlite3.SQLITE_IOERR: ("the disk reports an error", "look at the system's log; the disk may be failing"),
    sqlite3.SQLITE_CANTOPEN: ("the server's store cannot be opened", "mend its owner or mode"),
    sqlite3.SQLITE_PERM: ("the server's store cannot be opened", "mend its owner or mode"),
}


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event, and when it was written (Unix time, seconds)."""

    at: float
    event: RoundEvent


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite in the block into a sentence that names the file.

    Raises:
        DiskError: if the disk is full, read-only or failing.
        StateError: if the file is damaged, or in use.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _told(error, path) from None


def damaged(path: Path) -> StateError:
    """The error for a store that does not hold together."""
    return StateError(
        "the server's store is damaged",
        where=str(path),
        hint="put a whole copy of the server's folder in its place; members go on from what they agreed on",
    )


def chained(last: bytes, text: str) -> bytes:
    """SHA-256 of an event and, through the digest of the one before, of all before it (32 bytes)."""
    return hashlib.sha256(last + text.encode()).digest()


def check_about(database: sqlite3.Connection, path: Path, *, federation_digest: bytes) -> None:
    """Refuse a store of another version or federation.

    Raises:
        IdentityError: if it is one.
        StateError: if it says nothing of itself.
    """
    try:
        about = dict(database.execute("SELECT name, value FROM about"))
    except sqlite3.OperationalError:
        raise damaged(path) from None
    if about.get("format") != FORMAT:
        raise IdentityError(
            "the server's store was written by another version of securefl",
            where=str(path),
            hint="use that version to finish the federation, or found a new one",
        )
    if about.get("federation") != federation_digest.hex():
        raise IdentityError(
            "the server's store is of another federation than its folder",
            where=str(path),
            hint="carry whole folders; 'securefl init' makes one without a store",
        )


def logged_events(database: sqlite3.Connection, path: Path) -> Iterator[LoggedEvent]:
    """All events, in their order, each checked against the chain of digests.

    Raises:
        StateError: if one is altered or missing.
        DiskError: if they cannot be read.
    """
    last = bytes(32)
    with sqlite_errors(path):
        rows = database.execute("SELECT sequence, at, text, digest FROM events ORDER BY sequence")
        for expected, (sequence, at, text, digest) in enumerate(rows, start=1):
            last = chained(last, text)
            event = decode_object(text)
            if sequence != expected or last != digest or not isinstance(event, get_args(RoundEvent)):
                raise damaged(path)
            yield LoggedEvent(at, event)


def read_events(path: Path, *, federation_digest: bytes) -> tuple[LoggedEvent, ...]:
    """All events of a store, beside the server that may be writing to it.

    Raises:
        DiskError, IdentityError, StateError: if it cannot be read.
    """
    with sqlite_errors(path):
        database = _opened_to_read(path)
    try:
        check_about(database, path, federation_digest=federation_digest)
        return tuple(logged_events(database, path))
    finally:
        database.close()


def _opened_to_read(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)
    try:
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # A folder that this user cannot write to has no room for SQLite's shared memory; nobody writes then either.
        database.close()
        database = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)
    return database


def _told(error: sqlite3.Error, path: Path) -> SecureFLError:
    # Extended codes carry the plain one in their low byte.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _DISK:
        what, hint = _DISK[code]
        return DiskError(what, where=str(path), hint=hint)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StateError(
            "the server's store is in use", where=str(path), hint="end the other process that has it open"
        )
    return damaged(path)
