"""Every legal step of a round, in one table: what is not a row here cannot happen.

The rule kept here: ``server_round`` and ``client_session`` change their phase only through ``server_step`` and
``client_step``, and these only follow a row. A later phase of the protocol (adverts, shares, survivors, unmasking) is
rows between ``CONTRIBUTE`` and ``AGGREGATE`` and the steps that lead to them; no row that stands here changes for it.
``protos/SPEC.md`` prints the same table, and a test compares the two.

A round of two contributions, and what has no row (a test runs this):

    >>> phase = server_step(ServerPhase.GATHER, ServerStep.ROSTER_COMPLETE)
    >>> phase = server_step(phase, ServerStep.CONTRIBUTION)
    >>> phase
    <ServerPhase.CONTRIBUTE: 'contribute'>
    >>> server_step(phase, ServerStep.SUM_SAVED)
    Traceback (most recent call last):
    securefl.errors.ProtocolError: 'the sum is on disk' cannot happen in the phase 'contribute'.
    >>> phase = server_step(phase, ServerStep.COHORT_COMPLETE)
    >>> server_step(phase, ServerStep.SUM_SAVED)
    <ServerPhase.AGGREGATE: 'aggregate'>
    >>> client_step(ClientPhase.CONTRIBUTED, ClientStep.READY)
    <ClientPhase.AGGREGATE: 'aggregate'>
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from securefl.errors import ProtocolError


class ServerPhase(Enum):
    """Phase that the server is in."""

    GATHER = "gather"
    CONTRIBUTE = "contribute"
    SUM = "sum"
    AGGREGATE = "aggregate"
    FAREWELL = "farewell"
    CLOSED = "closed"
    FAILED = "failed"


class ServerStep(Enum):
    """Step that moves the server."""

    JOIN = "a member joins"
    ROSTER_COMPLETE = "the last missing member joins"
    CONTRIBUTION = "a contribution is accepted"
    COHORT_COMPLETE = "the last missing contribution is accepted"
    SUM_SAVED = "the sum is on disk"
    FETCH = "a member has the aggregate"
    ALL_FETCHED = "the last member has the aggregate, and rounds remain"
    LAST_FETCHED = "the last member has the last aggregate"
    FINISH = "a member finishes"
    ALL_FINISHED = "the last member finishes"
    LOSS = "a member is lost, a timer runs out, or the operator stops the server"


class ClientPhase(Enum):
    """Phase that a client is in."""

    WAIT = "wait"
    CONTRIBUTE = "contribute"
    CONTRIBUTED = "contributed"
    AGGREGATE = "aggregate"
    FINISH = "finish"
    FAILED = "failed"


class ClientStep(Enum):
    """Step that moves a client."""

    MISSING = "the server names who has not joined yet"
    OPENED = "the next round is opened"
    REPEATED = "the server repeats what this client knows (after a reconnection)"
    RECEIPT = "the server holds the contribution"
    READY = "the aggregate can be fetched"
    APPLIED = "the aggregate is verified and applied"
    CLOSED = "the server says that all rounds are done"
    FAILURE = "the server says that the run failed"


Phase = TypeVar("Phase", ServerPhase, ClientPhase)
Step = TypeVar("Step", ServerStep, ClientStep)


@dataclass(frozen=True, slots=True)
class Row(Generic[Phase, Step]):
    """One legal step: in ``phase``, ``step`` leads to ``next_phase``."""

    phase: Phase
    step: Step
    next_phase: Phase


SERVER_TABLE: tuple[Row[ServerPhase, ServerStep], ...] = (
    Row(ServerPhase.GATHER, ServerStep.JOIN, ServerPhase.GATHER),
    Row(ServerPhase.GATHER, ServerStep.ROSTER_COMPLETE, ServerPhase.CONTRIBUTE),
    Row(ServerPhase.GATHER, ServerStep.LOSS, ServerPhase.FAILED),
    Row(ServerPhase.CONTRIBUTE, ServerStep.JOIN, ServerPhase.CONTRIBUTE),
    Row(ServerPhase.CONTRIBUTE, ServerStep.CONTRIBUTION, ServerPhase.CONTRIBUTE),
    Row(ServerPhase.CONTRIBUTE, ServerStep.COHORT_COMPLETE, ServerPhase.SUM),
    Row(ServerPhase.CONTRIBUTE, ServerStep.LOSS, ServerPhase.FAILED),
    Row(ServerPhase.SUM, ServerStep.JOIN, ServerPhase.SUM),
    Row(ServerPhase.SUM, ServerStep.SUM_SAVED, ServerPhase.AGGREGATE),
    Row(ServerPhase.SUM, ServerStep.LOSS, ServerPhase.FAILED),
    Row(ServerPhase.AGGREGATE, ServerStep.JOIN, ServerPhase.AGGREGATE),
    Row(ServerPhase.AGGREGATE, ServerStep.FETCH, ServerPhase.AGGREGATE),
    Row(ServerPhase.AGGREGATE, ServerStep.ALL_FETCHED, ServerPhase.CONTRIBUTE),
    Row(ServerPhase.AGGREGATE, ServerStep.LAST_FETCHED, ServerPhase.FAREWELL),
    Row(ServerPhase.AGGREGATE, ServerStep.LOSS, ServerPhase.FAILED),
    Row(ServerPhase.FAREWELL, ServerStep.JOIN, ServerPhase.FAREWELL),
    Row(ServerPhase.FAREWELL, ServerStep.FINISH, ServerPhase.FAREWELL),
    Row(ServerPhase.FAREWELL, ServerStep.ALL_FINISHED, ServerPhase.CLOSED),
    Row(ServerPhase.FAREWELL, ServerStep.LOSS, ServerPhase.FAILED),
)

CLIENT_TABLE: tuple[Row[ClientPhase, ClientStep], ...] = (
    Row(ClientPhase.WAIT, ClientStep.MISSING, ClientPhase.WAIT),
    Row(ClientPhase.WAIT, ClientStep.REPEATED, ClientPhase.WAIT),
    Row(ClientPhase.WAIT, ClientStep.OPENED, ClientPhase.CONTRIBUTE),
    Row(ClientPhase.WAIT, ClientStep.CLOSED, ClientPhase.FINISH),
    Row(ClientPhase.WAIT, ClientStep.FAILURE, ClientPhase.FAILED),
    Row(ClientPhase.CONTRIBUTE, ClientStep.REPEATED, ClientPhase.CONTRIBUTE),
    Row(ClientPhase.CONTRIBUTE, ClientStep.RECEIPT, ClientPhase.CONTRIBUTED),
    Row(ClientPhase.CONTRIBUTE, ClientStep.FAILURE, ClientPhase.FAILED),
    Row(ClientPhase.CONTRIBUTED, ClientStep.REPEATED, ClientPhase.CONTRIBUTED),
    Row(ClientPhase.CONTRIBUTED, ClientStep.READY, ClientPhase.AGGREGATE),
    Row(ClientPhase.CONTRIBUTED, ClientStep.FAILURE, ClientPhase.FAILED),
    Row(ClientPhase.AGGREGATE, ClientStep.REPEATED, ClientPhase.AGGREGATE),
    Row(ClientPhase.AGGREGATE, ClientStep.APPLIED, ClientPhase.WAIT),
    Row(ClientPhase.AGGREGATE, ClientStep.FAILURE, ClientPhase.FAILED),
    Row(ClientPhase.FINISH, ClientStep.REPEATED, ClientPhase.FINISH),
)


def server_step(phase: ServerPhase, step: ServerStep) -> ServerPhase:
    """The server's next phase.

    Raises:
        ProtocolError: if the table has no such row.
    """
    return _step(SERVER_TABLE, phase, step)


def client_step(phase: ClientPhase, step: ClientStep) -> ClientPhase:
    """A client's next phase.

    Raises:
        ProtocolError: if the table has no such row.
    """
    return _step(CLIENT_TABLE, phase, step)


def _step(table: tuple[Row[Phase, Step], ...], phase: Phase, step: Step) -> Phase:
    for row in table:
        if row.phase is phase and row.step is step:
            return row.next_phase
    raise ProtocolError(f"'{step.value}' cannot happen in the phase '{phase.value}'")
