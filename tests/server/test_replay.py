"""A server that is killed at any moment goes on where it was: the log of events is its whole memory."""

from __future__ import annotations

import copy
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.served_rounds import DIGEST, SECTIONS, Federation

from securefl.errors import AuthenticationError, DiskError, StateError
from securefl.protocol.calls import CohortClosed, CommitAsked, StagedUpTo
from securefl.protocol.serving.event_codec import decode_object, encode_object
from securefl.protocol.serving.round_machine import replayed
from securefl.protocol.serving.server_phases import ServerPhase
from securefl.simulation.memory import MemoryStore
from securefl_server.bodies import Bodies
from securefl_server.round_server import RoundServer
from securefl_server.round_store import SqliteRoundStore

ACTIONS = st.one_of(
    st.tuples(st.just("answer"), st.integers(0, 3)),
    st.tuples(st.just("answer"), st.integers(0, 3)),
    st.tuples(st.just("lose"), st.integers(0, 3)),
    st.tuples(st.just("connect"), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.just(0)),
    st.tuples(st.just("kill"), st.just(0)),
)


def do(federation: Federation, action: str, index: int) -> None:
    member = federation.members[federation.rules.roster[index]]
    match action:
        case "answer" if member.name not in federation.away and not federation.server.over:
            federation.answer(member, federation.server.announcement)
        case "lose":
            federation.lose(member.name)
        case "connect":
            federation.connect(member.name)
        case "wait":
            federation.pass_time()
        case "kill":
            federation.start()
            federation.connect(*(name for name in federation.members if name not in federation.away))


def told_after_a_restart(federation: Federation) -> object:
    """What another server announces that has nothing but a copy of the store."""
    again = RoundServer(
        federation.rules,
        lambda _number: SECTIONS,
        store=copy.deepcopy(federation.store),
        bodies=Bodies(federation.folder / "rounds"),
        now=lambda: federation.clock,
        emit=lambda _event: None,
    )
    for name in federation.rules.roster:
        if name not in federation.away:
            again.presence(name, True)
    return again.announcement


@settings(max_examples=40)
@given(st.lists(ACTIONS, min_size=10, max_size=80), st.booleans())
def test_replaying_the_log_gives_the_state_and_the_announcement(
    actions: list[tuple[str, int]], shares: bool
) -> None:
    with TemporaryDirectory() as folder:
        federation = Federation(Path(folder), 4, rounds=2, shares=shares, least=3)
        federation.connect()
        for action, index in actions:
            do(federation, action, index)
            state = federation.server.state
            assert replayed(federation.store.log, rules=federation.rules) == state
            if not state.over and not state.left:
                assert told_after_a_restart(federation) == federation.server.announcement


class FailingStore(MemoryStore):
    """A store that fails once, before or after an event is durable."""

    def __init__(self, fails_at: int, *, durable: bool) -> None:
        super().__init__()
        self._left = fails_at
        self._durable = durable

    def append(self, event, **records):  # type: ignore[no-untyped-def]
        self._left -= 1
        if self._left == 0 and not self._durable:
            raise DiskError("the disk is full")
        super().append(event, **records)
        if self._left == 0:
            raise DiskError("the disk is full")


def run_until_it_breaks(federation: Federation) -> bool:
    with suppress(StateError):
        federation.connect()
        federation.settle()
    return federation.server.error is not None


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("shares", [False, True])
def test_a_crash_at_every_event_costs_nothing(tmp_path: Path, durable: bool, shares: bool) -> None:
    undisturbed = Federation(tmp_path / "whole", 4, shares=shares)
    undisturbed.connect()
    undisturbed.settle()
    for number in range(1, len(undisturbed.store.log) + 1):
        store = FailingStore(number, durable=durable)
        federation = Federation(tmp_path / str(number), 4, shares=shares, store=store)
        assert run_until_it_breaks(federation)
        for member in federation.members.values():
            member.answered.clear()
        federation.away = set(federation.server.state.finished)
        federation.start()
        assert run_until_it_breaks(federation) is False
        assert federation.server.state.phase is ServerPhase.CLOSED
        assert {member.applied for member in federation.members.values()} == {1}


def test_the_store_on_disk_remembers_what_the_one_in_memory_does(tmp_path: Path) -> None:
    logs = []
    for store in (MemoryStore(), SqliteRoundStore(tmp_path, federation_digest=DIGEST)):
        federation = Federation(tmp_path / type(store).__name__, 4, rounds=2, store=store)
        federation.connect()
        federation.settle()
        assert federation.server.state.phase is ServerPhase.CLOSED
        logs.append([logged.event for logged in store.events()])
    in_memory, on_disk = logs
    # Of two runs, signatures and digests are equal; only the time that adding took is not.
    assert [type(event) for event in in_memory] == [type(event) for event in on_disk]
    assert [decode_object(encode_object(event)) for event in in_memory] == in_memory


def test_a_body_goes_on_after_a_restart_where_it_stopped(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.connect()
    federation.settle(until=CohortClosed)
    state = federation.server.state
    cohort = state.cohort(federation.rules)
    member = federation.members["client-1"]
    body = member.body(cohort.attempt)
    federation.server.hear("client-1", member.contribution(cohort, federation.rules))
    federation.server.receive("client-1", cohort.attempt, 0, body[:7])
    federation.start()
    federation.connect()
    again = federation.server.hear("client-1", member.contribution(cohort, federation.rules))
    assert (again.received, again.complete) == (7, False)
    staged = federation.server.receive("client-1", cohort.attempt, 7, body[7:])
    assert staged.complete
    assert federation.server.hear("client-1", member.contribution(cohort, federation.rules)) == staged


def test_a_body_that_was_whole_when_the_server_went_down_counts(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.connect()
    federation.settle(until=CohortClosed)
    cohort = federation.server.state.cohort(federation.rules)
    member = federation.members["client-1"]
    federation.server.hear("client-1", member.contribution(cohort, federation.rules))
    # The last piece is on disk, and its event is not.
    Bodies(tmp_path / "rounds").append(cohort.attempt, "client-1", member.body(cohort.attempt))
    federation.start()
    federation.connect()
    assert federation.server.hear("client-1", StagedUpTo(cohort.attempt)).complete
    assert federation.server.state.staging("client-1") is not None


def test_a_body_that_was_damaged_when_the_server_went_down_is_dropped(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.connect()
    federation.settle(until=CohortClosed)
    cohort = federation.server.state.cohort(federation.rules)
    member = federation.members["client-1"]
    federation.server.hear("client-1", member.contribution(cohort, federation.rules))
    Bodies(tmp_path / "rounds").append(cohort.attempt, "client-1", bytes(len(member.body(cohort.attempt))))
    federation.start()
    federation.connect()
    with pytest.raises(AuthenticationError, match="does not have the digest"):
        federation.server.hear("client-1", StagedUpTo(cohort.attempt))
    assert federation.server.hear("client-1", StagedUpTo(cohort.attempt)).received == 0
    assert federation.stage(member, cohort).complete


def test_members_that_do_not_come_back_count_as_absent_after_the_grace(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, least=3)
    federation.connect()
    federation.settle(until=CohortClosed)
    federation.away.add("client-4")
    federation.start()
    federation.connect("client-1", "client-2", "client-3")
    while federation.round_of_answers():
        pass
    assert federation.server.next_deadline == federation.clock + 5
    federation.pass_time()
    assert isinstance(federation.server.announcement, CommitAsked)


def test_deadlines_start_anew_with_the_server(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.clock = 7.0
    federation.start()
    assert federation.server.next_deadline == 107.0
