"""Members that break off, freeze, or never come: the run ends with their name, and nobody hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.contributions import Whole
from support.servers import DIGEST, NOW, PROCESS, Member, Roster, RunningServer, gather, make_roster

from securefl.errors import (
    AuthenticationError,
    DiskError,
    MemberLost,
    ProtocolError,
    RunError,
    StateError,
    TransportError,
)
from securefl.identity.certificates import Role
from securefl.progress import MemberJoined
from securefl.protocol import wire
from securefl.protocol.last_words import sentence_for
from securefl.protocol.messages import PROTOCOL_VERSION, AggregateReady, FederationFailed, RoundOpened
from securefl.protocol.transitions import ServerPhase
from securefl.transport.client import AggregatorClient
from securefl.transport.limits import Keepalive
from securefl.transport.telemetry import ByteCounter
from securefl_server.conductor import Conductor
from securefl_server.record import Recorder
from securefl_server.service import FederationService
from securefl_server.store import Incoming, Spool
from securefl_server.summation import RoundSum

pytestmark = pytest.mark.slow

CHILD = """
import sys, threading, hashlib
from datetime import UTC, datetime
from pathlib import Path
from securefl.identity.certificates import Role, load_credentials
from securefl.protocol import wire
from securefl.protocol.last_words import sentence_for
from securefl.protocol.transitions import ServerPhase
from securefl.transport.client import AggregatorClient
from securefl.transport.methods import Method

address, folder, member, digest, stream = sys.argv[1:]
credentials = load_credentials(Path(folder), member=member, role=Role.CLIENT, now=datetime.now(UTC))
client = AggregatorClient(address, credentials, federation_digest=bytes.fromhex(digest))
client.join()
announcements = client.follow()
if stream:
    while type(next(announcements)).__name__ != "RoundOpened":
        pass
    def endless():
        data = bytes.fromhex(Path(stream).read_text())
        yield data
        sys.stdout.write("uploading\\n")
        sys.stdout.flush()
        threading.Event().wait()
    client._channel.stream_unary(Method.CONTRIBUTE.path)(endless())
else:
    next(announcements)
    sys.stdout.write("following\\n")
    sys.stdout.flush()
    threading.Event().wait()
"""


@pytest.fixture
def child() -> Iterator[object]:
    """Starts a member as a process of its own; whatever is left of it is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start(server: RunningServer, member: str, *, stream: str = "") -> subprocess.Popen[str]:
        folder = server.roster.folder.parent / f"{member}-files"
        folder.mkdir(exist_ok=True)
        server.roster.credentials[member].save(folder)
        command = [sys.executable, "-c", CHILD, server.address, str(folder), member, DIGEST.hex(), stream]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def others(server: RunningServer, lost: str) -> list[Member]:
    return [Member(server.roster, name, server.address) for name in server.roster.members if name != lost]


def test_last_words_reach_everybody_and_end_the_run(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path)) as server:
        members = gather(server)
        members["client-2"].hear(RoundOpened)
        members["client-2"].client.last_words(sentence_for(DiskError("the disk is full", where="/ada")))
        for name in ("client-1", "client-3"):
            failure = members[name].hear(FederationFailed)
            assert failure == FederationFailed("client-2", "its disk is full or cannot be written to")
            members[name].hears_nothing_more()
        with pytest.raises(MemberLost, match="client-2 left the federation") as caught:
            server.end()
        assert "its disk is full" in str(caught.value)


@pytest.mark.slow
def test_a_killed_member_ends_the_run_with_its_name(tmp_path: Path, child) -> None:
    with RunningServer(make_roster(tmp_path / "server")) as server:
        process = child(server, "client-2")
        assert process.stdout.readline() == "following\n"
        rest = others(server, "client-2")
        process.kill()
        assert rest[0].hear(FederationFailed).member == "client-2"
        with pytest.raises(MemberLost, match=r"client-2 .*did not come back within 0\.3 s"):
            server.end()


@pytest.mark.slow
def test_a_member_killed_in_the_middle_of_its_upload_ends_the_run_and_leaves_no_file(
    tmp_path: Path, child
) -> None:
    roster = make_roster(tmp_path / "server", ciphertexts=60)
    with RunningServer(roster) as server:
        head = tmp_path / "head"
        head.write_text(roster.contribution("client-2").messages()[0].hex())
        rest = [Member(roster, name, server.address) for name in ("client-1", "client-3")]
        process = child(server, "client-2", stream=str(head))
        assert process.stdout.readline() == "uploading\n"
        process.kill()
        assert rest[0].hear(FederationFailed).member == "client-2"
        with pytest.raises(MemberLost, match="client-2"):
            server.end()
        assert not (roster.folder / "spool").exists()


@pytest.mark.slow
def test_a_frozen_member_is_noticed_by_its_silence(tmp_path: Path, child) -> None:
    keepalive = Keepalive(interval_s=0.5, timeout_s=0.5)
    with RunningServer(make_roster(tmp_path / "server"), keepalive=keepalive) as server:
        process = child(server, "client-2")
        assert process.stdout.readline() == "following\n"
        rest = others(server, "client-2")
        os.kill(process.pid, signal.SIGSTOP)
        assert rest[0].hear(FederationFailed).member == "client-2"
        with pytest.raises(MemberLost, match="client-2"):
            server.end()


def test_a_member_that_comes_back_within_the_grace_is_not_lost(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path, grace_s=1)) as server:
        members = gather(server)
        members["client-2"].hear(RoundOpened)
        members["client-2"].close()
        again = Member(server.roster, "client-2", server.address)
        assert again.hear(RoundOpened).manifest.round_number == 1
        assert server.seen(MemberJoined).count(MemberJoined(member="client-2")) == 2
        # Longer than the grace: nothing of the first absence may come back to it.
        time.sleep(1.2)
        assert again.contribute().round_number == 1


def test_a_second_connection_of_the_same_process_replaces_the_first(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path, grace_s=0.1)) as server:
        members = gather(server)
        members["client-2"].hear(RoundOpened)
        again = Member(server.roster, "client-2", server.address)
        again.hear(RoundOpened)
        with pytest.raises(ProtocolError, match="took this one's place"):
            members["client-2"].hear(FederationFailed)
        members["client-2"].close()
        assert again.contribute().round_number == 1


def test_members_that_never_join_are_named(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path, join_timeout_s=0.3)) as server:
        first = Member(server.roster, "client-2", server.address)
        assert first.hear(FederationFailed).reason.startswith("client-1, client-3 did not join")
        with pytest.raises(RunError, match=r"client-1, client-3 did not join within 0\.3 s"):
            server.end()


def test_members_that_do_not_contribute_in_time_are_named(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path, round_timeout_s=0.5)) as server:
        members = gather(server)
        members["client-2"].hear(RoundOpened)
        members["client-2"].contribute()
        with pytest.raises(RunError, match="client-1, client-3 did not complete round 1"):
            server.end()


def test_a_full_disk_is_told_the_operator_with_its_path_and_the_members_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(total: RoundSum, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RoundSum, "save", full)
    with RunningServer(make_roster(tmp_path)) as server:
        members = gather(server)
        for member in members.values():
            member.hear(RoundOpened)
            member.contribute()
        heard = members["client-1"].hear(FederationFailed).reason
        assert "the disk is full" in heard
        assert str(tmp_path) not in heard
        with pytest.raises(DiskError, match="the disk is full") as caught:
            server.end()
        assert str(tmp_path) in str(caught.value)


def test_a_fault_of_the_servers_own_ends_the_run_instead_of_hanging_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(total: RoundSum, path: Path) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(RoundSum, "save", broken)
    server = RunningServer(make_roster(tmp_path))
    errors: list[BaseException] = []
    monkeypatch.setattr(threading, "excepthook", lambda caught: errors.append(caught.exc_value))
    with server:
        members = gather(server)
        for member in members.values():
            member.hear(RoundOpened)
            member.contribute()
        server._thread.join(30)
    assert [type(error) for error in errors] == [ZeroDivisionError]


def test_a_certificate_of_the_authority_that_is_no_members_is_refused(tmp_path: Path) -> None:
    roster, other = make_roster(tmp_path / "a"), make_roster(tmp_path / "b")
    stranger = roster.authority.issue("client-1", role=Role.CLIENT, now=NOW)
    with (
        RunningServer(roster) as server,
        AggregatorClient(server.address, stranger, federation_digest=DIGEST) as client,
    ):
        with pytest.raises(AuthenticationError, match="no member"):
            client.join()
        with pytest.raises(AuthenticationError, match="no member"):
            next(client.follow())
        contribution = other.contribution("client-1")
        with pytest.raises(AuthenticationError, match="no member"):
            client.contribute(Whole(contribution.signed, contribution.seeds, (contribution.body,)))


def test_a_member_of_another_federation_or_version_is_refused(tmp_path: Path) -> None:
    roster = make_roster(tmp_path)
    with RunningServer(roster) as server:
        credentials = roster.credentials["client-1"]
        with (
            AggregatorClient(server.address, credentials, federation_digest=bytes(32)) as client,
            pytest.raises(ProtocolError, match="another federation file"),
        ):
            client.join()
        client = roster.client("client-1", server.address)
        client._hello = wire.encode_hello(wire.Hello(3, DIGEST, PROCESS))
        with pytest.raises(ProtocolError, match="version 3"):
            client.join()


@asynccontextmanager
async def service_of(roster: Roster, **options: float) -> AsyncIterator[tuple[FederationService, Conductor]]:
    """The service without a network, every member following."""
    spool = Spool.open(roster.folder)
    with ThreadPoolExecutor(1) as worker, ThreadPoolExecutor(1) as files:
        recorder = Recorder("unit", ByteCounter())
        conductor = Conductor(
            roster.view,
            spool=spool,
            worker=worker,
            recorder=recorder,
            emit=lambda event: None,
            silence_s=1,
        )
        service = FederationService(
            roster.view, conductor, spool=spool, files=files, emit=lambda event: None, **options
        )
        conductor.start()
        hello = wire.Hello(PROTOCOL_VERSION, DIGEST, PROCESS)
        followers = [
            service.follow(credentials.fingerprint, hello) for credentials in roster.credentials.values()
        ]
        for follower in followers:
            await anext(follower)
        yield service, conductor
        conductor.stop("the test is over")
        for follower in followers:
            await follower.aclose()


def test_an_upload_that_stalls_is_given_up(tmp_path: Path) -> None:
    roster = make_roster(tmp_path)
    peer = roster.credentials["client-1"].fingerprint

    async def stalling() -> AsyncIterator[bytes]:
        yield roster.contribution("client-1").messages()[0]
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with service_of(roster, stall_timeout_s=0.05) as (service, _):
            with pytest.raises(TransportError, match=r"nothing for 0\.05 s"):
                await service.contribute(peer, stalling())

    asyncio.run(scenario())


def test_a_farewell_said_twice_changes_nothing(tmp_path: Path) -> None:
    roster = make_roster(tmp_path)
    peers = [credentials.fingerprint for credentials in roster.credentials.values()]

    async def sent(member: str) -> AsyncIterator[bytes]:
        for message in roster.contribution(member).messages():
            yield message

    async def scenario() -> None:
        async with service_of(roster) as (service, conductor):
            for member, peer in zip(roster.members, peers, strict=True):
                await service.contribute(peer, sent(member))
            while conductor.state.phase is not ServerPhase.AGGREGATE:
                await asyncio.sleep(0.01)
            for peer in peers:
                await service.confirm(peer, wire.Confirmation(1))
            for peer in peers:
                for _ in range(2):
                    await service.leave(peer, wire.Farewell(finished=True, last_words="", process=PROCESS))
            assert await conductor.ended is None

    asyncio.run(scenario())


@pytest.mark.parametrize("step", ["__init__", "write"])
def test_a_disk_that_fails_during_an_upload_ends_the_run_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(incoming: Incoming, data: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "somewhere"))

    monkeypatch.setattr(Incoming, step, full)
    with RunningServer(make_roster(tmp_path)) as server:
        members = gather(server)
        members["client-1"].hear(RoundOpened)
        with pytest.raises(RunError, match="the disk is full") as refused:
            members["client-1"].contribute()
        heard = members["client-2"].hear(FederationFailed).reason
        assert "the disk is full" in heard
        assert str(tmp_path) not in f"{heard} {refused.value}"
        with pytest.raises(DiskError, match=f"the disk is full .*{tmp_path / 'somewhere'}"):
            server.end()


def test_a_sum_that_cannot_be_read_ends_the_run_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunningServer(make_roster(tmp_path)) as server:
        members = gather(server)
        for member in members.values():
            member.hear(RoundOpened)
            member.contribute()
        members["client-1"].hear(AggregateReady)

        def closed(path: Path, *_: object, **__: object) -> None:
            raise OSError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "open", closed)
        with pytest.raises(RunError, match="its disk failed"):
            members["client-1"].fetch()
        with pytest.raises(DiskError, match=r"no right to it .*round-1\.sum"):
            server.end()


def test_a_member_cannot_hold_more_calls_than_its_share(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path)) as server:
        clients = [server.roster.client("client-1", server.address) for _ in range(9)]
        # A stream that is replaced ends; so the calls that stay are uploads that bring nothing more.
        member = Member(server.roster, "client-2", server.address)
        hold = threading.Event()

        def head() -> Iterator[bytes]:
            yield server.roster.contribution("client-1").messages()[0]
            hold.wait(30)

        for name in ("client-1", "client-3"):
            Member(server.roster, name, server.address)
        member.hear(RoundOpened)
        calls = [
            client._channel.stream_unary("/securefl.v2.Aggregator/Contribute").future(head())
            for client in clients
        ]
        try:
            refused = [call.code().name for call in _finished(calls)]
            assert refused == ["FAILED_PRECONDITION", "FAILED_PRECONDITION"]
        finally:
            hold.set()
            for client in clients:
                client.close()


def test_the_error_of_a_failed_disk_is_no_invitation_to_try_again() -> None:
    assert not StateError("x").retryable
    assert TransportError("x").retryable


def _finished(calls: list) -> list:
    """The calls that are over once two of them are: one place of eight is taken by the follow stream."""
    done = threading.Semaphore(0)
    for call in calls:
        call.add_done_callback(lambda _: done.release())
    assert done.acquire(timeout=30)
    assert done.acquire(timeout=30)
    return [call for call in calls if call.done()]
