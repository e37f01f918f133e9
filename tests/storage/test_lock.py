"""One process at a time in a folder, and no longer than that process lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from securefl.errors import DiskError, IdentityError
from securefl.storage.lock import LOCK_FILE, locked

HOLDER = """
import sys, threading
from pathlib import Path
from securefl.storage.lock import locked
with locked(Path(sys.argv[1]), owner="client-1"):
    print("held", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the folder."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.slow
def test_a_second_process_is_refused_with_the_id_of_the_first(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with (
        pytest.raises(
            IdentityError, match=f"client-1 is already running in this folder, as process {holder.pid}"
        ),
        locked(tmp_path, owner="client-1"),
    ):
        raise AssertionError("two processes hold one folder")


@pytest.mark.slow
def test_what_a_killed_process_left_behind_locks_nobody_out(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK_FILE).read_text() == f"{holder.pid}\n"
    with locked(tmp_path, owner="client-1"):
        assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"


def test_a_folder_is_free_again_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path, owner="client-1"):
            assert (tmp_path / LOCK_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("left", [b"", b"nonsense", b"\xff" * 100, b"-1", b"1 2"])
def test_a_lock_file_with_anything_in_it_is_no_obstacle(tmp_path: Path, left: bytes) -> None:
    (tmp_path / LOCK_FILE).write_bytes(left)
    with locked(tmp_path, owner="client-1"):
        assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"


def test_a_folder_where_no_file_can_be_made_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: object, *_: object) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(DiskError, match="the disk is full") as caught, locked(tmp_path, owner="client-1"):
        raise AssertionError("held without a lock")
    assert str(tmp_path) in str(caught.value)
