"""The table of the server's round: one row a step, no dead ends, nothing beside it; and worked examples are true."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from types import ModuleType

import pytest
from support.served_rounds import Member, rules_for

from securefl.errors import ProtocolError
from securefl.protocol import survivors
from securefl.protocol.calls import RoundOpened
from securefl.protocol.serving import event_codec, round_machine, server_phases
from securefl.protocol.serving.server_phases import SERVER_ROWS, ServerPhase, ServerStep, stepped
from securefl.protocol.serving.server_state import ServerState

SPEC = Path(__file__).parents[2] / "protos" / "SPEC.md"


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


def test_the_specification_prints_the_same_table() -> None:
    text = SPEC.read_text(encoding="utf-8")
    section = text.partition("## The server's round\n")[2].partition("\n## ")[0]
    printed = re.findall(r"^\| ([a-z]+) \| ([^|]+) \| ([a-z]+) \|$", section, flags=re.MULTILINE)
    in_words = {ServerStep.CONFIRMED, ServerStep.LEFT, ServerStep.RETURNED, ServerStep.FAILED}
    rows = [row for row in SERVER_ROWS if row.step not in in_words]
    expected = [(row.phase.value, row.step.value, row.next_phase.value) for row in rows]
    assert [row for row in printed if row[0] != "phase"] == expected


@pytest.mark.parametrize("phase", [ServerPhase.REVEAL, ServerPhase.AGGREGATE])
def test_a_certified_round_is_left_by_no_void(phase: ServerPhase) -> None:
    steps = {row.step for row in SERVER_ROWS if row.phase is phase}
    assert not steps & {ServerStep.VOIDED, ServerStep.VOID_ASKED, ServerStep.PROPOSED}


def advert_of(state: ServerState, member: str) -> object:
    return Member(member).advert(RoundOpened(state.manifest(rules_for(3))))


def test_the_worked_sequence_of_the_machine_is_true() -> None:
    given = {**vars(round_machine), "rules": rules_for(3), "advert": advert_of}
    ran = doctest.testmod(round_machine, globs=given, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert ran.attempted > 5
    assert ran.failed == 0


@pytest.mark.parametrize(
    "module", [survivors, server_phases, event_codec], ids=lambda module: module.__name__
)
def test_the_worked_examples_are_true(module: ModuleType) -> None:
    ran = doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert ran.attempted > 1
    assert ran.failed == 0
