"""A member is one process at a time: a second one is refused, and ends nobody's run."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.servers import PROCESS, Member, RunningServer, gather, make_roster

from securefl.errors import MemberLost, ProtocolError
from securefl.progress import MemberJoined, Warned
from securefl.protocol.last_words import STOPPED
from securefl.protocol.messages import AggregateReady, FederationClosed, FederationFailed, RoundOpened
from securefl.transport.client import AggregatorClient
from securefl.transport.limits import Keepalive
from securefl.transport.telemetry import ByteCounter
from securefl_server.attendance import Attendance
from securefl_server.conductor import Conductor
from securefl_server.record import Recorder
from securefl_server.store import Spool

pytestmark = pytest.mark.slow

OTHER = bytes(16)


def second(server: RunningServer, member: str = "client-2") -> AggregatorClient:
    """A client of the same member in another process."""
    return server.roster.client(member, server.address, process=OTHER)


def test_a_second_process_is_refused_while_the_first_is_connected(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path)) as server:
        gather(server)["client-2"].hear(RoundOpened)
        with second(server) as client:
            with pytest.raises(ProtocolError, match=r"client-2 is already connected, since \d{4}-\d\d-\d\d"):
                client.join()
            with pytest.raises(ProtocolError, match="already connected"):
                next(client.follow())


def test_what_a_refused_process_says_at_its_end_is_nobodys_farewell(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path)) as server:
        members = gather(server)
        members["client-2"].hear(RoundOpened)
        with second(server) as client:
            client.last_words(STOPPED)
        for member in members.values():
            member.contribute()
        for member in members.values():
            member.hear(AggregateReady)
            member.fetch()
            member.client.confirm(1)
        for member in members.values():
            member.hear(FederationClosed)
            member.client.finish()
        assert server.end() == 0
        assert server.seen(Warned) == []


def test_a_process_takes_the_place_of_one_that_ended_before_it_contributed(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path, grace_s=20)) as server:
        members = gather(server)
        members["client-2"].hear(RoundOpened)
        members["client-2"].close()
        successor = _joined_when_free(server, "client-2")
        assert successor.contribute().round_number == 1
        # The first one has lost its place: neither its stream nor its farewell counts.
        with server.roster.client("client-2", server.address) as late:
            with pytest.raises(ProtocolError, match="already connected"):
                late.join()
            late.last_words(STOPPED)
        for name in ("client-1", "client-3"):
            members[name].contribute()
        assert successor.hear(AggregateReady).round_number == 1


def test_a_place_is_kept_for_a_process_that_has_contributed(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path, grace_s=20)) as server:
        members = gather(server)
        members["client-2"].hear(RoundOpened)
        members["client-2"].contribute()
        members["client-2"].close()
        with second(server) as client, pytest.raises(ProtocolError, match="contributed from another process"):
            _join_when_free(client)
        again = Member(server.roster, "client-2", server.address)
        for name in ("client-1", "client-3"):
            members[name].contribute()
        assert again.hear(AggregateReady).round_number == 1


def test_a_process_that_ends_before_its_stream_is_open_still_says_farewell(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path)) as server:
        first = Member(server.roster, "client-1", server.address)
        with second(server) as client:
            client.join()
            client.last_words(STOPPED)
        assert first.hear(FederationFailed) == FederationFailed("client-2", STOPPED)
        with pytest.raises(MemberLost, match="client-2"):
            server.end()


def test_a_refusal_says_how_long_a_process_that_vanished_keeps_its_place() -> None:
    attendance = Attendance(silence_s=140)
    attendance.enter("client-1", PROCESS, contributed=False)
    with pytest.raises(ProtocolError) as caught:
        attendance.check("client-1", OTHER, contributed=False)
    assert "notices within 140 s" in str(caught.value)


def _join_when_free(client: AggregatorClient) -> None:
    """Joins once the server has noticed that the earlier connection is closed."""
    while True:
        try:
            client.join()
        except ProtocolError as error:
            if "already connected" not in str(error):
                raise
        else:
            return


def _joined_when_free(server: RunningServer, member: str) -> Member:
    with second(server, member) as client:
        _join_when_free(client)
    return Member(server.roster, member, server.address, process=OTHER)


def test_a_healthy_member_that_hears_nothing_for_long_is_not_reported_out_of_reach(tmp_path: Path) -> None:
    # grpc sends at most one ping a second; at the fourth in five minutes its server, left to itself, closes the
    # connection of a member whose only fault is to train for long.
    with RunningServer(make_roster(tmp_path)) as server:
        members = gather(server, keepalive=Keepalive(interval_s=0.5, timeout_s=20))
        for member in members.values():
            member.hear(RoundOpened)
        joined = len(server.seen(MemberJoined))
        time.sleep(5)
        assert server.seen(Warned) == []
        assert len(server.seen(MemberJoined)) == joined


def test_a_member_that_reads_slowly_is_kept_the_newest_state_and_nothing_else(tmp_path: Path) -> None:
    roster = make_roster(tmp_path, members=9)

    async def scenario() -> None:
        spool = Spool.open(roster.folder)
        with ThreadPoolExecutor(1) as worker:
            conductor = Conductor(
                roster.view,
                spool=spool,
                worker=worker,
                recorder=Recorder("unit", ByteCounter()),
                emit=lambda event: None,
                silence_s=1,
            )
            conductor.start()
            streams = [conductor.follow(member, PROCESS) for member in roster.members]
            for stream in streams:
                assert await anext(stream) == conductor.state.current
            # The first one has been told of eight missing members; seven announcements later it reads on.
            assert isinstance(await anext(streams[0]), RoundOpened)
            conductor.stop("the test is over")
            assert isinstance(await anext(streams[0]), FederationFailed)
            with pytest.raises(StopAsyncIteration):
                await anext(streams[0])
            for stream in streams:
                await stream.aclose()

    asyncio.run(scenario())
