from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from securefl.errors import DiskError, StateError
from securefl.storage.durable import DurableFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_what_was_appended_is_read_back_after_reopening(path: Path) -> None:
    for part in (b"one\n", b"two\n"):
        file = DurableFile(path)
        file.append(part)
        file.close()
    file = DurableFile(path)
    assert file.read() == b"one\ntwo\n"
    file.close()


def test_a_short_write_is_carried_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    file = DurableFile(path)
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:3]))
    file.append(b"ten bytes\n")
    file.close()
    assert path.read_bytes() == b"ten bytes\n"


def test_a_write_that_fails_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    file = DurableFile(path)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskError, match="the disk is full"):
        file.append(b"x")
    file.close()


def test_two_processes_cannot_write_one_file(path: Path) -> None:
    file = DurableFile(path)
    with pytest.raises(StateError, match="in use"):
        DurableFile(path)
    file.close()
    DurableFile(path).close()


def test_only_its_owner_can_read_it(path: Path) -> None:
    DurableFile(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be opened"):
        DurableFile(tmp_path / "missing" / "ledger.jsonl")
