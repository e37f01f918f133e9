"""The journal and the outbox: on disk before anything leaves, whole or not at all, and checked when they are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.agreements import Members, digest

from securefl.errors import DiskError, ProtocolError, StateError, TrainingError
from securefl.protocol.member_records import (
    AdvertSigned,
    AttemptSettled,
    ContributionStaged,
    FileMark,
    HeaderCommitted,
    SumApplied,
    UpdateKept,
    VoteSigned,
    parse_record,
    record_text,
)
from securefl.protocol.member_session import unsettled
from securefl_client.journal import FILE_NAME, Journal
from securefl_client.outbox_folder import OutboxFolder, OutboxHead

MEMBERS = Members(4, 4)
D = digest("d")
MARK = FileMark("file", 3, D)


def opened(folder: Path, **changes: object) -> Journal:
    rules = replace(MEMBERS.rules, **changes) if changes else MEMBERS.rules
    return Journal(folder, rules, member="client-1", first_round=1)


def advert(number: int = 1, round_number: int = 1) -> AdvertSigned:
    return AdvertSigned(round_number, number, MEMBERS.roster, bytes(32), D, D, bytes(64))


def applied(round_number: int = 1, number: int = 1) -> SumApplied:
    return SumApplied(round_number, number, D, MEMBERS.roster, D, MEMBERS.roster, MARK, False)


def test_a_journal_is_where_it_was_after_it_is_opened_again(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert journal.is_new
        for record in (advert(), UpdateKept(1, MARK, 0, 0.5), HeaderCommitted(1, 1, D)):
            journal.add(record)
        journal.add(VoteSigned(1, 1, "void", D, bytes(64)))
        state = journal.state
    with opened(tmp_path) as journal:
        assert journal.state.committed == state.committed == {1: D}
        assert journal.state.vote == state.vote
        assert journal.state.manifest == state.manifest
        assert not journal.is_new


def test_a_record_is_synced_before_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def noting(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    with opened(tmp_path) as journal:
        monkeypatch.setattr(os, "fsync", noting)
        told: list[int] = []
        journal.on_step = lambda step: told.append(synced[-1])
        journal.add(advert())
        assert told == [(tmp_path / FILE_NAME).stat().st_size]


def test_a_new_journals_folder_is_synced_in_the_folder_around_it_before_its_first_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def noting(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", noting)
    with opened(tmp_path / "journal") as journal:
        record = (journal.folder / FILE_NAME).stat().st_ino
    around = tmp_path.stat().st_ino
    assert around in synced
    assert synced.index(around) < synced.index(record)


def test_a_file_has_its_name_only_when_it_is_whole_and_its_folder_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as journal:
        order: list[str] = []
        real = os.fsync

        def noting(descriptor: int) -> None:
            real(descriptor)
            order.append("folder" if os.fstat(descriptor).st_mode & 0o040000 else "file")
            order.append("named" if (tmp_path / "sums").exists() else "nameless")

        monkeypatch.setattr(os, "fsync", noting)
        mark = journal.keep("sums", [b"abc", b"def"])
        assert order == ["file", "nameless", "folder", "named"]
        assert journal.read(mark) == b"abcdef"
        assert (tmp_path / "sums").stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_of_a_file_whose_content_could_not_be_made(tmp_path: Path) -> None:
    def pieces():
        yield b"abc"
        raise TrainingError("not finite")

    with opened(tmp_path) as journal, pytest.raises(TrainingError):
        journal.keep("sums", pieces())
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_integers_come_back_as_they_were(tmp_path: Path) -> None:
    values = np.arange(-300_000, 300_000, dtype=np.int64)
    with opened(tmp_path) as journal:
        mark = journal.keep("update", [values.astype("<i8").tobytes()])
        np.testing.assert_array_equal(np.concatenate(list(journal.integers(mark))), values)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: b"x" + data[1:], lambda data: b""])
def test_a_file_that_was_altered_or_cut_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    with opened(tmp_path) as journal:
        mark = journal.keep("update", [bytes(80)])
        (tmp_path / "update").write_bytes(change(bytes(80)))
        with pytest.raises(StateError, match="altered or damaged"):
            journal.read(mark)
        with pytest.raises(StateError, match="altered or damaged"):
            list(journal.integers(mark))
        journal.drop("update")
        with pytest.raises(StateError, match="cannot be read"):
            journal.read(mark)


def test_every_cut_of_the_last_line_is_dropped_and_every_other_change_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.add(advert())
        whole = (tmp_path / FILE_NAME).read_bytes()
        journal.add(VoteSigned(1, 1, "void", D, bytes(64)))
    path = tmp_path / FILE_NAME
    data = path.read_bytes()
    for end in (len(whole), len(whole) + 1, len(data) - 1):
        path.write_bytes(data[:end])
        with opened(tmp_path) as journal:
            assert journal.state.vote is None
            assert journal.state.manifest is not None
        assert path.read_bytes() == whole
    for place in range(0, len(data), 7):
        altered = bytearray(data)
        altered[place] ^= 1
        path.write_bytes(altered)
        with pytest.raises(StateError, match=r"altered or damaged|another federation"):
            opened(tmp_path)


def test_a_vote_goes_on_from_a_cut_line_without_a_trace_of_it(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.add(advert())
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes() + b"half a li")
    with opened(tmp_path) as journal:
        journal.add(VoteSigned(1, 1, "void", D, bytes(64)))
    with opened(tmp_path) as journal:
        assert journal.state.vote is not None


@pytest.mark.parametrize("change", [{"federation_digest": digest("other")}, {"key_epoch": 2}])
def test_a_journal_of_another_federation_or_of_other_keys_is_named(tmp_path: Path, change: dict) -> None:
    opened(tmp_path).close()
    with pytest.raises(StateError, match="of another federation, member or version, or of other keys"):
        opened(tmp_path, **change)


def test_after_a_failed_write_nothing_more_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with opened(tmp_path) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(DiskError, match="the disk is full"):
                journal.add(advert())
        assert journal.state.manifest is None
        with pytest.raises(StateError, match="takes no more records"):
            journal.add(advert())


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with opened(tmp_path) as journal:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(DiskError, match="the disk is full"):
            journal.keep("sums", [b"abc"])
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


# --- promises that no journal can hold


def test_no_second_header_follows_one_that_is_not_settled(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.add(advert(1))
        journal.add(HeaderCommitted(1, 1, D))
        journal.add(advert(2))
        with pytest.raises(ProtocolError):
            journal.add(HeaderCommitted(1, 2, digest("second")))
        assert unsettled(journal.state) == {1: D}
        journal.add(AttemptSettled(1, 1, digest("another cohort"), ()))
        with pytest.raises(ProtocolError):
            journal.add(HeaderCommitted(1, 2, digest("second")))
        journal.add(AttemptSettled(1, 1, D, ()))
        journal.add(HeaderCommitted(1, 2, digest("second")))


@pytest.mark.parametrize("choice", ["survivors", "void"])
def test_no_second_vote_of_an_attempt_is_written(tmp_path: Path, choice: str) -> None:
    with opened(tmp_path) as journal:
        journal.add(advert())
        journal.add(VoteSigned(1, 1, "void", D, bytes(64)))
        with pytest.raises(ProtocolError):
            journal.add(VoteSigned(1, 1, choice, digest("other"), bytes(64)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "record",
    [
        advert(1, 2),
        applied(2),
        HeaderCommitted(1, 2, D),
        ContributionStaged(2, 1, D, MARK),
        UpdateKept(2, MARK, 0, None),
    ],
    ids=lambda record: record.kind,
)
def test_what_does_not_follow_is_not_written(tmp_path: Path, record: object) -> None:
    with opened(tmp_path) as journal:
        journal.add(advert())
        before = (tmp_path / FILE_NAME).read_bytes()
        with pytest.raises(ProtocolError):
            journal.add(record)  # type: ignore[arg-type]
        assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize("text", [b"", b"{}", b'{"kind":"other"}', b"[1]", b"\xff"])
def test_what_is_no_record_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="no record"):
        parse_record(text)


def test_a_record_with_a_field_too_many_or_of_another_type_is_refused() -> None:
    text = record_text(HeaderCommitted(1, 1, D))
    assert parse_record(text) == HeaderCommitted(1, 1, D)
    for other in (
        text.replace(b'"number":1', b'"number":"x"'),
        text.replace(D.hex().encode(), D.hex()[:-2].encode()),
    ):
        with pytest.raises(ValueError, match="no record"):
            parse_record(other)


# --- the outbox


def head_of(body: FileMark) -> OutboxHead:
    return OutboxHead(D, body, b"seeds", (b"", b"packet"), b"share", D, bytes(64))


def test_an_outbox_comes_back_as_it_was_filled(tmp_path: Path) -> None:
    steps: list[str] = []
    with opened(tmp_path) as journal:
        outbox = OutboxFolder(journal, on_step=steps.append)
        mark, head = outbox.fill([b"abc", b"def"], head_of)
        assert OutboxFolder(journal).load(mark) == head
        assert outbox.body.read_bytes() == b"abcdef"
    assert steps == ["body-kept", "head-kept"]


@pytest.mark.parametrize("name", ["body", "head"])
def test_an_outbox_that_is_not_what_the_journal_says_is_refused(tmp_path: Path, name: str) -> None:
    with opened(tmp_path) as journal:
        outbox = OutboxFolder(journal)
        mark, _ = outbox.fill([b"abc"], head_of)
        path = tmp_path / "outbox" / name
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(StateError, match="altered or damaged"):
            outbox.load(mark)


def test_a_fresh_outbox_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        outbox = OutboxFolder(journal)

        def windows():
            yield b"half"
            raise TrainingError("stopped")

        with pytest.raises(TrainingError):
            outbox.fill(windows(), head_of)
        (tmp_path / "outbox" / "left").write_bytes(b"of a crash")
        outbox.fill([b"whole"], head_of)
        assert sorted(path.name for path in (tmp_path / "outbox").iterdir()) == ["body", "head"]
        outbox.clear()
        assert not (tmp_path / "outbox").exists()
