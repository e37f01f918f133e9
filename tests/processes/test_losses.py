"""A process that dies ends the run with its name, never a hang, a traceback or an orphan; taken up again, it ends well.

The models here are tiny, but trained: a run that was taken up again ends in the adapters of one that nobody disturbed.
"""

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

from .conftest import securefl

LIMIT_S = 240
pytestmark = pytest.mark.slow


class Running:
    """A `securefl run` in its own process group, whose output is read while it goes on."""

    def __init__(self, federation: Path, out: Path) -> None:
        self._log = out.parent / "run.log"
        self.out = out
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
            folder = str(self.out).encode()
            if any(a.startswith(folder) and a.endswith(f"/members/{member}".encode()) for a in arguments):
                return int(entry.name)
        raise AssertionError(f"no process of {member}: {self.text}")

    def end(self) -> int:
        return self.process.wait(timeout=LIMIT_S)

    def orphans(self) -> list[str]:
        provision = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and str(self.out).encode() in (entry / "cmdline").read_bytes():
                    provision.append(entry.name)
            except OSError:
                continue
        return provision


@pytest.fixture
def running(tmp_path: Path, write_federation: Callable[..., Path]) -> Iterator[Running]:
    run = Running(write_federation(tmp_path, scheme="kahe"), tmp_path / "runs")
    yield run
    if run.process.poll() is None:
        os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()


def adapters(run: Path) -> dict[str, bytes]:
    """Every saved adapter, by its place."""
    files = sorted((run / "clients").rglob("adapter_model.safetensors"))
    assert files
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def test_a_killed_client_ends_the_run_with_its_name_and_resumed_it_ends_as_if_undisturbed(
    running: Running, run_of: Callable[[str, str], Path]
) -> None:
    running.wait_for("client-2  round 1")
    os.kill(running.child("client-2"), signal.SIGKILL)
    assert running.end() == 1
    assert "client-2 left the federation" in running.text
    assert "Traceback" not in running.text
    assert running.orphans() == []
    run = running.out / "colours"
    assert f"securefl run --resume {run}" in running.text
    resumed = securefl("run", "--resume", run)
    assert resumed.returncode == 0, resumed.stderr
    assert adapters(run) == adapters(run_of("plain", "kahe"))
    assert not (run / "members").exists()


def test_a_killed_server_ends_the_run_with_one_sentence_and_resumed_it_ends_as_if_undisturbed(
    running: Running, run_of: Callable[[str, str], Path]
) -> None:
    running.wait_for("client-1  round 1")
    os.kill(running.child("server"), signal.SIGKILL)
    assert running.end() == 1
    assert "server" in running.text.splitlines()[-1]
    assert "Traceback" not in running.text
    assert running.orphans() == []
    run = running.out / "colours"
    resumed = securefl("run", "--resume", run)
    assert resumed.returncode == 0, resumed.stderr
    assert adapters(run) == adapters(run_of("plain", "kahe"))


def test_an_interrupted_run_ends_all_its_processes_and_can_be_taken_up(running: Running) -> None:
    # With processes that only pretend to train, tests/cli/test_run.py asks the same of SIGTERM.
    running.wait_for("client-1  round 1")
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 130
    assert "Traceback" not in running.text
    assert running.orphans() == []
    assert (running.out / "colours" / "members" / "run.json").is_file()
    assert securefl("run", "--discard", running.out / "colours").returncode == 0
    assert not (running.out / "colours" / "members").exists()


def test_a_client_that_was_killed_and_started_again_by_hand_ends_as_if_undisturbed(
    tmp_path: Path, write_federation: Callable[..., Path], run_of: Callable[[str, str], Path]
) -> None:
    command = [sys.executable, "-P", "-m", "securefl.cli"]
    folder = tmp_path / "federation"
    toml = write_federation(tmp_path, scheme="kahe", grace_s=60)
    provision(load_federation(toml), folder, emit=lambda event: None)
    server = subprocess.Popen(
        [*command, "server", str(folder / "server"), "--address", "127.0.0.1:0", "--json-events"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    address = json.loads(server.stdout.readline())["address"]

    def start(name: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, "client", str(folder / name), "--server", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    clients = {name: start(name) for name in ("client-1", "client-2", "client-3")}
    try:
        for line in server.stdout:
            if json.loads(line).get("step") == "cohort-closed":
                break
        clients["client-3"].kill()
        clients["client-3"].communicate()
        clients["client-3"] = start("client-3")
        outcomes = {name: process.communicate(timeout=LIMIT_S)[1] for name, process in clients.items()}
        assert [process.returncode for process in clients.values()] == [0, 0, 0], outcomes
        assert server.communicate(timeout=LIMIT_S)[1] == ""
        assert server.returncode == 0
    finally:
        for process in (server, *clients.values()):
            if process.poll() is None:
                process.kill()
                process.wait()
    undisturbed = run_of("plain", "kahe") / "clients"
    for name in clients:
        for path in sorted((folder / name / "results").rglob("adapter_model.safetensors")):
            other = undisturbed / name / path.relative_to(folder / name / "results")
            assert path.read_bytes() == other.read_bytes()
