"""A member is one process at a time: a second one is refused, and ends nobody's run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.servers import PROCESS, WAIT_S, Member, RunningServer, make_roster

from securefl.errors import ProtocolError
from securefl.progress import MemberJoined, Warned
from securefl.protocol.calls import CohortClosed, FederationClosed, FederationFailed
from securefl.protocol.last_words import STOPPED
from securefl.transport.aggregator_client import AggregatorClient
from securefl.transport.limits import Keepalive
from securefl_server.attendance import Attendance

pytestmark = pytest.mark.slow

OTHER = bytes(16)


def second(server: RunningServer, member: str = "client-2") -> AggregatorClient:
    """A client of the same member in another process."""
    return server.roster.client(member, server.address, process=OTHER)


@contextmanager
def connected(server: RunningServer, **options: object) -> Iterator[dict[str, AggregatorClient]]:
    """Every member's client, following the server."""
    roster = server.roster
    clients = {name: roster.client(name, server.address, **options) for name in roster.members}
    streams = [client.follow() for client in clients.values()]
    try:
        for client, stream in zip(clients.values(), streams, strict=True):
            client.join()
            next(stream)
        yield clients
    finally:
        for client in clients.values():
            client.close()


def test_a_second_process_is_refused_while_the_first_is_connected(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path)) as server, connected(server), second(server) as client:
        with pytest.raises(ProtocolError, match=r"client-2 is already connected, since \d{4}-\d\d-\d\d"):
            client.join()
        with pytest.raises(ProtocolError, match="already connected"):
            next(client.follow())


def test_what_a_refused_process_says_at_its_end_is_nobodys_farewell(tmp_path: Path) -> None:
    roster = make_roster(tmp_path, scheme="none")
    members = [Member(roster, name) for name in roster.members]
    refused = threading.Event()
    with RunningServer(roster) as server:
        original = members[1].answer

        def answer(client: AggregatorClient, announcement: object) -> None:
            if isinstance(announcement, CohortClosed) and not refused.is_set():
                with second(server) as other:
                    other.last_words(STOPPED)
                refused.set()
            original(client, announcement)  # type: ignore[arg-type]

        members[1].answer = answer  # type: ignore[method-assign]
        threads = [
            threading.Thread(target=member.take_part, args=(server.address,), daemon=True)
            for member in members
        ]
        for thread in threads:
            thread.start()
        assert server.end() == 0
        for thread in threads:
            thread.join(WAIT_S)
    assert refused.is_set()
    assert all(isinstance(member.heard[-1], FederationClosed) for member in members)


def test_another_process_takes_the_place_of_one_that_vanished(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path, grace_s=20)) as server, connected(server) as clients:
        clients["client-2"].close()
        with second(server) as successor:
            _join_when_free(successor)
            stream = successor.follow()
            next(stream)
            with server.roster.client("client-2", server.address) as late:
                with pytest.raises(ProtocolError, match="already connected"):
                    late.join()
                late.last_words(STOPPED)
            # The farewell of a process that has lost its place counts for nothing.
            assert not isinstance(clients["client-1"].join(), FederationFailed)


def test_a_refusal_says_how_long_a_process_that_vanished_keeps_its_place() -> None:
    attendance = Attendance(silence_s=140)
    attendance.enter("client-1", PROCESS)
    with pytest.raises(ProtocolError) as caught:
        attendance.check("client-1", OTHER)
    assert "notices within 140 s" in str(caught.value)


def test_a_healthy_member_that_hears_nothing_for_long_is_not_reported_out_of_reach(tmp_path: Path) -> None:
    # grpc sends at most one ping a second; at the fourth in five minutes its server, left to itself, closes the
    # connection of a member whose only fault is to train for long.
    roster = make_roster(tmp_path)
    keepalive = Keepalive(interval_s=0.5, timeout_s=20)
    with RunningServer(roster) as server, connected(server, keepalive=keepalive):
        joined = len(server.seen(MemberJoined))
        time.sleep(5)
        assert server.seen(Warned) == []
        assert len(server.seen(MemberJoined)) == joined


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
