"""Sums that cannot be opened, and messages that were lost: what a member makes good, and what it says."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.agreements import Members, digest
from support.fake_members import expected_sum
from support.fake_server import FakeServer

from securefl.errors import AuthenticationError, ProtocolError
from securefl.ledger.charges import charged
from securefl.ledger.events import RoundSpoiled
from securefl.protocol.agreement.signed import sign
from securefl.protocol.agreement.statement import SpoiledVote, SurvivorsVote
from securefl.protocol.calls import (
    Abstention,
    Acknowledge,
    AggregateReady,
    CastVote,
    Certified,
    CohortClosed,
    Confirm,
    FederationClosed,
    FetchAggregate,
    FetchCohort,
    FetchPackets,
    SendReveal,
    SpoiledAsked,
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


def check_sums(server: FakeServer, survivors: tuple[str, ...], *, round_number: int = 1) -> None:
    for station in server.stations.values():
        found = station.work.applied[round_number - 1]
        np.testing.assert_array_equal(found, expected_sum(survivors, round_number))


# --- sums that cannot be opened


def _spoil(server: FakeServer, *spoilers: str) -> AggregateReady:
    """A certified sum whose reveals by some members are wrong."""
    proposal = server.to_certificate()
    certificate = server.certificate(proposal)
    server.tell(Certified(certificate))
    for member in spoilers:
        body = replace(server.reveals[member].body, sealed=bytes(len(server.reveals[member].body.sealed)))
        server.reveals[member] = sign(body, server.members.keys[member])
    return server.publish(proposal, certificate)


def test_a_wrong_reveal_is_tried_around(losing: FakeServer) -> None:
    losing.tell(_spoil(losing, "client-4"))
    check_sums(losing, losing.members.roster)


def test_a_later_reveal_opens_what_the_first_ones_did_not(losing: FakeServer) -> None:
    ready = _spoil(losing, "client-4", "client-5")
    losing.tell(ready)
    assert losing.stations[VICTIM].state.applied == 0
    assert losing.confirmed == {}
    for member in ("client-4", "client-5"):
        del losing.reveals[member]
        losing.tell_one(Certified(losing.heads[1].certificate), member)
    losing.heads[1] = replace(losing.heads[1], reveals=tuple(losing.reveals.values()))
    losing.tell(AggregateReady(1, 6))
    check_sums(losing, losing.members.roster)


def test_a_sum_that_t_members_cannot_open_is_made_again_of_the_same_survivors_only(
    losing: FakeServer,
) -> None:
    losing.tell(_spoil(losing, "client-4", "client-5"))
    proof = losing.spoiled(losing.heads[1].certificate)
    assert len(proof.votes) == 6
    losing.to_commit()
    events = losing.stations[VICTIM].ledger.events
    assert RoundSpoiled(1, 1) in events
    assert charged(events) == {(1, 1), (1, 2)}
    fewer = losing.proposal(losing.cohort.members[1:])
    assert isinstance(losing.tell_one(fewer, VICTIM)[0].vote, Abstention)  # type: ignore[union-attr]
    proposal = losing.proposal()
    losing.tell(proposal)
    losing.finish_round(proposal)
    check_sums(losing, losing.members.roster)


def test_who_had_applied_a_sum_that_the_others_could_not_open_goes_back(losing: FakeServer) -> None:
    ready = _spoil(losing, "client-4", "client-5")
    head = losing.heads[1]
    losing.reveals.clear()
    for member in losing.members.roster:
        losing.tell_one(Certified(head.certificate), member)
    losing.heads[1] = replace(head, reveals=tuple(losing.reveals.values()))
    losing.tell(ready, VICTIM)
    before = losing.stations[VICTIM].work.chain
    losing.heads[1] = head
    losing.tell(ready, *(member for member in losing.members.roster if member != VICTIM))
    losing.spoiled(head.certificate)
    losing.finish_round(losing.to_certificate())
    check_sums(losing, losing.members.roster)
    chains = {station.work.chain for station in losing.stations.values()}
    assert len(chains) == 1
    assert before not in chains


def test_who_can_open_a_sum_does_not_say_that_it_cannot(losing: FakeServer) -> None:
    proposal = losing.to_certificate()
    certificate = losing.certificate(proposal)
    losing.tell(Certified(certificate))
    losing.publish(proposal, certificate)
    sent = losing.tell_one(SpoiledAsked(proposal.statement.digest), VICTIM)
    assert [type(request) for request in sent] == [FetchAggregate, Confirm]


def test_a_member_says_once_that_it_cannot_open_a_sum(losing: FakeServer) -> None:
    losing.tell(_spoil(losing, "client-4", "client-5"))
    asked = SpoiledAsked(losing.heads[1].certificate.statement.digest)
    first = losing.tell_one(asked, VICTIM)[-1]
    losing.stations[VICTIM].start()
    (again,) = losing.tell_one(asked, VICTIM)
    assert first == again
    assert isinstance(again.vote.body, SpoiledVote)  # type: ignore[union-attr]


# --- what was lost on the way


def test_a_member_whose_contribution_the_server_does_not_hold_lets_no_header_go(losing: FakeServer) -> None:
    losing.open()
    losing.close_cohort()
    del losing.bodies[VICTIM]
    (*_, sent) = losing.tell_one(losing.asking, VICTIM)
    assert isinstance(sent, Acknowledge)
    assert sent.header is None
    assert sent.opened == (0, 2, 3, 4, 5)
    assert losing.stations[VICTIM].state.committed == {}
    assert charged(losing.stations[VICTIM].ledger.events) == frozenset()


def test_a_member_that_missed_the_closing_of_its_cohort_learns_it_and_helps(losing: FakeServer) -> None:
    losing.open()
    others = tuple(member for member in losing.members.roster if member != VICTIM)
    losing.close_cohort(*others)
    losing.tell(losing.asking, *others)
    proposal = losing.proposal(others)
    losing.tell(proposal, *others)
    sent = losing.tell_one(proposal, VICTIM)
    assert [type(request) for request in sent] == [FetchCohort, FetchPackets, CastVote]
    assert isinstance(sent[-1].vote.body, SurvivorsVote)  # type: ignore[union-attr]
    losing.stations[VICTIM].start()
    (reveal,) = losing.tell_one(Certified(losing.certificate(proposal)), VICTIM)
    assert isinstance(reveal, SendReveal)


def test_a_member_that_missed_the_closing_votes_void(losing: FakeServer) -> None:
    losing.open()
    losing.close_cohort(*(member for member in losing.members.roster if member != VICTIM))
    sent = losing.tell_one(VoidAsked(losing.cohort.digest), VICTIM)
    assert [type(request) for request in sent] == [FetchCohort, CastVote]


def test_a_member_that_adverted_too_late_asks_and_lets_it_be(losing: FakeServer) -> None:
    losing.open()
    del losing.adverts[VICTIM]
    losing.close_cohort()
    losing.tell(losing.asking, *losing.cohort.members)
    for announcement in (losing.asking, losing.proposal(), VoidAsked(losing.cohort.digest)):
        assert [type(request) for request in losing.tell_one(announcement, VICTIM)] == [FetchCohort]


def test_a_cohort_of_lies_is_refused_by_who_missed_its_closing(losing: FakeServer) -> None:
    losing.open()
    whole = losing.close_cohort(*(member for member in losing.members.roster if member != VICTIM))
    own = whole.adverts[1]
    forged = sign(replace(own.body, nonce=digest("other")), losing.members.keys[VICTIM])
    losing.cohort = replace(whole, adverts=(whole.adverts[0], forged, *whole.adverts[2:]))
    with pytest.raises(AuthenticationError, match="another advert of this member"):
        losing.tell_one(losing.asking, VICTIM)


def test_packets_of_survivors_that_came_late_are_fetched_before_the_vote(losing: FakeServer) -> None:
    losing.open()
    losing.close_cohort()
    late = losing.bodies.pop("client-5")
    losing.tell(losing.asking, VICTIM)
    losing.bodies["client-5"] = late
    losing.tell(losing.asking, *(member for member in losing.members.roster if member != VICTIM))
    sent = losing.tell_one(losing.proposal(), VICTIM)
    assert [type(request) for request in sent] == [FetchPackets, CastVote]
    assert isinstance(sent[-1].vote.body, SurvivorsVote)  # type: ignore[union-attr]


@pytest.mark.parametrize("heard", ["next", "spoiled", "closed", "ready"])
def test_a_confirmation_that_a_crash_swallowed_is_made_good(tmp_path: Path, heard: str) -> None:
    rounds = 1 if heard == "closed" else 2
    server = FakeServer(Members(3, 3), tmp_path, rounds=rounds)
    server.finish_round(server.to_certificate())
    victim = server.stations[VICTIM]
    victim.start()
    del server.confirmed[VICTIM]
    if heard == "next":
        server.open()
    else:
        digest_of_sum = victim.state.sums[-1].statement_digest
        told = {
            "spoiled": SpoiledAsked(digest_of_sum),
            "closed": FederationClosed(),
            "ready": AggregateReady(1, 3),
        }
        server.tell_one(told[heard], VICTIM)
    assert server.confirmed[VICTIM] == 1


@pytest.mark.parametrize("past", [True, False])
def test_a_refusal_ends_a_member_only_where_the_newest_announcement_asked(
    losing: FakeServer, past: bool
) -> None:
    losing.to_commit()
    victim = losing.stations[VICTIM]
    victim.is_past = past

    def refuse(request: object) -> object:
        raise ProtocolError("the attempt is over")

    if past:
        assert [type(request) for request in victim.hear(losing.proposal(), refuse)] == [CastVote]  # type: ignore[arg-type]
        assert victim.state.vote is not None
    else:
        with pytest.raises(ProtocolError, match="the attempt is over"):
            victim.hear(losing.proposal(), refuse)  # type: ignore[arg-type]


def test_what_a_member_itself_refuses_ends_it_though_the_announcement_is_past(losing: FakeServer) -> None:
    losing.open()
    whole = losing.close_cohort()
    losing.stations[VICTIM].is_past = True
    with pytest.raises(ProtocolError, match="two cohorts"):
        losing.tell_one(CohortClosed(replace(whole, adverts=whole.adverts[:5])), VICTIM)
