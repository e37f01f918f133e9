"""A member's report of its rounds, as a person hears it."""

from __future__ import annotations

from pathlib import Path

from support.federations import make_federation

from securefl.progress import Event, Warned
from securefl_client.journal import Journal
from securefl_client.member_rules import member_rules
from securefl_client.phases import PhaseClock
from securefl_client.round_log import RoundLog

REASON = "this member holds no share of client-2's key"


def test_a_person_hears_once_why_a_member_does_not_vote(tmp_path: Path) -> None:
    federation, told = make_federation([2, 4, 8]).federation, list[Event]()
    journal = Journal(tmp_path, member_rules(federation, key_epoch=1), member="client-1", first_round=1)
    clock = PhaseClock("client-1", told.append)
    log = RoundLog(federation, member="client-1", rank=2, clock=clock, emit=told.append, journal=journal)
    for _ in range(2):
        log.abstain(1, REASON)
    journal.close()
    assert told == [
        Warned(member="client-1", message=f"it does not vote for the survivors of round 1: {REASON}")
    ]
