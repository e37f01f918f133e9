"""The server's state machine: rounds open, close and fail by events alone, and foreign contributions are refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.contributions import seal_contribution
from support.federations import TestFederation, make_federation
from support.machines import Server

from securefl.aggregation.contribution import Contribution
from securefl.config.server import ServerSection
from securefl.errors import AuthenticationError, MemberLost, ProtocolError, RunError
from securefl.protocol.messages import (
    AggregateReady,
    FederationClosed,
    FederationFailed,
    Manifest,
    RoundOpened,
    SignedHeader,
    Waiting,
)
from securefl.protocol.server_events import (
    AggregateFetched,
    Announce,
    ContributionAccepted,
    Discard,
    Effect,
    End,
    MemberFinished,
    MemberGone,
    MemberJoined,
    OpenSum,
    SaveSum,
    StartTimer,
    Stopped,
    StopTimer,
    SumSaved,
    TimedOut,
    Timer,
)
from securefl.protocol.transitions import ServerPhase

MEMBERS = ("client-1", "client-2", "client-3")


@pytest.fixture(scope="module")
def federation() -> TestFederation:
    return make_federation(ranks=(2, 4, 8), rounds=2, scheme="none")


@pytest.fixture
def server(federation: TestFederation) -> Server:
    return Server(federation.federation.server_view(ServerSection(join_timeout_s=5, round_timeout_s=9)))


def contribution(
    federation: TestFederation, member: str, manifest: Manifest, *, value: int = 1
) -> Contribution:
    inner = federation.federation
    return seal_contribution(
        np.full(inner.plan.length(manifest.round_number), value, dtype=np.int64),
        manifest=manifest,
        member=member,
        cipher=federation.cipher(),
        keys=federation.keys,
        signing_key=federation.signing_keys[member],
    )


def joined(server: Server) -> tuple[Effect, ...]:
    effects: tuple[Effect, ...] = ()
    for member in MEMBERS:
        effects = server.receive(MemberJoined(member))
    return effects


def contribute_all(server: Server, federation: TestFederation) -> tuple[Effect, ...]:
    effects: tuple[Effect, ...] = ()
    for member in MEMBERS:
        made = contribution(federation, member, server.state.manifest)
        effects = server.receive(ContributionAccepted(made.signed, made.seeds))
    return effects


def to_aggregate(server: Server, federation: TestFederation) -> None:
    contribute_all(server, federation)
    server.receive(SumSaved())


def test_a_round_opens_when_the_whole_roster_has_joined(server: Server, federation: TestFederation) -> None:
    assert server.receive(MemberJoined("client-1")) == (Announce(Waiting(("client-2", "client-3"))),)
    effects = joined(server)
    manifest = Manifest(federation.federation.digest, 1, MEMBERS)
    assert effects == (
        StopTimer(Timer.JOIN),
        OpenSum(1),
        StartTimer(Timer.ROUND, 9),
        Announce(RoundOpened(manifest)),
    )


def test_the_sum_is_saved_when_the_last_contribution_is_in(
    server: Server, federation: TestFederation
) -> None:
    joined(server)
    assert contribute_all(server, federation) == (SaveSum(1),)
    assert server.receive(SumSaved()) == (Announce(AggregateReady(1)),)


def test_the_next_round_opens_when_the_last_member_has_the_aggregate(
    server: Server, federation: TestFederation
) -> None:
    joined(server)
    to_aggregate(server, federation)
    assert server.receive(AggregateFetched("client-1", 1)) == ()
    server.receive(AggregateFetched("client-2", 1))
    effects = server.receive(AggregateFetched("client-3", 1))
    assert effects[:2] == (Discard(1), OpenSum(2))
    assert server.state.round_number == 2


def test_after_the_last_round_the_server_ends_when_every_member_has_finished(
    server: Server, federation: TestFederation
) -> None:
    joined(server)
    for number in (1, 2):
        to_aggregate(server, federation)
        for member in MEMBERS:
            effects = server.receive(AggregateFetched(member, number))
    assert effects[-1] == Announce(FederationClosed())
    assert [server.receive(MemberFinished(member)) for member in MEMBERS] == [(), (), (End(None),)]


def test_a_round_that_all_members_call_the_last_ends_the_federation(
    server: Server, federation: TestFederation
) -> None:
    joined(server)
    to_aggregate(server, federation)
    for member in MEMBERS:
        effects = server.receive(AggregateFetched(member, 1, last=True))
    assert effects == (Discard(1), StopTimer(Timer.ROUND), Announce(FederationClosed()))
    assert [server.receive(MemberFinished(member)) for member in MEMBERS] == [(), (), (End(None),)]


@pytest.mark.parametrize("ending", [("client-2",), ("client-1", "client-3")])
def test_members_that_disagree_on_the_end_fail_the_federation_whoever_is_the_last(
    server: Server, federation: TestFederation, ending: tuple[str, ...]
) -> None:
    joined(server)
    to_aggregate(server, federation)
    for member in MEMBERS:
        effects = server.receive(AggregateFetched(member, 1, last=member in ending))
    assert server.state.phase is ServerPhase.FAILED
    assert isinstance(effects[-1], End)
    assert f"after round 1 only {', '.join(ending)} did" in str(effects[-1].error)


def test_the_word_of_the_last_round_counts_for_that_round_alone(
    server: Server, federation: TestFederation
) -> None:
    joined(server)
    to_aggregate(server, federation)
    for member in MEMBERS:
        server.receive(AggregateFetched(member, 1))
    server.receive(AggregateFetched("client-1", 1, last=True))
    assert server.state.ending == frozenset()


def test_a_confirmation_repeated_in_the_next_round_changes_nothing(
    server: Server, federation: TestFederation
) -> None:
    joined(server)
    to_aggregate(server, federation)
    for member in MEMBERS:
        server.receive(AggregateFetched(member, 1))
    assert server.receive(AggregateFetched("client-1", 1)) == ()
    assert server.state.phase is ServerPhase.CONTRIBUTE


def test_a_lost_member_ends_the_run_with_its_name_and_last_words(server: Server) -> None:
    joined(server)
    announce, end = server.receive(MemberGone("client-2", "out of memory"))
    assert announce == Announce(FederationFailed("client-2", "out of memory"))
    assert isinstance(end, End)
    assert isinstance(end.error, MemberLost)
    assert str(end.error) == "client-2 left the federation: out of memory."


def test_a_member_that_finished_may_go(server: Server, federation: TestFederation) -> None:
    joined(server)
    for number in (1, 2):
        to_aggregate(server, federation)
        for member in MEMBERS:
            server.receive(AggregateFetched(member, number))
    server.receive(MemberFinished("client-1"))
    assert server.receive(MemberGone("client-1", "")) == ()


@pytest.mark.parametrize(
    ("timer", "words"), [(Timer.JOIN, "client-3 did not join within 5 s"), (Timer.ROUND, "")]
)
def test_a_timer_that_runs_out_names_who_is_missing(server: Server, timer: Timer, words: str) -> None:
    server.receive(MemberJoined("client-1"))
    server.receive(MemberJoined("client-2"))
    if timer is Timer.ROUND:
        server.receive(MemberJoined("client-3"))
        words = "client-1, client-2, client-3 did not complete round 1 within 9 s"
    end = server.receive(TimedOut(timer))[-1]
    assert isinstance(end, End)
    assert words in str(end.error)


def test_a_stopped_server_tells_the_members_why(server: Server) -> None:
    joined(server)
    announce, end = server.receive(Stopped("maintenance"))
    assert announce == Announce(FederationFailed("", "the server was stopped: maintenance"))
    assert isinstance(end, End)
    assert isinstance(end.error, RunError)


def test_no_contribution_is_taken_before_a_round_is_open(server: Server, federation: TestFederation) -> None:
    made = contribution(federation, "client-1", Manifest(federation.federation.digest, 1, MEMBERS))
    with pytest.raises(ProtocolError, match="no round is open"):
        server.check_contribution(made.signed, made.seeds)


def test_a_contribution_that_comes_after_a_loss_is_refused_with_who_was_lost(
    server: Server, federation: TestFederation
) -> None:
    joined(server)
    made = contribution(federation, "client-1", server.state.manifest)
    server.receive(MemberGone("client-2", "out of memory"))
    with pytest.raises(ProtocolError, match="client-2 left the federation: out of memory"):
        server.check_contribution(made.signed, made.seeds)


def test_a_contribution_that_comes_after_a_stop_is_refused_with_the_reason(
    server: Server, federation: TestFederation
) -> None:
    joined(server)
    made = contribution(federation, "client-1", server.state.manifest)
    server.receive(Stopped("maintenance"))
    with pytest.raises(ProtocolError, match="the server was stopped: maintenance"):
        server.check_contribution(made.signed, made.seeds)


def test_a_second_contribution_of_a_member_is_refused(server: Server, federation: TestFederation) -> None:
    joined(server)
    made = contribution(federation, "client-1", server.state.manifest)
    server.receive(ContributionAccepted(made.signed, made.seeds))
    with pytest.raises(ProtocolError, match="already"):
        server.receive(ContributionAccepted(made.signed, made.seeds))


def test_a_contribution_for_another_round_is_refused(server: Server, federation: TestFederation) -> None:
    joined(server)
    made = contribution(federation, "client-1", dataclasses.replace(server.state.manifest, round_number=2))
    with pytest.raises(ProtocolError, match="not for the open round 1"):
        server.check_contribution(made.signed, made.seeds)


def test_a_contribution_to_another_federation_is_refused(server: Server, federation: TestFederation) -> None:
    joined(server)
    made = contribution(
        federation, "client-1", dataclasses.replace(server.state.manifest, federation_digest=bytes(32))
    )
    with pytest.raises(ProtocolError, match="same federation file"):
        server.check_contribution(made.signed, made.seeds)


def test_a_contribution_signed_by_another_member_is_refused(
    server: Server, federation: TestFederation
) -> None:
    joined(server)
    made = contribution(federation, "client-1", server.state.manifest)
    header = dataclasses.replace(made.signed.header, member="client-2")
    with pytest.raises(AuthenticationError):
        server.check_contribution(SignedHeader(header, made.signed.signature), made.seeds)


def test_a_stranger_cannot_join(server: Server) -> None:
    with pytest.raises(AuthenticationError, match="not in the roster"):
        server.receive(MemberJoined("client-9"))


def test_a_refused_event_leaves_the_state_as_it_was(server: Server) -> None:
    with pytest.raises(ProtocolError):
        server.receive(SumSaved())
    assert server.state.phase is ServerPhase.GATHER
