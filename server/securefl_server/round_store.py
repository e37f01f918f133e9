"""The server's memory of its rounds: events in their order, contributions' heads, heads of sums, reveals.

The rule kept here: what ``append`` and the other writers return from is on disk, whole, also if the machine stops the
moment after (SQLite, write-ahead log, full synchronisation); an event and what belongs to it are written together or
not at all. Every event carries the digest of all before it, so that an altered or missing one is noticed when the store
is opened. Bodies and sums are files (``bodies``).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from securefl.errors import SecureFLError, StateError
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.calls import StageContribution
from securefl.protocol.serving.event_codec import decode_object, encode_object
from securefl.protocol.serving.round_events import RoundEvent
from securefl.protocol.serving.sum_head import SumHead
from securefl.storage.disk import disk_errors
from securefl_server.store_file import (
    FORMAT,
    LoggedEvent,
    chained,
    check_about,
    logged_events,
    sqlite_errors,
)

STORE_FILE: Final = "rounds.sqlite"
_SCHEMA: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (sequence INTEGER PRIMARY KEY, at REAL NOT NULL, text TEXT NOT NULL, digest BLOB NOT NULL);
CREATE TABLE contributions (
    round INTEGER, attempt INTEGER, member TEXT, place INTEGER NOT NULL, cohort BLOB NOT NULL, body BLOB NOT NULL,
    seeds BLOB NOT NULL, packets BLOB NOT NULL, packet_bytes INTEGER NOT NULL, PRIMARY KEY (round, attempt, member)
);
CREATE TABLE sums (round INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, text TEXT NOT NULL);
CREATE TABLE reveals (
    round INTEGER, attempt INTEGER, member TEXT, text TEXT NOT NULL, PRIMARY KEY (round, attempt, member)
);
"""


Kind = TypeVar("Kind")


class RoundStore(Protocol):
    """Destination of everything that a server must not forget; every writer returns when it is durable.

    All methods raise DiskError or StateError where the disk fails; nothing is half written then.
    """

    def events(self) -> Iterator[LoggedEvent]:
        """All events, in their order."""
        ...

    def append(
        self,
        event: RoundEvent,
        *,
        head: SumHead | None = None,
        reveal: Signed[Reveal] | None = None,
    ) -> None:
        """Add an event, with the head of the sum or the reveal that belongs to it."""
        ...

    def put_contribution(self, member: str, request: StageContribution, *, place: int) -> None:
        """Keep the head of a contribution; ``place`` is its member's index in the cohort."""
        ...

    def contribution(self, attempt: Attempt, member: str) -> StageContribution | None:
        """The head of a contribution."""
        ...

    def packets_to(self, attempt: Attempt, place: int) -> dict[int, bytes]:
        """By index of the sender: its packet to the member of this index in the cohort."""
        ...

    def sum_head(self, round_number: int) -> SumHead | None:
        """The head of a round's certified sum."""
        ...

    def sum_places(self) -> tuple[tuple[int, int], ...]:
        """All sums that are kept, by (round, number of the attempt)."""
        ...

    def reveals(self, round_number: int) -> tuple[Signed[Reveal], ...]:
        """All reveals for a round's certified sum, in the order of their arrival."""
        ...

    def drop_contributions(self, round_number: int, number: int) -> None:
        """Forget the heads of an attempt's contributions."""
        ...

    def drop_sum(self, round_number: int) -> None:
        """Forget the head of a round's sum, and its reveals."""
        ...

    def sweep(self, *, contributions_of: tuple[int, int] | None) -> None:
        """Forget every contribution but those of one attempt, by (round, number)."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class SqliteRoundStore:
    """A ``RoundStore`` in one file, on one thread.

    Args:
        folder: The server's; the file is made if there is none.
        federation_digest: Of the server's federation (32 bytes); a store of another one is refused.
        wall_clock: Unix time in seconds, for people who read the log.

    Raises:
        DiskError: if the file cannot be opened or made.
        IdentityError: if it is of another federation or version.
        StateError: if it is damaged, or another process has it open.
    """

    def __init__(
        self, folder: Path, *, federation_digest: bytes, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._path = folder / STORE_FILE
        self._wall_clock = wall_clock
        self._last = bytes(32)
        with sqlite_errors(self._path), disk_errors(self._path):
            # Made before SQLite opens it: the files that it puts beside have the same mode.
            self._path.touch(mode=0o600)
            self._database = sqlite3.connect(self._path, isolation_level=None, timeout=1.0)
        try:
            with sqlite_errors(self._path):
                self._set_up(federation_digest)
                for (text,) in self._database.execute("SELECT text FROM events ORDER BY sequence"):
                    self._last = chained(self._last, text)
        except SecureFLError:
            self._database.close()
            raise

    def events(self) -> Iterator[LoggedEvent]:
        """All events, in their order."""
        yield from logged_events(self._database, self._path)

    def append(
        self,
        event: RoundEvent,
        *,
        head: SumHead | None = None,
        reveal: Signed[Reveal] | None = None,
    ) -> None:
        """Add an event, with the head of the sum or the reveal that belongs to it."""
        text = encode_object(event)
        digest = chained(self._last, text)
        with self._transaction() as database:
            database.execute(
                "INSERT INTO events (at, text, digest) VALUES (?, ?, ?)", (self._wall_clock(), text, digest)
            )
            if head is not None:
                place = head.certificate.statement.attempt
                database.execute(
                    "INSERT OR REPLACE INTO sums VALUES (?, ?, ?)",
                    (place.round_number, place.number, encode_object(head)),
                )
            if reveal is not None:
                place = reveal.body.attempt
                database.execute(
                    "INSERT OR REPLACE INTO reveals VALUES (?, ?, ?, ?)",
                    (place.round_number, place.number, reveal.body.signer, encode_object(reveal)),
                )
        self._last = digest

    def put_contribution(self, member: str, request: StageContribution, *, place: int) -> None:
        """Keep the head of a contribution; ``place`` is its member's index in the cohort."""
        attempt, sizes = request.attempt, {len(packet) for packet in request.packets if packet}
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO contributions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(attempt.round_number, attempt.number, member, place),
                    *(request.cohort_digest, request.body_digest, request.seeds),
                    *(b"".join(request.packets), max(sizes, default=0)),
                ),
            )

    def contribution(self, attempt: Attempt, member: str) -> StageContribution | None:
        """The head of a contribution."""
        row = self._one(
            "SELECT place, cohort, body, seeds, packets, packet_bytes FROM contributions "
            "WHERE round = ? AND attempt = ? AND member = ?",
            (attempt.round_number, attempt.number, member),
        )
        if row is None:
            return None
        place, cohort, body, seeds, joined, size = row
        return StageContribution(attempt, cohort, body, seeds, _parted(joined, size, own=place))

    def packets_to(self, attempt: Attempt, place: int) -> dict[int, bytes]:
        """By index of the sender: its packet to the member of this index in the cohort."""
        rows = self._all(
            # A sender's own packet is empty: those behind it stand one place earlier.
            "SELECT place, substr(packets, 1 + packet_bytes * (? - (place < ?)), packet_bytes) FROM contributions "
            "WHERE round = ? AND attempt = ? AND place != ? AND packet_bytes > 0 ORDER BY place",
            (place, place, attempt.round_number, attempt.number, place),
        )
        return dict(rows)

    def sum_head(self, round_number: int) -> SumHead | None:
        """The head of a round's certified sum."""
        row = self._one("SELECT text FROM sums WHERE round = ?", (round_number,))
        return None if row is None else _of_kind(SumHead, row[0])

    def sum_places(self) -> tuple[tuple[int, int], ...]:
        """All sums that are kept, by (round, number of the attempt)."""
        return tuple(self._all("SELECT round, attempt FROM sums ORDER BY round", ()))

    def reveals(self, round_number: int) -> tuple[Signed[Reveal], ...]:
        """All reveals for a round's certified sum, in the order of their arrival."""
        rows = self._all("SELECT text FROM reveals WHERE round = ? ORDER BY rowid", (round_number,))
        return tuple(_of_kind(Signed, text) for (text,) in rows)

    def drop_contributions(self, round_number: int, number: int) -> None:
        """Forget the heads of an attempt's contributions."""
        with self._transaction() as database:
            database.execute(
                "DELETE FROM contributions WHERE round = ? AND attempt = ?", (round_number, number)
            )

    def drop_sum(self, round_number: int) -> None:
        """Forget the head of a round's sum, and its reveals."""
        with self._transaction() as database:
            database.execute("DELETE FROM sums WHERE round = ?", (round_number,))
            database.execute("DELETE FROM reveals WHERE round = ?", (round_number,))

    def sweep(self, *, contributions_of: tuple[int, int] | None) -> None:
        """Forget every contribution but those of one attempt, by (round, number)."""
        with self._transaction() as database:
            database.execute(
                "DELETE FROM contributions WHERE (round, attempt) IS NOT (?, ?)",
                contributions_of or (None, None),
            )

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _set_up(self, federation_digest: bytes) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        if not self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            about = (("format", FORMAT), ("federation", federation_digest.hex()))
            with self._transaction() as database:
                for statement in _SCHEMA.split(";")[:-1]:
                    database.execute(statement)
                database.executemany("INSERT INTO about VALUES (?, ?)", about)
        check_about(self._database, self._path, federation_digest=federation_digest)

    def _one(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        with sqlite_errors(self._path):
            row: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
            return row

    def _all(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with sqlite_errors(self._path):
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with sqlite_errors(self._path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            finally:
                # Whatever ended it before its commit: nothing of it stays.
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")


def _parted(joined: bytes, size: int, *, own: int) -> tuple[bytes, ...]:
    """One sender's packets in the cohort's order, its own one empty; none at all without shares."""
    if not size:
        return ()
    packets = [joined[start : start + size] for start in range(0, len(joined), size)]
    return (*packets[:own], b"", *packets[own:])


def _of_kind(kind: type[Kind], text: str) -> Kind:
    value = decode_object(text)
    if not isinstance(value, kind):
        raise StateError(f"the server's store holds a {type(value).__name__} where a {kind.__name__} belongs")
    return value
