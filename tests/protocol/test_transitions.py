"""The state table: one row a step, no dead ends, and the same table in the specification."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from securefl.errors import ProtocolError
from securefl.protocol.transitions import (
    CLIENT_TABLE,
    SERVER_TABLE,
    ClientPhase,
    ClientStep,
    ServerPhase,
    ServerStep,
    client_step,
    server_step,
)

SPEC = Path(__file__).parents[2] / "protos" / "SPEC.md"


@pytest.mark.parametrize("table", [SERVER_TABLE, CLIENT_TABLE])
def test_a_phase_and_a_step_have_at_most_one_row(table: tuple) -> None:
    keys = [(row.phase, row.step) for row in table]
    assert len(set(keys)) == len(keys)


def test_the_servers_table_refuses_every_step_it_has_no_row_for() -> None:
    legal = {(row.phase, row.step) for row in SERVER_TABLE}
    for phase in ServerPhase:
        for step in ServerStep:
            if (phase, step) not in legal:
                with pytest.raises(ProtocolError, match="cannot happen"):
                    server_step(phase, step)


def test_the_clients_table_refuses_every_step_it_has_no_row_for() -> None:
    legal = {(row.phase, row.step) for row in CLIENT_TABLE}
    for phase in ClientPhase:
        for step in ClientStep:
            if (phase, step) not in legal:
                with pytest.raises(ProtocolError, match="cannot happen"):
                    client_step(phase, step)


@pytest.mark.parametrize(
    ("table", "start", "ends"),
    [
        (SERVER_TABLE, ServerPhase.GATHER, {ServerPhase.CLOSED, ServerPhase.FAILED}),
        (CLIENT_TABLE, ClientPhase.WAIT, {ClientPhase.FINISH, ClientPhase.FAILED}),
    ],
)
def test_from_every_phase_that_can_be_reached_an_end_can_be_reached(
    table: tuple, start: object, ends: set
) -> None:
    def reachable(phase: object) -> set:
        seen, waiting = {phase}, [phase]
        while waiting:
            here = waiting.pop()
            for row in table:
                if row.phase is here and row.next_phase not in seen:
                    seen.add(row.next_phase)
                    waiting.append(row.next_phase)
        return seen

    for phase in reachable(start):
        assert reachable(phase) & ends


def test_the_specification_prints_the_same_rows() -> None:
    text = SPEC.read_text(encoding="utf-8")
    printed = re.findall(
        r"^\| (server|client) \| ([a-z]+) \| ([^|]+) \| ([a-z]+) \|$", text, flags=re.MULTILINE
    )
    expected = [
        (role, row.phase.value, row.step.value, row.next_phase.value)
        for role, table in (("server", SERVER_TABLE), ("client", CLIENT_TABLE))
        for row in table
    ]
    assert printed == expected
