"""The table of the server's round: one row a step, no dead ends, nothing beside it; and worked examples are true."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from securefl.errors import ProtocolError
from securefl.protocol import survivors
from securefl.protocol.serving import event_codec, server_phases
from securefl.protocol.serving.server_phases import SERVER_ROWS, ServerPhase, ServerStep, stepped


def reachable(phase: ServerPhase) -> set[ServerPhase]:
    seen, waiting = {phase}, [phase]
    while waiting:
        here = waiting.pop()
        after = {row.next_phase for row in SERVER_ROWS if row.phase is here} - seen
        seen |= after
        waiting += after
    return seen


def test_a_phase_and_a_step_have_at_most_one_row() -> None:
    keys = [(row.phase, row.step) for row in SERVER_ROWS]
    assert len(set(keys)) == len(keys)


def test_every_step_without_a_row_is_refused() -> None:
    legal = {(row.phase, row.step) for row in SERVER_ROWS}
    for phase in ServerPhase:
        for step in ServerStep:
            if (phase, step) not in legal:
                with pytest.raises(ProtocolError, match="cannot happen"):
                    stepped(phase, step)


def test_every_step_has_a_row_and_every_phase_can_be_reached() -> None:
    assert {row.step for row in SERVER_ROWS} == set(ServerStep)
    assert reachable(ServerPhase.GATHER) == set(ServerPhase)


@pytest.mark.parametrize("phase", [phase for phase in ServerPhase if phase is not ServerPhase.FAILED])
def test_from_every_phase_but_failed_the_end_can_be_reached(phase: ServerPhase) -> None:
    assert ServerPhase.CLOSED in reachable(phase)


@pytest.mark.parametrize("phase", [ServerPhase.REVEAL, ServerPhase.AGGREGATE])
def test_a_certified_round_is_left_by_no_void(phase: ServerPhase) -> None:
    steps = {row.step for row in SERVER_ROWS if row.phase is phase}
    assert not steps & {ServerStep.VOIDED, ServerStep.VOID_ASKED, ServerStep.PROPOSED}


@pytest.mark.parametrize(
    "module", [survivors, server_phases, event_codec], ids=lambda module: module.__name__
)
def test_the_worked_examples_are_true(module: ModuleType) -> None:
    ran = doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert ran.attempted > 1
    assert ran.failed == 0
