"""A server that lies to a member: refused, and nothing is promised."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from support.agreements import Members, digest
from support.fake_server import FakeServer

from securefl.errors import AuthenticationError, MemberLost, ProtocolError, RunError
from securefl.protocol.agreement.signed import sign
from securefl.protocol.agreement.statement import SurvivorsVote
from securefl.protocol.calls import (
    Abstention,
    AggregateReady,
    CastVote,
    Certified,
    CohortClosed,
    CommitAsked,
    FederationClosed,
    FederationFailed,
    VoidAsked,
)

VICTIM = "client-2"


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash is a dropped session here, not a loss of power: what is synced is held by ``test_journal``."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(params=[False, True], ids=["none", "kahe"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> FakeServer:
    """Four members, all of whom a cohort needs; t = 3."""
    return FakeServer(Members(4, 4, packets=request.param), tmp_path)


@pytest.fixture
def losing(tmp_path: Path) -> FakeServer:
    """Six members with shares of keys; a cohort may lack one; t(6) = 5, t(5) = 4, c_max = 2."""
    return FakeServer(Members(6, 5), tmp_path)


def _spoil(server: FakeServer, *spoilers: str) -> AggregateReady:
    """A certified sum whose reveals by some members are wrong."""
    proposal = server.to_certificate()
    certificate = server.certificate(proposal)
    server.tell(Certified(certificate))
    for member in spoilers:
        body = replace(server.reveals[member].body, sealed=bytes(len(server.reveals[member].body.sealed)))
        server.reveals[member] = sign(body, server.members.keys[member])
    return server.publish(proposal, certificate)


# --- a server that lies


def test_a_second_cohort_of_one_attempt_is_refused(losing: FakeServer) -> None:
    losing.open()
    whole = losing.close_cohort()
    with pytest.raises(ProtocolError, match="two cohorts"):
        losing.tell_one(CohortClosed(replace(whole, adverts=whole.adverts[:5])), VICTIM)


def test_a_second_manifest_of_one_attempt_is_refused(losing: FakeServer) -> None:
    losing.open()
    opened = losing.opening
    fewer = replace(opened.manifest, invited=opened.manifest.invited[:5])
    with pytest.raises(ProtocolError, match="opened attempt 1 of round 1 after attempt 1"):
        losing.tell_one(replace(opened, manifest=fewer), VICTIM)


@pytest.mark.parametrize("number", [0, 3])
def test_a_round_that_does_not_follow_is_refused(losing: FakeServer, number: int) -> None:
    losing.open()
    manifest = replace(losing.manifest, attempt=losing.members.attempt(1, number))
    with pytest.raises(ProtocolError, match="the server opened round"):
        losing.tell_one(replace(losing.opening, manifest=manifest), VICTIM)


def test_a_sum_of_other_bytes_than_the_certified_ones_is_refused(server: FakeServer) -> None:
    proposal = server.to_certificate()
    certificate = server.certificate(proposal)
    server.tell(Certified(certificate))
    ready = server.publish(proposal, certificate)
    server.totals[1] = bytes([server.totals[1][0] ^ 1]) + server.totals[1][1:]
    with pytest.raises(AuthenticationError, match="not those that were certified"):
        server.tell_one(ready, VICTIM)
    assert server.stations[VICTIM].state.applied == 0


def test_a_sum_without_the_spoiled_survivors_is_refused_though_it_is_certified(losing: FakeServer) -> None:
    losing.tell(_spoil(losing, "client-4", "client-5"))
    losing.spoiled(losing.heads[1].certificate)
    losing.to_commit()
    proposal = losing.proposal(losing.cohort.members[1:])
    for member in losing.members.roster:
        vote = SurvivorsVote(losing.cohort.attempt, member, proposal.statement.digest)
        losing.votes[member, vote.KIND] = sign(vote, losing.members.keys[member])
    ready = losing.publish(proposal, losing.certificate(proposal))
    with pytest.raises(ProtocolError, match="could not be opened"):
        losing.tell_one(ready, VICTIM)


def test_an_announcement_of_another_attempt_is_no_matter_of_this_member(losing: FakeServer) -> None:
    losing.to_commit()
    assert losing.tell_one(CommitAsked(digest("other"), (0,)), VICTIM) == []
    assert losing.tell_one(VoidAsked(digest("other")), VICTIM) == []


def test_survivors_of_places_that_no_cohort_has_are_not_voted_for_whatever_packets_come_of_them(
    losing: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    losing.to_commit()
    proposal = losing.proposal()
    *listed, last = proposal.statement.survivors
    beyond = replace(proposal.statement, survivors=(*listed, replace(last, index=999)))
    (packet, *_) = losing._packets_to(VICTIM)
    monkeypatch.setattr(losing, "_packets_to", lambda member: iter([(999, *packet[1:])]))
    (cast,) = losing.tell_one(replace(proposal, statement=beyond), VICTIM)
    assert isinstance(cast, CastVote)
    assert isinstance(cast.vote, Abstention)


def test_a_server_that_closes_too_early_cannot_end_the_run(losing: FakeServer) -> None:
    losing.finish_round(losing.to_certificate())
    with pytest.raises(KeyError):
        losing.tell_one(FederationClosed(), VICTIM)
    assert not losing.stations[VICTIM].state.finished


@pytest.mark.parametrize(("member", "kind"), [("client-3", MemberLost), ("", RunError)])
def test_a_failed_federation_ends_a_member_with_the_reason(
    losing: FakeServer, member: str, kind: type
) -> None:
    with pytest.raises(kind, match=member or "the server ended the run"):
        losing.tell_one(FederationFailed(member, "gone"), VICTIM)


def test_after_early_stopping_no_round_is_opened_and_the_member_finishes(tmp_path: Path) -> None:
    server = FakeServer(Members(3, 3), tmp_path, ends_with=1)
    server.finish_round(server.to_certificate())
    with pytest.raises(ProtocolError, match="round 1 ended the federation"):
        server.open()
    server.tell(FederationClosed())
    assert server.left == set(server.members.roster)
