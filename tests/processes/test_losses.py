"""A process that dies ends the run with its name and last words: never a hang, never a traceback, no orphan."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from securefl.config.load import load_federation
from securefl.provisioning.provision import provision

LIMIT_S = 100
pytestmark = pytest.mark.slow


class Running:
    """A `securefl run` in its own process group, whose output is read while it goes on."""

    def __init__(self, federation: Path, out: Path) -> None:
        self._log = out.parent / "run.log"
        self._out = out
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "securefl.cli", "run", str(federation), "--out", str(out)],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while words not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)

    def child(self, member: str) -> int:
        """The process id of one of its children, by the member's folder in its arguments."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            folder = str(self._out).encode()
            if any(a.startswith(folder) and a.endswith(f"/members/{member}".encode()) for a in arguments):
                return int(entry.name)
        raise AssertionError(f"no process of {member}: {self.text}")

    def end(self) -> int:
        return self.process.wait(timeout=LIMIT_S)

    def orphans(self) -> list[str]:
        provision = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and str(self._out).encode() in (entry / "cmdline").read_bytes():
                    provision.append(entry.name)
            except OSError:
                continue
        return provision


@pytest.fixture
def running(tmp_path: Path, write_federation: Callable[..., Path]) -> Iterator[Running]:
    run = Running(write_federation(tmp_path), tmp_path / "runs")
    yield run
    if run.process.poll() is None:
        os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()


def test_a_client_killed_in_the_middle_of_a_round_ends_the_run_with_its_name(running: Running) -> None:
    running.wait_for("client-2  round 1")
    os.kill(running.child("client-2"), signal.SIGKILL)
    assert running.end() == 1
    assert "client-2 left the federation" in running.text
    assert "Traceback" not in running.text
    assert running.orphans() == []


def test_a_killed_server_ends_the_run_with_one_sentence(running: Running) -> None:
    running.wait_for("client-1  round 1")
    os.kill(running.child("server"), signal.SIGKILL)
    assert running.end() == 1
    assert "server" in running.text.splitlines()[-1]
    assert "Traceback" not in running.text
    assert running.orphans() == []


def test_an_interrupted_run_ends_all_its_processes(running: Running) -> None:
    # With processes that only pretend to train, tests/cli/test_run.py asks the same of SIGTERM.
    running.wait_for("client-1  round 1")
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 130
    assert "Traceback" not in running.text
    assert running.orphans() == []


def test_a_client_started_by_hand_learns_from_the_server_who_was_lost(
    tmp_path: Path, write_federation: Callable[..., Path]
) -> None:
    command = [sys.executable, "-P", "-m", "securefl.cli"]
    folder = tmp_path / "federation"
    provision(load_federation(write_federation(tmp_path)), folder, emit=lambda event: None)
    server = subprocess.Popen(
        [*command, "server", str(folder / "server"), "--address", "127.0.0.1:0", "--json-events"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    address = json.loads(server.stdout.readline())["address"]
    clients = {
        name: subprocess.Popen(
            [*command, "client", str(folder / name), "--server", address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("client-1", "client-2", "client-3")
    }
    try:
        for line in server.stdout:
            if json.loads(line)["event"] == "RoundStarted":
                break
        clients["client-3"].kill()
        outcomes = {name: process.communicate(timeout=LIMIT_S) for name, process in clients.items()}
        assert clients["client-1"].returncode == clients["client-2"].returncode == 1
        for name in ("client-1", "client-2"):
            assert "client-3 left the federation" in outcomes[name][1]
        assert server.communicate(timeout=LIMIT_S)[1].count("client-3 left the federation") == 1
        assert server.returncode == 1
    finally:
        for process in (server, *clients.values()):
            if process.poll() is None:
                process.kill()
                process.wait()
