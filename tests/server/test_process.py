"""The server as a process: how it starts, listens, and ends on a signal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.servers import WAIT_S, Member, Roster, RunningServer, issue_server, make_roster

from securefl.errors import ConfigError, IdentityError
from securefl.protocol.calls import FederationFailed, Waiting
from securefl.transport.refusals import Reason, Refusal
from securefl_server.process import load_view, refusal_sentence, run_server

Process = subprocess.Popen[str]


def start(roster: Roster, *arguments: str) -> Process:
    command = [sys.executable, "-m", "securefl_server", str(roster.folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Process, Roster, str]]:
    """A server as a process, its roster, its address."""
    roster = make_roster(tmp_path)
    process = start(roster)
    assert process.stdout is not None
    event = json.loads(process.stdout.readline())
    assert event["event"] == "Listening"
    yield process, roster, event["address"]
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_server_with_the_shells_code_and_members_are_told(
    running: tuple[Process, Roster, str], number: signal.Signals, code: int
) -> None:
    process, roster, address = running
    with Member(roster, "client-1").client(address) as client:
        client.join()
        told = client.follow()
        assert isinstance(next(told), Waiting)
        os.kill(process.pid, number)
        failure = next(each for each in told if isinstance(each, FederationFailed))
    assert failure.member == ""
    assert "operator" in failure.reason
    _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == code
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_server_without_members_ends_on_a_signal_at_once(running: tuple[Process, Roster, str]) -> None:
    process, _, _ = running
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=WAIT_S) == 143


@pytest.mark.slow
def test_a_member_that_never_reads_cannot_hold_the_server_back(running: tuple[Process, Roster, str]) -> None:
    process, roster, address = running
    with Member(roster, "client-1").client(address) as client:
        client.join()
        next(client.follow())
        os.kill(process.pid, signal.SIGTERM)
        # The member stays connected, and reads nothing: the server would wait for as long.
        assert process.wait(timeout=WAIT_S) == 143


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_in_use_is_one_sentence(tmp_path: Path, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen at {host}:{port}.*in use") as caught:
            run_server(make_roster(tmp_path).folder, address=f"{host}:{port}", emit=lambda event: None)
    assert caught.value.exit_code == 2


def test_two_servers_never_share_a_port(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path / "a")) as first:
        other = make_roster(tmp_path / "b")
        with pytest.raises(ConfigError, match="in use"):
            run_server(other.folder, address=first.address, emit=lambda event: None)


@pytest.mark.slow
def test_a_port_in_use_ends_the_process_with_code_2_and_without_a_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(make_roster(tmp_path), f"127.0.0.1:{taken.getsockname()[1]}")
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.count("\n") == 1
    assert "cannot listen" in errors


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:http", "127.0.0.1:70000", ":7443"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="no address"):
        run_server(make_roster(tmp_path).folder, address=address, emit=lambda event: None)


def test_a_host_that_is_not_this_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot listen at 192\.0\.2\.1:7443"):
        run_server(make_roster(tmp_path).folder, address="192.0.2.1:7443", emit=lambda event: None)


def test_a_folder_that_is_no_servers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="no server's folder"):
        run_server(tmp_path, address=None, emit=lambda event: None)


def test_an_expired_certificate_of_the_server_is_refused_at_its_start(tmp_path: Path) -> None:
    roster = make_roster(tmp_path)
    issue_server(roster.authority, expired=True).save(roster.folder)
    with pytest.raises(IdentityError, match="expired") as caught:
        run_server(roster.folder, address=None, emit=lambda event: None)
    assert caught.value.exit_code == 2


def test_a_members_folder_does_not_start_a_server(tmp_path: Path) -> None:
    roster = make_roster(tmp_path)
    roster.credentials["client-1"].save(roster.folder)
    with pytest.raises(IdentityError, match="not for server"):
        run_server(roster.folder, address=None, emit=lambda event: None)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"rounds": 0}', "\0"])
def test_a_broken_servers_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    with pytest.raises(IdentityError):
        load_view(tmp_path)


@pytest.mark.slow
def test_usage_is_shown_for_wrong_arguments(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "securefl_server"], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2
    assert "python -m securefl_server FOLDER" in result.stderr


def test_every_refusal_has_its_name_in_the_servers_log(tmp_path: Path) -> None:
    view = make_roster(tmp_path).view
    revoked = Refusal(Reason.REVOKED, view.roster[1].certificate, "Confirm")
    assert refusal_sentence(revoked, view) == "refused: revoked-certificate (client-2, Confirm)"
    foreign = Refusal(Reason.NOT_AUTHENTIC, bytes(32), "Join")
    assert refusal_sentence(foreign, view) == "refused: not-authentic (a certificate of no member, Join)"
    by_tls = Refusal(Reason.HANDSHAKE, b"", "handshake", 3)
    assert refusal_sentence(by_tls, view).startswith(
        "refused: refused-handshake (connections that ended before a first call: 3;"
    )
