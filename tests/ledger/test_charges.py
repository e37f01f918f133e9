"""One charge a header sent, refunded only where nothing of it can be in an opened sum."""

from __future__ import annotations

import pytest

from securefl.ledger.charges import charged
from securefl.ledger.events import (
    AggregateApplied,
    Event,
    RoundContributed,
    RoundReserved,
    RoundSpoiled,
    RoundVoided,
)

DIGEST = bytes(32)
SENT = RoundContributed(3, DIGEST, 1)


@pytest.mark.parametrize(
    ("events", "left"),
    [
        ([RoundReserved(3, DIGEST, 1)], set()),
        ([SENT], {(3, 1)}),
        ([SENT, SENT], {(3, 1)}),
        ([SENT, RoundVoided(3, 1)], set()),
        ([SENT, RoundSpoiled(3, 1)], {(3, 1)}),
        ([SENT, AggregateApplied(3, DIGEST, 1, 1)], {(3, 1)}),
        ([SENT, AggregateApplied(3, DIGEST, 1, 0)], set()),
        ([SENT, RoundVoided(3, 1), RoundContributed(3, DIGEST, 2)], {(3, 2)}),
        ([SENT, RoundContributed(3, DIGEST, 2), AggregateApplied(3, DIGEST, 2, 0)], {(3, 1)}),
        ([SENT, RoundSpoiled(3, 1), RoundContributed(3, DIGEST, 2)], {(3, 1), (3, 2)}),
    ],
    ids=[
        "reserved",
        "sent",
        "once",
        "void",
        "spoiled",
        "included",
        "left-out",
        "again",
        "other-attempt",
        "both",
    ],
)
def test_what_stays_charged(events: list[Event], left: set[tuple[int, int]]) -> None:
    assert charged(events) == left
