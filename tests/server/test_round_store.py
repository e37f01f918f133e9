"""The server's store: durable, whole or not at all, and one clear sentence where disk or file do not hold."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from support.served_rounds import DIGEST, Federation

from securefl.errors import DiskError, IdentityError, RunError, SecureFLError, StateError
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import (
    AggregateReady,
    CohortClosed,
    Confirm,
    FederationFailed,
    FetchAggregate,
    StageContribution,
)
from securefl.protocol.serving.round_events import MemberLeft
from securefl.protocol.serving.server_phases import ServerPhase
from securefl_server.round_store import STORE_FILE, SqliteRoundStore
from securefl_server.store_file import read_events

ATTEMPT = Attempt(DIGEST, 1, 1, 1)
LEFT = MemberLeft("client-1", "it was stopped by its operator")


def opened(folder: Path) -> SqliteRoundStore:
    return SqliteRoundStore(folder, federation_digest=DIGEST, wall_clock=lambda: 17.0)


def events(store: SqliteRoundStore) -> list[object]:
    return [logged.event for logged in store.events()]


def test_what_was_appended_is_there_after_the_store_is_opened_again(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.append(LEFT)
    # Not closed: a process that is killed closes nothing.
    again = opened(tmp_path)
    assert events(again) == [LEFT]
    again.append(LEFT)
    assert events(again) == [LEFT, LEFT]


def test_the_store_is_its_owners_only(tmp_path: Path) -> None:
    opened(tmp_path).append(LEFT)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


def test_every_event_is_synchronised_in_full(tmp_path: Path) -> None:
    database = opened(tmp_path)._database
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_contribution_comes_back_and_its_packets_go_to_their_recipients(tmp_path: Path, place: int) -> None:
    store = opened(tmp_path)
    packets = tuple(b"" if index == place else bytes([place, index]) * 3 for index in range(3))
    request = StageContribution(ATTEMPT, bytes(32), b"\x01" * 32, b"seeds", packets)
    store.put_contribution("client-1", request, place=place)
    assert store.contribution(ATTEMPT, "client-1") == request
    for recipient in range(3):
        expected = {} if recipient == place else {place: packets[recipient]}
        assert store.packets_to(ATTEMPT, recipient) == expected


def test_a_contribution_without_packets_comes_back(tmp_path: Path) -> None:
    store = opened(tmp_path)
    request = StageContribution(ATTEMPT, bytes(32), b"\x01" * 32, b"", ())
    store.put_contribution("client-1", request, place=0)
    assert store.contribution(ATTEMPT, "client-1") == request
    assert store.packets_to(ATTEMPT, 1) == {}


def test_a_store_of_another_federation_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with pytest.raises(IdentityError, match="of another federation than its folder"):
        SqliteRoundStore(tmp_path, federation_digest=bytes(32))


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store._database.execute("UPDATE about SET value = '9' WHERE name = 'format'")
    store.close()
    with pytest.raises(IdentityError, match="another version of securefl"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET text = replace(text, 'client-1', 'client-2') WHERE sequence = 1",
        "DELETE FROM events WHERE sequence = 1",
        "UPDATE events SET sequence = 7 WHERE sequence = 2",
        "DROP TABLE about",
        "DROP TABLE events",
    ],
)
def test_an_altered_or_missing_event_is_noticed(tmp_path: Path, damage: str) -> None:
    store = opened(tmp_path)
    store.append(LEFT)
    store.append(LEFT)
    store._database.execute(damage)
    store.close()
    with pytest.raises(StateError, match="the server's store is damaged"):
        events(opened(tmp_path))


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / STORE_FILE).write_bytes(b"no database at all " * 100)
    with pytest.raises(StateError, match="the server's store is damaged"):
        opened(tmp_path)


def test_a_store_cut_off_in_the_middle_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for _ in range(200):
        store.append(LEFT)
    store.close()
    path = tmp_path / STORE_FILE
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StateError, match="the server's store is damaged"):
        events(opened(tmp_path))


def full(store: SqliteRoundStore) -> None:
    """No page more fits."""
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages}")


def read_only(store: SqliteRoundStore) -> None:
    store._database.execute("PRAGMA query_only = ON")


class Unsynced:
    """A database whose commits meet a disk that cannot sync."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __getattr__(self, name: str) -> object:
        return getattr(self._database, name)

    def execute(self, statement: str, *values: object) -> object:
        if statement == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return self._database.execute(statement, *values)


def unsynced(store: SqliteRoundStore) -> None:
    store._database = Unsynced(store._database)


def append_much(store: SqliteRoundStore) -> None:
    for _ in range(200):
        store.append(MemberLeft("client-1", "x" * 4000))


FAILURES = [
    (full, "the disk is full"),
    (read_only, "cannot be written to"),
    (unsynced, "the disk reports an error"),
]


@pytest.mark.parametrize(("fail", "words"), FAILURES)
def test_a_disk_that_takes_no_more_leaves_the_store_as_it_was(
    tmp_path: Path, fail: object, words: str
) -> None:
    store = opened(tmp_path)
    store.append(LEFT)
    fail(store)
    with pytest.raises(DiskError, match=words) as told:
        append_much(store)
    assert str(tmp_path) in str(told.value)
    store.close()
    again = opened(tmp_path)
    kept = events(again)
    assert kept[0] == LEFT
    again.append(LEFT)
    assert events(again) == [*kept, LEFT]


@pytest.mark.parametrize(("fail", "words"), FAILURES)
def test_a_failing_disk_ends_the_run_in_one_sentence_and_a_restart_goes_on(
    tmp_path: Path, fail: object, words: str
) -> None:
    store = opened(tmp_path)
    federation = Federation(tmp_path, 4, store=store)
    federation.connect()
    federation.settle(until=CohortClosed)
    fail(store)
    with pytest.raises(RunError, match="the server cannot go on") as told:
        federation.settle()
    assert str(tmp_path) not in str(told.value)
    assert words in str(federation.server.error)
    store.close()
    federation.store = opened(tmp_path)
    federation.start()
    federation.connect()
    for member in federation.members.values():
        member.answered.clear()
    federation.settle()
    assert federation.server.state.phase is ServerPhase.CLOSED


def test_a_store_that_is_damaged_while_it_is_used_ends_the_run_and_names_no_path_to_members(
    tmp_path: Path,
) -> None:
    federation = Federation(tmp_path, 4, store=opened(tmp_path))
    federation.connect()
    federation.settle(until=AggregateReady)
    federation.store._database.execute("UPDATE sums SET text = 'no record'")
    with pytest.raises(StateError, match="the server cannot go on") as told:
        federation.server.hear("client-1", FetchAggregate(1))
    assert str(tmp_path) not in str(told.value)
    assert isinstance(federation.server.announcement, FederationFailed)
    with pytest.raises(StateError, match="the server cannot go on"):
        federation.server.hear("client-2", Confirm(1))


def test_a_disk_that_fails_while_nobody_asks_is_announced(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, store=opened(tmp_path))
    federation.connect()
    federation.settle(until=CohortClosed)
    unsynced(federation.store)
    federation.pass_time()
    assert isinstance(federation.server.announcement, FederationFailed)
    assert federation.server.over


def test_the_log_is_read_beside_the_server_that_writes_it(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, store=opened(tmp_path))
    federation.connect()
    federation.settle(until=AggregateReady)
    seen = read_events(tmp_path / STORE_FILE, federation_digest=DIGEST)
    assert [logged.event for logged in seen] == events(federation.store)
    assert {logged.at for logged in seen} == {17.0}


def test_a_log_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SecureFLError, match="cannot be opened"):
        read_events(tmp_path / STORE_FILE, federation_digest=DIGEST)
    assert list(tmp_path.iterdir()) == []
