from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from securefl.errors import AuthenticationError, StateError
from securefl.identity.signing import SigningKey, verify
from securefl.ledger.chain import GENESIS, Entry, unsigned_bytes, verified_entries
from securefl.ledger.ledger import AggregateApplied, Event, Ledger, LedgerReader, RunFinished


def open_ledger(path: Path, keys: Any) -> Ledger:
    return Ledger.open(path, signer=keys.signer, verifier=keys.verifier)


def broken_line(data: bytes, keys: Any) -> str:
    """Where reading such a ledger fails."""
    with pytest.raises(StateError) as caught:
        list(verified_entries(data, keys.verifier))
    return caught.value.where


def test_a_ledger_gives_back_what_was_appended(
    path: Path, written: bytes, keys: Any, events: tuple[Event, ...]
) -> None:
    read = LedgerReader.verify(path, keys.verifier)
    assert tuple(entry.event for entry in read.entries) == events
    assert read.finished


def test_without_differential_privacy_a_ledger_says_so(written: bytes) -> None:
    fields = json.loads(written.splitlines()[0])["fields"]
    assert (fields["unit"], fields["epsilon"]) == ("none", "infinity")


def test_a_ledger_goes_on_where_it_ended(path: Path, written: bytes, keys: Any) -> None:
    with open_ledger(path, keys) as ledger:
        entry = ledger.append(AggregateApplied(round_number=2, integers_sha256=bytes(32)))
        assert ledger.head == entry.digest
    assert path.read_bytes().startswith(written)
    read = LedgerReader.verify(path, keys.verifier, head=entry.digest)
    assert [each.sequence for each in read.entries] == [0, 1, 2, 3, 4]
    assert not read.finished


def test_an_empty_ledger_has_the_chains_beginning_as_its_head(path: Path, keys: Any) -> None:
    with open_ledger(path, keys) as ledger:
        assert ledger.head == GENESIS
        assert ledger.entries == ()


@pytest.mark.parametrize("change", [0x01, 0x20, 0x80])
def test_every_changed_byte_is_detected(written: bytes, keys: Any, change: int) -> None:
    for place in range(len(written)):
        damaged = bytearray(written)
        damaged[place] ^= change
        line = written.count(b"\n", 0, place) + 1
        # A newline that is gone joins two lines, or tears the last; both are found at the line it ended.
        assert broken_line(bytes(damaged), keys) == f"line {line}"


def test_every_removed_byte_is_detected(written: bytes, keys: Any) -> None:
    for place in range(len(written)):
        broken_line(written[:place] + written[place + 1 :], keys)


def test_every_truncation_inside_a_line_is_a_torn_line(written: bytes, keys: Any) -> None:
    ends = {place + 1 for place, byte in enumerate(written) if byte == ord("\n")} | {0}
    for size in set(range(len(written))) - ends:
        with pytest.raises(StateError, match="torn") as caught:
            list(verified_entries(written[:size], keys.verifier))
        line = written.count(b"\n", 0, size) + 1
        assert caught.value.where == f"line {line}"
        assert "delete" in caught.value.hint


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_truncation_at_a_line_is_detected_by_the_recorded_head(
    path: Path, written: bytes, keys: Any, kept: int
) -> None:
    head = LedgerReader.verify(path, keys.verifier).head
    path.write_bytes(b"".join(written.splitlines(keepends=True)[:kept]))
    assert not LedgerReader.verify(path, keys.verifier).finished
    with pytest.raises(StateError, match="recorded head"):
        LedgerReader.verify(path, keys.verifier, head=head)


def test_an_empty_file_is_no_ledger_to_an_auditor(path: Path, keys: Any) -> None:
    path.write_bytes(b"")
    with pytest.raises(StateError, match="empty"):
        LedgerReader.verify(path, keys.verifier)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_swapped_lines_are_detected(written: bytes, keys: Any, first: int) -> None:
    lines = written.splitlines(keepends=True)
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    assert broken_line(b"".join(lines), keys) == f"line {first + 1}"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_missing_line_is_detected(written: bytes, keys: Any, place: int) -> None:
    lines = written.splitlines(keepends=True)
    del lines[place]
    assert broken_line(b"".join(lines), keys) == f"line {place + 1}"


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_repeated_line_is_detected(written: bytes, keys: Any, place: int) -> None:
    lines = written.splitlines(keepends=True)
    lines.insert(place, lines[place])
    assert broken_line(b"".join(lines), keys) == f"line {place + 2}"


def test_a_line_of_another_ledger_of_the_same_member_is_detected(
    tmp_path: Path, written: bytes, keys: Any
) -> None:
    with open_ledger(tmp_path / "other.jsonl", keys) as other:
        for number in range(4):
            other.append(RunFinished(rounds=number))
    foreign = (tmp_path / "other.jsonl").read_bytes().splitlines(keepends=True)
    lines = written.splitlines(keepends=True)
    lines[2] = foreign[2]
    assert broken_line(b"".join(lines), keys) == "line 3"


def test_an_entry_that_was_signed_out_of_sequence_is_refused(keys: Any) -> None:
    event = RunFinished(rounds=1)
    signature = keys.signer.sign(unsigned_bytes(sequence=5, previous=GENESIS, event=event))
    assert broken_line(Entry(5, GENESIS, event, signature).line() + b"\n", keys) == "line 1"


def test_another_encoding_of_the_same_entry_is_refused(written: bytes, keys: Any) -> None:
    lines = written.splitlines(keepends=True)
    spaced = json.dumps(json.loads(lines[0]), sort_keys=True).encode() + b"\n"
    assert broken_line(b"".join([spaced, *lines[1:]]), keys) == "line 1"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b"1" * 100_000,
        b'{"fields":{},"sequence":true}',
        b'{"event":"x","fields":{},"previous":"","sequence":0,"signature":""}',
        b'{"event":"run-finished","fields":{"rounds":-1},"previous":"","sequence":0,"signature":""}',
        b'{"event":"run-finished","fields":{"rounds":1},"previous":"zz","sequence":0,"signature":""}',
        b'{"event":"round-contributed","fields":{"body_digest":"aa","round_number":1},"previous":"","sequence":0}',
    ],
    ids=range(11),
)
def test_a_line_that_is_no_entry_is_named(line: bytes, keys: Any) -> None:
    assert broken_line(line + b"\n", keys) == "line 1"


def test_a_ledger_under_another_key_is_refused(path: Path, written: bytes) -> None:
    other = SigningKey.generate()
    with pytest.raises(StateError) as caught:
        Ledger.open(path, signer=other, verifier=functools.partial(verify, other.public_key))
    assert caught.value.where == f"{path}, line 1"
    assert caught.value.hint == "its signature does not hold"


def test_a_signer_that_the_verifier_does_not_know_writes_nothing(path: Path, keys: Any) -> None:
    with (
        Ledger.open(path, signer=SigningKey.generate(), verifier=keys.verifier) as ledger,
        pytest.raises(AuthenticationError),
    ):
        ledger.append(RunFinished(rounds=1))
    assert path.read_bytes() == b""


def test_a_damaged_ledger_is_not_written_to(path: Path, written: bytes, keys: Any) -> None:
    damaged = written.replace(b'"round_number":1', b'"round_number":2', 1)
    path.write_bytes(damaged)
    with pytest.raises(StateError):
        open_ledger(path, keys)
    assert path.read_bytes() == damaged


def test_a_torn_line_is_refused_until_it_is_deleted(path: Path, written: bytes, keys: Any) -> None:
    path.write_bytes(written[:-10])
    with pytest.raises(StateError, match="torn"):
        open_ledger(path, keys)
    path.write_bytes(b"".join(written.splitlines(keepends=True)[:3]))
    with open_ledger(path, keys) as ledger:
        ledger.append(RunFinished(rounds=1))
    assert LedgerReader.verify(path, keys.verifier).finished


class TearingStorage:
    """A disk that fills up in the middle of the second line."""

    def __init__(self) -> None:
        self.data = b""
        self.appends = 0

    def read(self) -> bytes:
        return self.data

    def append(self, data: bytes) -> None:
        self.appends += 1
        if self.appends == 2:
            self.data += data[:20]
            raise StateError("the disk is full")
        self.data += data

    def close(self) -> None:
        pass


def test_after_a_failed_write_nothing_more_is_appended(keys: Any) -> None:
    storage = TearingStorage()
    ledger = Ledger(storage, signer=keys.signer, verifier=keys.verifier)
    ledger.append(RunFinished(rounds=1))
    with pytest.raises(StateError, match="disk is full"):
        ledger.append(RunFinished(rounds=2))
    before = storage.data
    with pytest.raises(StateError, match="no more entries"):
        ledger.append(RunFinished(rounds=3))
    assert storage.data == before
    assert len(ledger.entries) == 1


def test_a_closed_ledger_takes_nothing(path: Path, keys: Any) -> None:
    ledger = open_ledger(path, keys)
    ledger.close()
    with pytest.raises(StateError):
        ledger.append(RunFinished(rounds=1))


def test_an_entry_is_synced_before_append_returns(
    path: Path, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        real(descriptor)
        synced.append(path.stat().st_size)

    with open_ledger(path, keys) as ledger:
        monkeypatch.setattr(os, "fsync", spy)
        ledger.append(RunFinished(rounds=1))
        assert synced == [path.stat().st_size]


def test_a_ledger_that_cannot_be_read_is_named(path: Path, keys: Any) -> None:
    with pytest.raises(StateError, match=r"ledger\.jsonl cannot be read"):
        LedgerReader.verify(path, keys.verifier)


LINE_OF_0_1_0 = (
    '{"event":"run-started","fields":{"epsilon":"infinity","federation_digest":"DIGEST","member":"client-1",'
    '"unit":"none"},"previous":"GENESIS","sequence":0}'
)


def ledger_of_0_1_0(keys: Any, *, domain: bytes = b"securefl/v1/ledger\x00") -> bytes:
    """The first line of a ledger as 0.1.0 wrote and signed it."""
    unsigned = LINE_OF_0_1_0.replace("DIGEST", "ab" * 32).replace("GENESIS", "00" * 32)
    signature = keys.signer.sign(domain + unsigned.encode()).hex()
    return f'{unsigned[:-1]},"signature":"{signature}"}}\n'.encode()


def test_a_ledger_of_0_1_0_is_named_and_not_called_damaged(keys: Any) -> None:
    with pytest.raises(StateError, match=r"written by securefl 0\.1\.0: read it with that version"):
        list(verified_entries(ledger_of_0_1_0(keys), keys.verifier))


def test_a_line_that_nobody_signed_is_no_ledger_of_0_1_0(keys: Any) -> None:
    with pytest.raises(StateError, match="altered or damaged"):
        list(verified_entries(ledger_of_0_1_0(keys, domain=b"another"), keys.verifier))
