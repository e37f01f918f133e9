"""A member's rounds, step by step: what it promises, what it refuses, and what it repeats."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.agreements import Members, digest
from support.fake_members import Station, expected_sum
from support.fake_server import FakeServer

from securefl.crypto.framing import framed
from securefl.crypto.sealed_reasons import open_reason
from securefl.errors import AuthenticationError, ProtocolError
from securefl.ledger.charges import charged
from securefl.ledger.events import RoundContributed, RoundReserved, RoundVoided
from securefl.protocol.agreement.signed import sign
from securefl.protocol.agreement.statement import SurvivorsVote, VoidVote
from securefl.protocol.calls import (
    Abstention,
    Acknowledge,
    AggregateReady,
    CastVote,
    Certified,
    Confirm,
    FederationClosed,
    FetchAggregate,
    FetchPackets,
    Leave,
    SendAdvert,
    SendReveal,
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


def test_a_member_that_has_finished_keeps_neither_shares_nor_keys_of_the_last_round(
    losing: FakeServer,
) -> None:
    losing.whole_run()
    for station in losing.stations.values():
        names = {path.name for path in station.folder.iterdir()}
        assert "outbox" not in names
        assert not any(name.endswith(".packets") for name in names)
        shares = station.session._own.shares
        assert shares is not None
        assert shares._channels.forgotten == station.state.applied + 1  # type: ignore[attr-defined]


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


def break_packets(server: FakeServer) -> None:
    """A round up to its commitments, in which no packet of client-5 opens."""
    server.open()
    server.close_cohort()
    head, body = server.bodies["client-5"]
    broken = replace(head, packets=tuple(packet and bytes(len(packet)) for packet in head.packets))
    server.bodies["client-5"] = broken, body
    server.tell(server.asking)


def test_a_member_that_abstains_tells_its_own_person_why(losing: FakeServer) -> None:
    break_packets(losing)
    losing.tell_one(losing.proposal(), VICTIM)
    assert losing.stations[VICTIM].work.abstained == [(1, "this member holds no share of client-5's key")]


def test_a_member_that_lacks_a_packet_abstains_and_only_members_read_why(losing: FakeServer) -> None:
    break_packets(losing)
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
