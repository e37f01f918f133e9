"""Ways in which an attempt ends: certified, VOID, SPOILED; and members that were away catch up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.served_rounds import Federation

from securefl.errors import ProtocolError
from securefl.progress import RoundStepped
from securefl.protocol.agreement.statement import SpoiledProof, VoidProof, settlements_digest
from securefl.protocol.calls import (
    AggregateReady,
    Certified,
    CohortClosed,
    Done,
    FederationClosed,
    FetchAggregate,
    Leave,
    RoundOpened,
    SendAdvert,
    SpoiledAsked,
    SurvivorsProposed,
    VoidAsked,
)
from securefl.protocol.serving.round_events import Proposed
from securefl.protocol.serving.round_machine import transition
from securefl.protocol.serving.server_phases import ServerPhase
from securefl.protocol.serving.server_state import LAST_ATTEMPT
from securefl.protocol.wire_signed import MAX_SETTLED


def steps(federation: Federation) -> list[str]:
    return [event.step for event in federation.events if isinstance(event, RoundStepped)]


def test_a_sender_whose_packets_do_not_open_is_left_out_and_the_round_ends(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 8, least=6)
    federation.connect()
    for name in ("client-2", "client-3", "client-4"):
        federation.members[name].refuses = frozenset({"client-1"})
    federation.settle(until=AggregateReady)
    assert federation.survivors == tuple(f"client-{index}" for index in range(2, 9))


def test_an_attempt_in_which_too_few_can_open_packets_is_void_and_the_next_one_carries_the_proof(
    tmp_path: Path,
) -> None:
    federation = Federation(tmp_path, 4)
    federation.connect()
    for member in federation.members.values():
        member.refuses = frozenset(federation.members) - {member.name}
    federation.settle(until=VoidAsked)
    federation.settle(until=RoundOpened)
    opened = federation.server.announcement
    assert isinstance(opened, RoundOpened)
    assert opened.manifest.attempt.number == 2
    (settled,) = opened.settled
    assert isinstance(settled.settlement, VoidProof)
    assert opened.manifest.settled == settlements_digest((settled.settlement,))
    settled.settlement.verify(
        members=settled.cohort.members,
        threshold=3,
        public_key_of=federation.rules.signing_keys.__getitem__,
    )


def test_a_round_ends_after_a_void_attempt(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.connect()
    for member in federation.members.values():
        member.abstains = True
    federation.settle(until=SurvivorsProposed)
    federation.settle(until=RoundOpened)
    for member in federation.members.values():
        member.abstains = False
    federation.settle()
    assert federation.server.state.phase is ServerPhase.CLOSED
    assert steps(federation).count("cohort-closed") == 2
    assert {member.applied for member in federation.members.values()} == {1}


def test_void_is_asked_as_soon_as_so_many_abstain_that_no_certificate_can_be(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.connect()
    federation.members["client-1"].abstains = federation.members["client-2"].abstains = True
    federation.settle(until=SurvivorsProposed)
    clock = federation.clock
    federation.round_of_answers()
    assert "void-asked" in steps(federation)
    assert federation.clock == clock


def test_a_round_that_is_void_again_and_again_ends_the_run(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.connect()
    for member in federation.members.values():
        member.abstains = True
    federation.settle(patience=200)
    assert "16 attempts of round 1 gave no sum" in str(federation.server.error)


def test_a_round_has_no_more_attempts_than_an_announcement_can_carry() -> None:
    assert LAST_ATTEMPT == MAX_SETTLED + 1


def test_a_run_that_was_void_too_often_tries_again_after_a_restart_and_ends_for_good(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.connect()
    for member in federation.members.values():
        member.abstains = True
    for attempts in (16, 21, 21):
        federation.settle(patience=200)
        assert f"{attempts} attempts of round 1 gave no sum" in str(federation.server.error)
        federation.start()
        federation.connect()


def test_nothing_of_a_void_attempt_stays_on_disk(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.connect()
    for member in federation.members.values():
        member.abstains = True
    federation.settle(until=SurvivorsProposed)
    federation.settle(until=RoundOpened)
    assert list((tmp_path / "rounds").iterdir()) == []
    assert federation.store.contributions == {}


def spoiled(folder: Path) -> Federation:
    """A federation whose first sum nobody can open."""
    federation = Federation(folder, 4, least=3)
    federation.connect()
    for member in federation.members.values():
        member.opens = False
    federation.settle(until=SpoiledAsked)
    return federation


def test_a_sum_that_t_members_cannot_open_is_settled_and_made_again_over_the_same_survivors(
    tmp_path: Path,
) -> None:
    federation = spoiled(tmp_path)
    first = federation.survivors
    federation.settle(until=RoundOpened)
    opened = federation.server.announcement
    assert isinstance(opened, RoundOpened)
    assert isinstance(opened.settled[0].settlement, SpoiledProof)
    for member in federation.members.values():
        member.opens = True
    federation.settle(until=AggregateReady)
    assert federation.survivors == first


def test_after_a_spoiled_sum_there_is_no_sum_without_one_of_its_survivors(tmp_path: Path) -> None:
    federation = spoiled(tmp_path)
    federation.settle(until=RoundOpened)
    federation.lose("client-4")
    federation.settle()
    assert "client-4 did not enter round 1" in str(federation.server.error)
    assert federation.server.state.newest_sum == 0


def test_members_that_can_open_the_sum_end_the_round_though_one_cannot(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, least=3)
    federation.connect()
    federation.members["client-4"].opens = False
    federation.settle(until=FederationClosed)
    assert federation.server.state.number == 1


def test_a_later_reveal_withdraws_the_question_whether_the_sum_is_spoiled(tmp_path: Path) -> None:
    federation = spoiled(tmp_path)
    late = next(
        member for name, member in federation.members.items() if name not in federation.server.state.revealed
    )
    state = federation.server.state
    federation.send_reveal(late, state.statement)
    assert federation.server.announcement == AggregateReady(1, 4)


def test_no_second_statement_is_proposed_in_an_attempt(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.connect()
    federation.settle(until=SurvivorsProposed)
    state = federation.server.state
    other = Proposed(replace(state.statement, total_digest=bytes(32)), 1, 0.0)
    for again in (state, replace(state, phase=ServerPhase.COMMIT)):
        with pytest.raises(ProtocolError):
            transition(again, other, rules=federation.rules)


def test_a_certified_round_waits_for_helpers_and_is_not_opened_again(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.connect()
    federation.settle(until=Certified)
    federation.lose("client-1", "client-2", "client-3")
    certified = federation.server.announcement
    federation.clock += 50
    federation.server.wake()
    assert federation.server.announcement == certified
    federation.connect()
    federation.settle()
    assert federation.server.state.phase is ServerPhase.CLOSED
    assert steps(federation).count("survivors-proposed") == 1


def test_a_member_that_was_away_fetches_the_sums_that_it_missed_in_order(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, rounds=4, least=3)
    federation.connect()
    federation.settle(until=CohortClosed)
    federation.lose("client-4")
    while federation.server.state.round_number < 3:
        assert federation.round_of_answers() or federation.pass_time()
    federation.connect("client-4")
    federation.settle()
    late = federation.members["client-4"]
    assert late.applied == 4
    assert late.sums == federation.members["client-1"].sums


def test_a_sum_is_kept_until_every_member_of_the_roster_has_confirmed_it(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, rounds=2, least=3)
    federation.connect()
    federation.settle(until=CohortClosed)
    federation.lose("client-4")
    federation.settle()
    assert federation.server.state.phase is ServerPhase.CLOSED
    assert federation.store.sum_places() == ((1, 1), (2, 1))
    federation.start()
    federation.connect("client-4")
    federation.settle()
    assert federation.members["client-4"].applied == 2
    assert list((tmp_path / "rounds").iterdir()) == []
    with pytest.raises(ProtocolError, match="cannot be fetched"):
        federation.server.hear("client-4", FetchAggregate(1))


def test_members_in_another_state_are_left_out_of_the_cohort(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, least=3)
    federation.connect()
    opened = federation.server.announcement
    for name, member in federation.members.items():
        state = bytes([name == "client-2"]) * 32
        federation.server.hear(name, SendAdvert(member.advert(opened, state=state)))
    closed = federation.server.announcement
    assert isinstance(closed, CohortClosed)
    assert closed.cohort.members == ("client-1", "client-3", "client-4")


def test_no_cohort_is_closed_with_too_few_members_of_one_state(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, least=3)
    federation.connect()
    opened = federation.server.announcement
    for index, (name, member) in enumerate(federation.members.items()):
        federation.server.hear(name, SendAdvert(member.advert(opened, state=bytes([index // 2]) * 32)))
    federation.pass_time()
    assert "in the others' state" in str(federation.server.error)


def test_the_federation_ends_early_where_all_that_applied_the_sum_say_so(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, rounds=5)
    for member in federation.members.values():
        member.last_after = 2
    federation.connect()
    federation.settle()
    assert federation.server.state.phase is ServerPhase.CLOSED
    assert federation.server.state.round_number == 2


def test_members_that_disagree_on_an_early_end_are_told_apart(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, rounds=5)
    federation.members["client-3"].last_after = 1
    federation.connect()
    federation.settle()
    assert "do not agree" in str(federation.server.error)
    assert "client-3" in str(federation.server.error)


def test_a_farewell_that_is_said_again_after_the_end_is_no_error(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.connect()
    federation.settle()
    state = federation.server.state
    assert federation.server.hear("client-1", Leave(finished=True)) == Done()
    assert federation.server.state == state


def test_a_member_that_was_not_waited_for_says_farewell_after_the_end(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, least=3)
    federation.connect()
    federation.settle(until=FederationClosed)
    federation.lose("client-4")
    federation.settle()
    assert federation.server.state.phase is ServerPhase.CLOSED
    federation.catch_up(federation.members["client-4"], 1)
    federation.server.hear("client-4", Leave(finished=True))
    assert federation.server.state.finished == federation.rules.roster


def test_a_run_ends_at_once_where_too_few_members_can_go_on(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 3)
    federation.connect()
    federation.settle(until=CohortClosed)
    words = "its training went wrong; its operator sees the details"
    federation.server.hear("client-2", Leave(finished=False, last_words=words))
    assert str(federation.server.error) == f"client-2 left the federation: {words}."


def test_a_run_goes_on_where_a_member_leaves_and_enough_remain(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, least=3)
    federation.connect()
    federation.settle(until=CohortClosed)
    federation.server.hear("client-2", Leave(finished=False, last_words="what it wrote itself"))
    federation.away.add("client-2")
    federation.settle()
    assert federation.server.state.phase is ServerPhase.CLOSED
    assert federation.server.state.left == (("client-2", "it gave no reason that this version knows"),)
