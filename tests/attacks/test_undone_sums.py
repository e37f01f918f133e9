"""Attack 24 by way back: a kept proof of SPOILED takes everybody to before a contribution whose sum was opened.

The server withholds the reveals of round 1 until t members have signed that they cannot open its sum, then shows them:
everybody applies it and contributes to round 2, whose sum the server opens with one member's help. With the kept proof
it has round 1 repeated; the contribution to round 2 would be forgotten with the sum, not settled, and made again for U
less one. A sum is undone only while nothing rests on it; without that rule the update is recovered, as the control
shows.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.agreements import Members, digest
from support.fake_members import expected_sum, integers
from support.fake_server import FakeServer

from securefl.errors import ProtocolError, StateError
from securefl.protocol import member_session
from securefl.protocol.calls import AggregateReady, Certified, FederationClosed, RoundOpened, SettledAttempt
from securefl.protocol.member_records import AdvertSigned, KeysRotated, SumUndone
from securefl.protocol.member_session import MemberState, may_go_back, unsettled
from securefl_client import contributing

VICTIM = "client-6"
ALLY = "client-1"


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here loses power: what is synced is held by ``test_journal``."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    """Six members with shares of keys; a cohort may lack one; t(6) = 5."""
    return FakeServer(Members(6, 5), tmp_path)


def states(server: FakeServer) -> dict[str, MemberState]:
    return {member: station.state for member, station in server.stations.items()}


def apply_with_a_kept_proof(server: FakeServer) -> tuple[SettledAttempt, ...]:
    """A round that everybody applies, and a proof that t of them could not open its sum before they saw the reveals."""
    proposal = server.to_certificate()
    certificate = server.certificate(proposal)
    server.tell(Certified(certificate), *server.cohort.members)
    server.publish(proposal, certificate)
    number = server.round_number
    whole, before = server.heads[number], server.settled
    server.heads[number] = replace(whole, reveals=whole.reveals[:1])
    server.spoiled(certificate)
    proof, server.settled = server.settled, before
    server.heads[number] = whole
    server.tell(AggregateReady(number, len(whole.reveals)))
    server.round_number, server.number, server.settled = number + 1, 0, ()
    assert {state.applied for state in states(server).values()} == {number}
    return proof


def take_back(server: FakeServer, number: int, proof: tuple[SettledAttempt, ...], *to: str) -> None:
    """Open the next attempt of a round that was applied."""
    server.round_number, server.settled = number, proof
    server.number = max(each.cohort.attempt.number for each in proof)
    server.open(*to)


def repeat(server: FakeServer) -> None:
    """The open attempt, to its end."""
    server.close_cohort()
    server.tell(server.asking, *server.cohort.members)
    proposal = server.proposal()
    server.tell(proposal, *server.cohort.members)
    server.finish_round(proposal)


def opened_sum(server: FakeServer, survivors: tuple[str, ...]) -> np.ndarray:
    """What the server opens with one member's help, of a sum whose reveals it shows to nobody else."""
    proposal = server.proposal(survivors)
    server.tell(proposal, *server.cohort.members)
    certificate = server.certificate(proposal)
    server.tell(Certified(certificate), *server.cohort.members)
    server.publish(proposal, certificate)
    number = server.round_number
    head, body, station = server.heads[number], server.totals[number], server.stations[ALLY]
    shares = station.session._own.shares
    assert shares is not None
    return station.work.decrypt(head, body, key_sum=next(iter(shares.sums_of_keys(head))))


def go_on(server: FakeServer, step: str) -> None:
    """Round 2, up to what members have let go in it."""
    if step == "advert":
        server.open()
    elif step == "header":
        server.to_commit()
    elif step == "vote":
        server.to_certificate()
    else:
        server.to_commit()
        opened_sum(server, server.members.roster)


@pytest.mark.parametrize("step", ["advert", "header", "vote", "reveal"])
def test_nobody_goes_back_past_what_it_let_go(server: FakeServer, step: str) -> None:
    proof = apply_with_a_kept_proof(server)
    go_on(server, step)
    before = states(server)
    for member in server.members.roster:
        with pytest.raises(ProtocolError, match="takes round 1 back, and this member has gone on"):
            take_back(server, 1, proof, member)
    assert states(server) == before
    assert step == "advert" or all(unsettled(state) for state in before.values())


def test_a_restart_is_no_way_back(server: FakeServer) -> None:
    proof = apply_with_a_kept_proof(server)
    go_on(server, "reveal")
    for member, station in server.stations.items():
        station.start()
        with pytest.raises(ProtocolError, match="takes round 1 back"):
            take_back(server, 1, proof, member)


def test_two_sums_are_not_undone_one_after_the_other(server: FakeServer) -> None:
    first = apply_with_a_kept_proof(server)
    second = apply_with_a_kept_proof(server)
    take_back(server, 2, second)
    assert {state.applied for state in states(server).values()} == {1}
    for member in server.members.roster:
        with pytest.raises(ProtocolError, match="takes round 1 back"):
            take_back(server, 1, first, member)
    take_back(server, 2, second)
    repeat(server)
    for station in server.stations.values():
        for number in (1, 2):
            np.testing.assert_array_equal(
                station.work.applied[number - 1], expected_sum(server.members.roster, number)
            )


def test_a_proof_is_good_for_one_sum(server: FakeServer) -> None:
    proof = apply_with_a_kept_proof(server)
    take_back(server, 1, proof)
    repeat(server)
    for member in server.members.roster:
        with pytest.raises(ProtocolError, match="attempt 2 is not settled"):
            take_back(server, 1, proof, member)


def test_a_member_whose_keys_changed_does_not_go_back(server: FakeServer) -> None:
    """Its ratchet stands past the round: it could not make the sum again."""
    server.settled = apply_with_a_kept_proof(server)
    state = states(server)[VICTIM]
    assert may_go_back(state)
    rotated = member_session.recall(state, KeysRotated(2))
    attempt = replace(server.members.attempt(2, 1), key_epoch=2)
    opened = RoundOpened(replace(server.manifest, attempt=attempt), server.settled)
    with pytest.raises(ProtocolError, match="takes round 1 back"):
        member_session.asked(rotated, opened, rounds=3)
    with pytest.raises(ProtocolError, match="does not follow"):
        member_session.recall(rotated, SumUndone(1))


def test_a_member_that_has_done_its_part_does_not_go_back(tmp_path: Path) -> None:
    server = FakeServer(Members(6, 5), tmp_path, rounds=1)
    proof = apply_with_a_kept_proof(server)
    server.tell(FederationClosed())
    with pytest.raises(ProtocolError, match="takes round 1 back"):
        take_back(server, 1, proof)
    assert all(state.finished for state in states(server).values())


def test_no_journal_says_that_a_sum_was_undone_with_what_rested_on_it(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_with_a_kept_proof(server)
    go_on(server, "header")
    station = server.stations[VICTIM]
    assert station.journal is not None
    with pytest.raises(ProtocolError, match="does not follow"):
        station.journal.add(SumUndone(1))
    with monkeypatch.context() as patched:
        patched.setattr(member_session, "may_go_back", lambda state: True)
        station.journal.add(SumUndone(1))
    with pytest.raises(StateError, match="altered or damaged"):
        station.start()


def test_no_journal_has_an_attempt_that_comes_before_another(server: FakeServer) -> None:
    apply_with_a_kept_proof(server)
    server.to_commit()
    state = states(server)[VICTIM]
    signed = state.advert
    assert signed is not None
    advert = AdvertSigned(2, 1, server.members.roster, bytes(32), bytes(32), bytes(32), signed.signature)
    with pytest.raises(ProtocolError, match="does not follow"):
        member_session.recall(state, advert)
    with pytest.raises(ProtocolError, match="does not follow"):
        member_session.recall(replace(state, applied=0), replace(advert, round_number=1, number=2))
    assert member_session.recall(state, replace(advert, number=2)).newest == (1, 2, 2)


def test_no_journal_has_a_sum_beside_an_open_contribution_to_another_attempt(server: FakeServer) -> None:
    server.to_commit()
    state = states(server)[VICTIM]
    (own,) = unsettled(state).values()
    proposal = server.proposal()
    server.tell(proposal)
    server.finish_round(proposal)
    applied = states(server)[VICTIM].sums[-1]
    assert (applied.number, applied.cohort_digest) == (1, own)
    assert member_session.recall(state, applied).applied == 1
    for other in (replace(applied, number=2), replace(applied, cohort_digest=digest("other"))):
        with pytest.raises(ProtocolError, match="does not follow"):
            member_session.recall(state, other)


# --- who has to go back still does


def test_who_was_away_goes_back_when_it_returns(server: FakeServer) -> None:
    """The others give up an attempt without it, since there is no sum but over the same survivors."""
    proof = apply_with_a_kept_proof(server)
    others = tuple(member for member in server.members.roster if member != VICTIM)
    take_back(server, 1, proof, *others)
    server.close_cohort()
    assert len(server.void(*others).votes) == len(others)
    server.stations[VICTIM].start()
    server.open()
    repeat(server)
    server.open()
    repeat(server)
    for station in server.stations.values():
        for number in (1, 2):
            np.testing.assert_array_equal(
                station.work.applied[number - 1], expected_sum(server.members.roster, number)
            )


@pytest.mark.parametrize("step", ["sum-undone", "attempt-settled", "advert-signed"])
def test_a_member_that_stops_on_its_way_back_goes_on_from_there(server: FakeServer, step: str) -> None:
    proof = apply_with_a_kept_proof(server)
    victim = server.stations[VICTIM]
    seen: list[bool] = []

    def once(steps: list[str]) -> bool:
        stops = not seen and steps[-1] == step
        seen.extend([True] * stops)
        return stops

    victim.stop_after = once
    take_back(server, 1, proof)
    assert seen
    repeat(server)
    np.testing.assert_array_equal(victim.work.applied[0], expected_sum(server.members.roster, 1))


def test_a_sum_that_was_undone_binds_the_next_one_from_then_on(server: FakeServer) -> None:
    apply_with_a_kept_proof(server)
    undone = member_session.recall(states(server)[VICTIM], SumUndone(1))
    assert undone.spoiled == server.members.roster
    assert list(unsettled(undone)) == [1]


def test_control_without_the_rule_one_update_is_recovered_by_subtraction(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_session, "may_go_back", lambda state: bool(state.sums))
    for module in (member_session, contributing):
        monkeypatch.setattr(module, "is_newer", lambda state, round_number, number: True)
    proof = apply_with_a_kept_proof(server)
    server.to_commit()
    whole = opened_sum(server, server.members.roster)
    take_back(server, 1, proof)
    repeat(server)
    server.to_commit()
    without = opened_sum(server, tuple(member for member in server.members.roster if member != VICTIM))
    np.testing.assert_array_equal(whole - without, integers(VICTIM, 2))
