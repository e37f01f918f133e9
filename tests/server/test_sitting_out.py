"""A member that says that it sits out is not waited for, helps to open sums all the same, and may come back."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.served_rounds import Federation

from securefl.errors import AuthenticationError, ProtocolError
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import (
    AggregateReady,
    CohortClosed,
    CommitAsked,
    Done,
    FederationClosed,
    RoundOpened,
    SendAdvert,
    SitOut,
)
from securefl.protocol.serving.event_codec import decode_object, encode_object
from securefl.protocol.serving.round_events import SatOut
from securefl.protocol.serving.server_phases import ServerPhase
from securefl_server.round_status import status_of

AWAY = "client-4"


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    made = Federation(tmp_path, 4, rounds=2)
    made.connect()
    assert isinstance(made.server.announcement, RoundOpened)
    return made


def attempt_of(federation: Federation) -> Attempt:
    return federation.server.state.attempt(federation.rules)


def sit_out(federation: Federation, *names: str) -> None:
    for name in names:
        assert federation.server.hear(name, SitOut(attempt_of(federation))) == Done()


def others_advert(federation: Federation) -> None:
    opened = federation.server.announcement
    assert isinstance(opened, RoundOpened)
    for name, member in federation.members.items():
        if name not in federation.server.state.sitting_out and isinstance(
            federation.server.announcement, RoundOpened
        ):
            federation.server.hear(name, SendAdvert(member.advert(opened)))


def test_a_cohort_closes_at_once_without_the_member_that_sits_out(federation: Federation) -> None:
    sit_out(federation, AWAY)
    others_advert(federation)
    assert isinstance(federation.server.announcement, CohortClosed)
    assert federation.server.state.members == ("client-1", "client-2", "client-3")
    assert federation.clock == 0


def test_a_member_that_sits_out_last_closes_the_cohort(federation: Federation) -> None:
    federation.members[AWAY].answered.append(federation.server.announcement)
    federation.round_of_answers()
    assert isinstance(federation.server.announcement, RoundOpened)
    sit_out(federation, AWAY)
    assert isinstance(federation.server.announcement, CohortClosed)


def test_it_applies_the_sum_and_is_asked_again_in_the_next_round(federation: Federation) -> None:
    sit_out(federation, AWAY)
    others_advert(federation)
    federation.settle(until=AggregateReady)
    federation.settle(until=RoundOpened)
    assert federation.server.state.round_number == 2
    assert federation.server.state.sitting_out == ()
    assert federation.members[AWAY].applied == 1
    federation.settle(until=FederationClosed)
    assert AWAY in federation.server.state.members


def test_it_may_come_back_before_the_cohort_is_closed(federation: Federation) -> None:
    sit_out(federation, AWAY)
    opened = federation.server.announcement
    assert isinstance(opened, RoundOpened)
    federation.server.hear(AWAY, SendAdvert(federation.members[AWAY].advert(opened)))
    assert federation.server.state.sitting_out == ()
    others_advert(federation)
    assert AWAY in federation.server.state.members


def test_after_an_advert_it_takes_the_advert_back(federation: Federation) -> None:
    opened = federation.server.announcement
    assert isinstance(opened, RoundOpened)
    federation.server.hear(AWAY, SendAdvert(federation.members[AWAY].advert(opened)))
    sit_out(federation, AWAY)
    others_advert(federation)
    assert AWAY not in federation.server.state.members


def test_in_a_closed_cohort_its_contribution_is_not_waited_for(federation: Federation) -> None:
    federation.settle(until=CohortClosed)
    cohort = federation.server.announcement
    assert isinstance(cohort, CohortClosed)
    sit_out(federation, AWAY)
    for member in federation.here:
        member.answered.append(cohort)
        member.cohort = cohort.cohort
        if member.name != AWAY:
            federation.stage(member, cohort.cohort)
    assert isinstance(federation.server.announcement, CommitAsked)
    federation.settle(until=AggregateReady)
    assert federation.server.state.survivors == ("client-1", "client-2", "client-3")
    assert federation.clock == 0


def test_too_many_in_a_closed_cohort_make_the_attempt_void_at_once(federation: Federation) -> None:
    federation.settle(until=CohortClosed)
    sit_out(federation, AWAY, "client-3")
    assert federation.server.state.phase is ServerPhase.VOID
    assert federation.server.state.void_reason == "2 members of the cohort sit out"


def test_too_few_that_take_part_end_the_run_and_say_why(federation: Federation) -> None:
    sit_out(federation, AWAY, "client-3")
    assert federation.server.state.phase is ServerPhase.FAILED
    assert str(federation.server.error) == (
        "2 members are left for round 1, and it needs 3: client-3, client-4 sit out, because their privacy budgets "
        "allow no further round on the data."
    )


def test_a_message_of_another_attempt_or_federation_changes_nothing(federation: Federation) -> None:
    open_attempt = attempt_of(federation)
    later = Attempt(open_attempt.federation_digest, open_attempt.key_epoch, 2, 1)
    with pytest.raises(ProtocolError):
        federation.server.hear(AWAY, SitOut(later))
    with pytest.raises(AuthenticationError):
        federation.server.hear(AWAY, SitOut(Attempt(bytes(32), open_attempt.key_epoch, 1, 1)))
    federation.settle(until=CommitAsked)
    sit_out(federation, AWAY)
    assert federation.server.state.sitting_out == ()


def test_who_sits_out_survives_a_restart_of_the_server(federation: Federation) -> None:
    sit_out(federation, AWAY)
    federation.start()
    assert federation.server.state.sitting_out == (AWAY,)
    assert decode_object(encode_object(SatOut(AWAY))) == SatOut(AWAY)


def test_the_status_names_who_sits_out(federation: Federation) -> None:
    sit_out(federation, AWAY)
    status = status_of(federation.store.events(), rules=federation.rules, now=0.0)
    assert [member.member for member in status.members if member.sits_out] == [AWAY]
    assert AWAY not in status.missing
    told = [event for event in federation.events if getattr(event, "step", "") == "sat-out"]
    assert [(event.by, event.note) for event in told] == [
        (AWAY, "its privacy budget allows no further round on its data")
    ]
