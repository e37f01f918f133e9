"""Attempts that a ledger charges its member for, from its events alone.

The rule kept here: one charge a header sent. It is refunded only where the attempt was void, or its sum was certified
without this member; a sum that could not be opened, and an attempt that nobody ended, stay charged.

    >>> charged([RoundContributed(3, bytes(32), 1), RoundVoided(3, 1), RoundContributed(3, bytes(32), 2)])
    frozenset({(3, 2)})
"""

from __future__ import annotations

from collections.abc import Iterable

from securefl.ledger.events import AggregateApplied, Event, RoundContributed, RoundVoided


def charged(events: Iterable[Event]) -> frozenset[tuple[int, int]]:
    """Rounds and attempts that are charged, each once."""
    found: set[tuple[int, int]] = set()
    for event in events:
        match event:
            case RoundContributed(round_number=number, attempt=attempt):
                found.add((number, attempt))
            case RoundVoided(number, attempt):
                found.discard((number, attempt))
            case AggregateApplied(round_number=number, attempt=attempt, included=0):
                found.discard((number, attempt))
            case _:
                pass
    return frozenset(found)
