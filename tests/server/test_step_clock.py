"""The clock of a server's steps: a machine that slept gives the members their time again."""

from __future__ import annotations

from support.served_rounds import LIMITS, rules_for

from securefl.protocol.serving.server_state import first_state
from securefl_server.step_clock import StepClock


class Time:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_step_is_overdue_after_its_seconds() -> None:
    time, rules = Time(), rules_for(4)
    clock, state = StepClock(rules, time, expected=frozenset()), first_state(rules)
    awaited = clock.next_deadline(state)
    assert awaited is not None
    time.now = awaited
    assert clock.circumstances(state).overdue


def test_a_step_is_not_overdue_because_the_machine_slept() -> None:
    time, rules = Time(), rules_for(4)
    clock, state = StepClock(rules, time, expected=frozenset()), first_state(rules)
    awaited = clock.next_deadline(state)
    assert awaited is not None
    time.now = awaited + LIMITS.reconnect_grace_s + 3600
    assert not clock.circumstances(state).overdue
    awaited = clock.next_deadline(state)
    assert awaited is not None
    time.now = awaited
    assert clock.circumstances(state).overdue
