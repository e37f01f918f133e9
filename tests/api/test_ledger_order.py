"""A ledger's events may stand in the orders that a federation with attempts has, and in no other."""

from __future__ import annotations

import pytest

from securefl.auditing.ledger_order import disorder
from securefl.ledger.budget_events import ChargeContributed
from securefl.ledger.events import (
    AggregateApplied,
    BudgetAnchored,
    Event,
    RoundContributed,
    RoundReserved,
    RoundSpoiled,
    RoundVoided,
    RunFinished,
    RunStarted,
)

D = bytes(32)
CHARGE = ChargeContributed(reservation=1, body_digest=D, salt=D)
START, END = RunStarted("client-1", D), RunFinished(2)


def sent(number: int, attempt: int = 1) -> list[Event]:
    return [RoundReserved(number, D, attempt), RoundContributed(number, D, attempt)]


def head(number: int) -> Event:
    return BudgetAnchored(round_number=number, attempt=1, ledger_key=D, sequence=number, head=D)


def charged(number: int) -> list[Event]:
    reserved, contributed = sent(number)
    return [reserved, head(number), contributed]


def applied(number: int, attempt: int = 1, included: int = 1) -> list[Event]:
    return [AggregateApplied(number, D, attempt, included)]


def found(*events: Event) -> str | None:
    return disorder(events, first_round=1, rounds=2)


WHOLE = [START, *sent(1), *applied(1), *sent(2), *applied(2), END]


@pytest.mark.parametrize(
    "events",
    [
        WHOLE,
        [START, *sent(1), RoundVoided(1, 1), *sent(1, 2), *applied(1, 2), *sent(2), *applied(2), END],
        [START, *sent(1), RoundSpoiled(1, 1), *sent(1, 2), *applied(1, 2), *sent(2), *applied(2), END],
        [
            START,
            *sent(1),
            *applied(1),
            RoundSpoiled(1, 1),
            *sent(1, 2),
            *applied(1, 2),
            *sent(2),
            *applied(2),
            END,
        ],
        [START, *charged(1), *applied(1), *charged(2), *applied(2), END],
        [START, *applied(1, 1, 0), *sent(2), *applied(2), END],
        [START, RoundReserved(1, D, 1), *applied(1, 1, 0), *sent(2), *applied(2, 1, 0), END],
    ],
    ids=["whole", "void", "spoiled", "undone", "charged", "away", "left-out"],
)
def test_these_orders_are_right(events: list[Event]) -> None:
    assert found(*events) is None


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "its end at entry 1, where 'run-started' belongs"),
        (WHOLE[1:], "'round-reserved' of round 1 at entry 1, where 'run-started' belongs"),
        (WHOLE[:-1], "its end at entry 8, where 'run-finished' belongs"),
        ([*WHOLE[:5]], "its end at entry 6, where 'round-contributed' of round 2 belongs"),
        (
            [START, *applied(1)],
            "'aggregate-applied' of round 1 at entry 2, where 'round-reserved' of round 1 belongs",
        ),
        ([START, *sent(2)], "'round-reserved' of round 2 at entry 2"),
        ([START, RoundContributed(1, D, 1)], "'round-contributed' of round 1 at entry 2"),
        ([START, RoundVoided(1, 1)], "'round-voided' of round 1 at entry 2"),
        ([START, head(1), *sent(1)], "'budget-anchored' of round 1 at entry 2"),
        ([START, RoundReserved(1, D, 1), head(2)], "'budget-anchored' of round 2 at entry 3"),
        ([START, *sent(1), *applied(1), *applied(1)], "'aggregate-applied' of round 1 at entry 5"),
        ([START, *sent(1), *applied(1), END], "'run-finished' at entry 5"),
        ([*WHOLE, *sent(2)], "'round-reserved' of round 2 at entry 9"),
        ([*WHOLE[:4], START, *WHOLE[4:]], "'run-started' at entry 5"),
        ([*WHOLE[:4], CHARGE, *WHOLE[4:]], "'charge-contributed' at entry 5"),
    ],
)
def test_these_are_not(events: list[Event], words: str) -> None:
    sentence = found(*events)
    assert sentence is not None
    assert sentence.startswith(words)
