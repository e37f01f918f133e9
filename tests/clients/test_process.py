"""A client as a process: one at a time in its folder, patient with a server that is not up yet."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.ports import free_address

from securefl.config.load import read_toml
from securefl.errors import ConfigError, IdentityError
from securefl.launch.signals import Interrupted, raise_on_termination
from securefl.progress import Event, ServerAwaited
from securefl.storage.lock import locked
from securefl.transport import waiting
from securefl_client.process import run_client


@pytest.fixture
def folder(provisioned: Callable[[str], Path]) -> Path:
    return provisioned("bfv") / "client-2"


@pytest.fixture
def nowhere() -> str:
    """An address of this machine where nothing listens."""
    return free_address()


def hurried(folder: Path, seconds: float) -> None:
    """Let the client wait for its server for so long."""
    path = folder / "client.toml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("join_timeout_s")]
    lines.insert(lines.index("[client]") + 1, f"join_timeout_s = {seconds}")
    path.write_text("\n".join(lines) + "\n")


def test_a_client_knows_how_long_its_server_waits_for_the_roster(folder: Path) -> None:
    assert read_toml(folder / "client.toml")["client"]["join_timeout_s"] == 600


def test_a_client_that_comes_before_its_server_says_so_and_waits(
    folder: Path, nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(folder, 1.5)
    # A clock on which every try takes a second, however long it takes a busy machine.
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=itertools.count().__next__))
    events: list[Event] = []
    with pytest.raises(ConfigError, match=rf"nothing listens at {nowhere} \(after 1\.5 s\)"):
        run_client(folder, server=nowhere, out=tmp_path / "out", emit=events.append)
    (awaited,) = events
    assert awaited == ServerAwaited(
        member="client-2", address=nowhere, reason=f"nothing listens at {nowhere}", seconds=0.5
    )


# The signal may come while Python's own create_connection holds a socket, which it closes on OSError alone.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_ends_the_wait(folder: Path, nowhere: str, tmp_path: Path) -> None:
    hurried(folder, 60)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    raise_on_termination()

    def stop(event: Event) -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()

    try:
        with pytest.raises(Interrupted):
            run_client(folder, server=nowhere, out=tmp_path / "out", emit=stop)
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def test_a_second_client_in_one_folder_is_refused_wherever_its_results_and_its_server_are(
    folder: Path, nowhere: str, tmp_path: Path
) -> None:
    with (
        locked(folder, owner="client-2"),
        pytest.raises(IdentityError, match=f"client-2 is already running .* process {os.getpid()}"),
    ):
        run_client(folder, server=nowhere, out=tmp_path / "other", emit=lambda event: None)
    assert not (tmp_path / "other").exists()


def test_a_folder_for_results_that_cannot_be_made_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        run_client(folder, server=None, out=tmp_path / "file" / "out", emit=lambda event: None)
