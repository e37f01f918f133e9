"""The outbox: on disk before it leaves, the same bytes again, and an end where a crash cut it off."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from securefl.errors import DiskError, StateError, TrainingError
from securefl.protocol.messages import CHUNK_BYTES, ContributionHeader, SignedHeader
from securefl.protocol.sections import StreamSizes
from securefl_client.aggregate_file import FileBody
from securefl_client.outbox import Outbox, refuse_left_outbox

SIGNED = SignedHeader(ContributionHeader("client-1", 3, b"m" * 32, b"s" * 32, b"b" * 32), b"x" * 64)
WINDOWS = [bytes([number]) * (CHUNK_BYTES // 2 + number) for number in range(5)]


class Prepared:
    """An encryption whose windows are given."""

    seeds = b"seeds"
    sizes = StreamSizes(5, sum(map(len, WINDOWS)))

    def __init__(self) -> None:
        self.made = 0

    def windows(self) -> Iterator[bytes]:
        for window in WINDOWS:
            self.made += 1
            yield window

    def signed(self) -> SignedHeader:
        assert self.made == len(WINDOWS)
        return SIGNED


def outbox(folder: Path, encryption: Prepared | None = None, notes: list | None = None) -> Outbox:
    prepared = encryption or Prepared()
    noted = notes if notes is not None else []
    return Outbox(folder, prepared, number=3, complete=noted.append)  # type: ignore[arg-type]


def test_a_window_is_on_disk_and_synced_before_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def noting(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", noting)
    with outbox(tmp_path) as box:
        given = 0
        for piece in box.body():
            given += len(piece)
            assert synced[-1] >= given
    assert given == sum(map(len, WINDOWS))


@pytest.mark.parametrize("taken", [0, 1, 3, 5])
def test_a_retry_gets_the_same_bytes_and_nothing_is_sealed_twice(tmp_path: Path, taken: int) -> None:
    encryption = Prepared()
    with outbox(tmp_path, encryption) as box:
        first = box.body()
        for _ in range(taken):
            next(first)
        assert encryption.made == taken
        assert b"".join(box.body()) == b"".join(WINDOWS)
        assert b"".join(box.body()) == b"".join(WINDOWS)
        assert encryption.made == len(WINDOWS)


def test_the_ledger_hears_once_before_the_signed_header_leaves(tmp_path: Path) -> None:
    notes: list[SignedHeader] = []
    with outbox(tmp_path, notes=notes) as box:
        for _ in box.body():
            assert notes == []
        assert box.ending() == box.ending() == (b"seeds", SIGNED)
    assert notes == [SIGNED]


def test_nothing_stays_after_a_contribution_or_an_error(tmp_path: Path) -> None:
    with outbox(tmp_path) as box:
        list(box.body())
    with contextlib.suppress(TrainingError), outbox(tmp_path) as box:
        next(box.body())
        assert [path.name for path in tmp_path.iterdir()] == ["round-3.outbox"]
        assert next(tmp_path.iterdir()).stat().st_mode & 0o777 == 0o600
        raise TrainingError("stopped")
    assert list(tmp_path.iterdir()) == []
    refuse_left_outbox(tmp_path)


def test_what_a_crash_left_ends_the_members_part(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    next(box.body())
    # The process dies here: nothing is closed or removed.
    with pytest.raises(StateError, match="cut off") as caught:
        refuse_left_outbox(tmp_path)
    assert "round-3.outbox" in str(caught.value)
    with pytest.raises(StateError):
        outbox(tmp_path)


def test_a_full_disk_is_named_before_the_window_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with outbox(tmp_path) as box:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(DiskError, match="the disk is full") as caught:
            next(box.body())
    assert "round-3.outbox" in str(caught.value)


def test_a_body_on_disk_reads_like_the_bytes_it_holds(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5
    path = tmp_path / "body"
    path.write_bytes(data)
    with path.open("rb") as file:
        body = FileBody(file)
        assert len(body) == len(data)
        for place in (slice(0, 10), slice(300, 301), slice(1270, 5000), slice(7, 7)):
            assert body[place] == data[place]
