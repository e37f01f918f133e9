"""A member's rounds, step by step: what it promises, what it refuses, and what it repeats."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.agreements import Members, digest
from support.fake_rounds import FakeServer, Station, expected_sum

from securefl.crypto.framing import framed
from securefl.crypto.sealed_reasons import open_reason
from securefl.errors import AuthenticationError, MemberLost, ProtocolError, RunError
from securefl.ledger.charges import charged
from securefl.ledger.events import RoundContributed, RoundReserved, RoundSpoiled, RoundVoided
from securefl.protocol.agreement.signed import sign
from securefl.protocol.agreement.statement import SpoiledVote, SurvivorsVote, VoidVote
from securefl.protocol.calls import (
    Abstention,
    Acknowledge,
    AggregateReady,
    CastVote,
    Certified,
    CohortClosed,
    CommitAsked,
    Confirm,
    FederationClosed,
    FederationFailed,
    FetchAggregate,
    FetchCohort,
    FetchPackets,
    Leave,
    SendAdvert,
    SendReveal,
    SpoiledAsked,
    VoidAsked,
)
from securefl_client.round_work import Upload

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


def test_every_member_ends_with_the_exact_sums_of_all(server: FakeServer) -> None:
    server.whole_run()
    assert server.left == set(server.members.roster)
    for number in (1, 2):
        check_sums(server, server.members.roster, round_number=number)
    for station in server.stations.values():
        assert station.work.finished
        assert charged(station.ledger.events) == {(1, 1), (2, 1)}


# --- stopped anywhere


def test_a_member_that_is_stopped_after_any_persisted_step_goes_on_without_a_second_promise(
    tmp_path: Path,
) -> None:
    members = Members(3, 3)
    steps = FakeServer(members, tmp_path / "whole")
    steps.whole_run()
    names = steps.stations[VICTIM].steps
    assert {"advert-signed", "body-kept", "head-kept", "contribution-staged", "vote-signed"} <= set(names)
    for place in range(1, len(names)):
        server = FakeServer(members, tmp_path / str(place))
        victim = server.stations[VICTIM]
        victim.stop_after = lambda taken, last=place + 1: len(taken) == last
        server.whole_run()
        assert victim.steps[: place + 1] == names[: place + 1]
        check_sums(server, members.roster, round_number=1)
        check_sums(server, members.roster, round_number=2)
        assert victim.state.finished
        assert charged(victim.ledger.events) == {(1, 1), (2, 1)}


@pytest.mark.parametrize("moment", ["stop_before_sending", "stop_before_answer"])
@pytest.mark.parametrize(
    "kind",
    [SendAdvert, Upload, FetchPackets, Acknowledge, CastVote, SendReveal, FetchAggregate, Confirm, Leave],
)
def test_a_request_or_an_answer_that_is_lost_is_made_good_after_a_restart(
    tmp_path: Path, moment: str, kind: type
) -> None:
    server = FakeServer(Members(3, 3), tmp_path)
    victim, stopped = server.stations[VICTIM], []

    def once(request: object) -> bool:
        if isinstance(request, kind) and not stopped:
            stopped.append(request)
            return True
        return False

    setattr(victim, moment, once)
    server.whole_run()
    assert stopped
    check_sums(server, server.members.roster, round_number=2)
    assert server.left == set(server.members.roster)


def test_training_is_done_once_whatever_is_lost_and_however_many_attempts_there_are(
    losing: FakeServer,
) -> None:
    losing.to_commit()
    losing.void()
    losing.stations[VICTIM].start()
    losing.finish_round(losing.to_certificate())
    # After a restart the integers come from the disk.
    assert losing.stations[VICTIM].work.trained_rounds == []
    check_sums(losing, losing.members.roster)


def test_an_outbox_that_a_crash_left_incomplete_is_made_anew_under_a_new_key(losing: FakeServer) -> None:
    victim = losing.stations[VICTIM]
    victim.stop_after = lambda taken: taken[-1] == "head-kept" and taken.count("head-kept") == 1
    losing.to_commit()
    bodies = [request.head.body_digest for request in victim.sent if isinstance(request, Upload)]
    assert victim.steps.count("body-kept") == 2
    assert len(bodies) == 1


def test_a_complete_outbox_is_sent_again_byte_for_byte(losing: FakeServer) -> None:
    losing.open()
    losing.close_cohort()
    victim = losing.stations[VICTIM]
    victim.start()
    losing.tell(losing.closing, VICTIM)
    first, second = [request for request in victim.sent if isinstance(request, Upload)]
    assert first.head == second.head
    assert victim.steps.count("body-kept") == 1


# --- members that vanish


def test_a_member_that_vanishes_before_its_header_is_left_out_of_the_exact_sum(losing: FakeServer) -> None:
    losing.open()
    losing.close_cohort()
    others = tuple(member for member in losing.members.roster if member != VICTIM)
    losing.tell(losing.asking, *others)
    proposal = losing.proposal(others)
    losing.tell(proposal, *others)
    losing.finish_round(proposal, *others)
    losing.tell(AggregateReady(1, 5), VICTIM)
    check_sums(losing, others)
    assert charged(losing.stations[VICTIM].ledger.events) == frozenset()
    assert charged(losing.stations["client-1"].ledger.events) == {(1, 1)}


def test_a_member_that_sent_its_header_and_is_left_out_is_refunded(losing: FakeServer) -> None:
    losing.to_commit()
    others = tuple(member for member in losing.members.roster if member != VICTIM)
    proposal = losing.proposal(others)
    losing.tell(proposal)
    losing.finish_round(proposal)
    check_sums(losing, others)
    assert charged(losing.stations[VICTIM].ledger.events) == frozenset()


def test_a_member_outside_the_cohort_applies_the_same_sum(losing: FakeServer) -> None:
    others = tuple(member for member in losing.members.roster if member != VICTIM)
    losing.finish_round(losing.to_certificate(*others))
    check_sums(losing, others)
    assert losing.stations[VICTIM].work.chain == losing.stations["client-1"].work.chain


def test_a_member_that_was_away_for_a_whole_round_applies_it_before_it_adverts(losing: FakeServer) -> None:
    others = tuple(member for member in losing.members.roster if member != VICTIM)
    losing.finish_round(losing.to_certificate(*others), *others)
    losing.open()
    kinds = [type(request) for request in losing.stations[VICTIM].sent]
    assert kinds == [FetchAggregate, Confirm, SendAdvert]
    losing.close_cohort()
    losing.tell(losing.asking)
    proposal = losing.proposal()
    losing.tell(proposal)
    losing.finish_round(proposal)
    check_sums(losing, losing.members.roster, round_number=2)


def test_a_member_that_was_away_for_the_last_rounds_applies_them_before_it_leaves(losing: FakeServer) -> None:
    others = tuple(member for member in losing.members.roster if member != VICTIM)
    for _ in range(2):
        losing.finish_round(losing.to_certificate(*others), *others)
    losing.tell(FederationClosed())
    assert losing.left == set(losing.members.roster)
    check_sums(losing, others, round_number=2)


def test_a_member_whose_voided_attempt_and_next_round_passed_it_by_sees_them_settled(
    losing: FakeServer,
) -> None:
    losing.to_commit()
    others = tuple(member for member in losing.members.roster if member != VICTIM)
    losing.void(*others)
    losing.finish_round(losing.to_certificate(*others), *others)
    losing.open()
    assert losing.stations[VICTIM].state.applied == 1
    assert charged(losing.stations[VICTIM].ledger.events) == frozenset()


# --- VOID


def test_after_a_void_another_attempt_ends_with_the_exact_sum(losing: FakeServer) -> None:
    losing.to_commit()
    first = dict(losing.headers)
    losing.void()
    losing.finish_round(losing.to_certificate())
    check_sums(losing, losing.members.roster)
    assert all(first[member] != losing.headers[member] for member in losing.headers)
    events = losing.stations[VICTIM].ledger.events
    assert RoundVoided(1, 1) in events
    assert charged(events) == {(1, 2)}


def test_nobody_adverts_again_before_its_contribution_is_settled(losing: FakeServer) -> None:
    losing.to_commit()
    with pytest.raises(ProtocolError, match="attempt 1 is not settled"):
        losing.open()


def test_a_member_that_sent_no_header_may_go_on_without_a_settlement(losing: FakeServer) -> None:
    losing.open()
    losing.close_cohort()
    losing.open()
    assert set(losing.adverts) == set(losing.members.roster)


def test_who_voted_for_survivors_does_not_vote_void(losing: FakeServer) -> None:
    losing.to_certificate()
    (cast,) = losing.tell_one(VoidAsked(losing.cohort.digest), VICTIM)
    assert isinstance(cast, CastVote)
    assert isinstance(cast.vote.body, SurvivorsVote)  # type: ignore[union-attr]


def test_who_voted_void_does_not_vote_for_survivors(losing: FakeServer) -> None:
    losing.to_commit()
    losing.tell(VoidAsked(losing.cohort.digest), VICTIM)
    losing.stations[VICTIM].start()
    (cast,) = losing.tell_one(losing.proposal(), VICTIM)
    assert isinstance(cast, CastVote)
    assert isinstance(cast.vote.body, VoidVote)  # type: ignore[union-attr]


# --- votes and reveals


def test_a_vote_is_repeated_and_never_given_to_another_statement(losing: FakeServer) -> None:
    losing.to_certificate()
    others = losing.proposal(losing.cohort.members[1:])
    (first,) = losing.tell_one(losing.proposal(), VICTIM)
    (second,) = losing.tell_one(others, VICTIM)
    assert first == second
    assert second.vote.body.statement_digest != others.statement.digest  # type: ignore[union-attr]


def test_a_member_that_lacks_a_packet_abstains_and_only_members_read_why(losing: FakeServer) -> None:
    losing.open()
    losing.close_cohort()
    head, body = losing.bodies["client-5"]
    broken = replace(head, packets=tuple(packet and bytes(len(packet)) for packet in head.packets))
    losing.bodies["client-5"] = broken, body
    losing.tell(losing.asking)
    assert losing.opened[VICTIM] == (0, 1, 2, 3, 5)
    (*_, cast) = losing.tell_one(losing.proposal(), VICTIM)
    assert isinstance(cast, CastVote)
    assert isinstance(cast.vote, Abstention)
    attempt = losing.cohort.attempt
    place = framed(*attempt.fields, losing.cohort.digest, VICTIM.encode())
    reason = open_reason(digest("reasons"), cast.vote.sealed_reason, place=place)
    assert reason == "this member holds no share of client-5's key"
    assert b"client-5" not in cast.vote.sealed_reason


def test_a_member_that_abstained_votes_for_what_it_can_check(losing: FakeServer) -> None:
    losing.to_commit()
    few = losing.proposal(losing.cohort.members[:4])
    assert isinstance(losing.tell_one(few, VICTIM)[0].vote, Abstention)  # type: ignore[union-attr]
    vote = losing.tell_one(losing.proposal(), VICTIM)[0].vote  # type: ignore[union-attr]
    assert isinstance(vote.body, SurvivorsVote)


class Refusing:
    """An owner rule that nothing keeps."""

    def check(self, *, survivors: tuple[str, ...], cohort: tuple[str, ...]) -> None:
        raise ProtocolError("too few own it")


def test_survivors_that_own_a_coordinate_in_too_small_a_number_get_no_vote(losing: FakeServer) -> None:
    losing.to_commit()
    losing.stations[VICTIM].work.owner_rule = Refusing()
    assert isinstance(losing.tell_one(losing.proposal(), VICTIM)[0].vote, Abstention)  # type: ignore[union-attr]


def test_a_reveal_is_repeated_with_the_same_bytes_and_made_for_one_statement(losing: FakeServer) -> None:
    proposal = losing.to_certificate()
    certified = Certified(losing.certificate(proposal))
    first = losing.tell_one(certified, VICTIM)
    losing.stations[VICTIM].start()
    assert losing.tell_one(certified, VICTIM) == first
    other = losing.proposal(losing.cohort.members[1:])
    votes = tuple(
        sign(
            SurvivorsVote(losing.cohort.attempt, member, other.statement.digest), losing.members.keys[member]
        )
        for member in losing.cohort.members
    )
    forged = replace(certified.certificate, statement=other.statement, votes=votes)
    with pytest.raises(ProtocolError, match="two certified statements"):
        losing.tell_one(Certified(forged), VICTIM)


@pytest.mark.parametrize("votes", [0, 4])
def test_nothing_is_revealed_for_fewer_than_t_votes(losing: FakeServer, votes: int) -> None:
    proposal = losing.to_certificate()
    certificate = losing.certificate(proposal)
    few = replace(certificate, votes=certificate.votes[:votes])
    with pytest.raises(AuthenticationError, match="5 are needed"):
        losing.tell_one(Certified(few), VICTIM)


def test_who_did_not_vote_helps_to_reveal(losing: FakeServer) -> None:
    losing.to_commit()
    proposal = losing.proposal()
    losing.tell(proposal, *(member for member in losing.members.roster if member != VICTIM))
    (sent,) = losing.tell_one(Certified(losing.certificate(proposal)), VICTIM)
    assert isinstance(sent, SendReveal)


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


# --- order of what is written


def _order(station: Station) -> list[str]:
    return [step for step in station.steps if step != "file-kept"]


def test_promises_are_written_in_the_order_of_a_round(losing: FakeServer) -> None:
    losing.finish_round(losing.to_certificate())
    assert _order(losing.stations[VICTIM]) == [
        "journal-begun",
        "advert-signed",
        "update-kept",
        "cohort-accepted",
        "body-kept",
        "head-kept",
        "contribution-staged",
        "packets-kept",
        "header-committed",
        "vote-signed",
        "reveal-signed",
        "sum-applied",
    ]


def test_the_charge_is_written_before_the_header_leaves(losing: FakeServer) -> None:
    victim = losing.stations[VICTIM]
    seen: list[Callable[[], bool]] = []

    def watch(request: object) -> bool:
        if isinstance(request, Acknowledge):
            seen.append(any(isinstance(event, RoundContributed) for event in victim.ledger.events))  # type: ignore[arg-type]
        if isinstance(request, Upload):
            assert any(isinstance(event, RoundReserved) for event in victim.ledger.events)
            assert not any(isinstance(event, RoundContributed) for event in victim.ledger.events)
        return False

    victim.stop_before_sending = watch
    losing.to_commit()
    assert seen == [True]


def test_nothing_of_an_attempt_is_left_when_its_sum_is_applied(losing: FakeServer) -> None:
    losing.finish_round(losing.to_certificate())
    left = sorted(path.name for path in losing.stations[VICTIM].folder.iterdir())
    assert left == ["journal.jsonl", "round-1.sums", "round-1.update"]
