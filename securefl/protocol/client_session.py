"""A client's state machine: a state and an event in, the next state and effects out.

The rule kept here: a client acts only on a manifest that is for its own pinned federation, for the round that
follows the last one it applied, and for the whole roster; anything else ends its run with the reason. It trusts
nothing the server repeats: a repetition (after a reconnection) must be equal to what the client knows. A state is
never changed: a refused event raises, and the same events lead to an equal state again.

One round, where ``federation`` is the pinned file, of one round, and ``digest`` that of the body sent (a test runs
this):

    >>> manifest = Manifest(federation.digest, 1, federation.cohort)
    >>> state, effects = transition(start(federation), Announced(RoundOpened(manifest)), federation=federation)
    >>> effects == (Contribute(manifest),)
    True
    >>> receipt = Contributed(Receipt(1, digest), digest)
    >>> state, effects = transition(state, receipt, federation=federation)
    >>> state.phase, effects
    (<ClientPhase.CONTRIBUTED: 'contributed'>, ())
    >>> transition(state, Announced(FederationClosed()), federation=federation)
    Traceback (most recent call last):
    securefl.errors.ProtocolError: the server closed the federation after round 0, before its last.
    >>> state, effects = transition(state, Announced(AggregateReady(1)), federation=federation)
    >>> effects == (ApplyAggregate(manifest),)
    True
    >>> state, effects = transition(state, Applied(1), federation=federation)
    >>> state.applied
    1
    >>> transition(state, Announced(FederationClosed()), federation=federation)[1]
    (Finish(),)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from securefl.errors import MemberLost, ProtocolError, RunError
from securefl.protocol.client_events import (
    Announced,
    Applied,
    ApplyAggregate,
    Contribute,
    Contributed,
    Effect,
    Event,
    Fail,
    Finish,
)
from securefl.protocol.federation import Federation
from securefl.protocol.messages import (
    AggregateReady,
    Announcement,
    FederationClosed,
    FederationFailed,
    Manifest,
    Receipt,
    RoundOpened,
    Waiting,
)
from securefl.protocol.transitions import ClientPhase, ClientStep, client_step


@dataclass(frozen=True, slots=True)
class ClientState:
    """One federation from one client's side, at one moment.

    Attributes:
        phase: Where the client stands.
        applied: Number of the last round applied; before the first one, its number less 1.
        manifest: Of the round it is in, or was in last; None before the first.
        ended: The sums of the last round applied have ended the federation; the server cannot.
    """

    phase: ClientPhase
    applied: int
    manifest: Manifest | None = None
    ended: bool = False


Outcome = tuple[ClientState, tuple[Effect, ...]]
"""The next state, and what to carry out, in this order."""


def start(federation: Federation) -> ClientState:
    """The state before any event."""
    return ClientState(ClientPhase.WAIT, federation.first_round - 1)


def transition(state: ClientState, event: Event, *, federation: Federation) -> Outcome:
    """The state after an event, and what follows from it.

    Raises:
        ProtocolError: if the table has no row for it, or the server proposes what the federation file
            does not allow.
    """
    match event:
        case Announced(announcement):
            return _hear(state, announcement, federation=federation)
        case Contributed(receipt, body_digest):
            if state.manifest is None or receipt != Receipt(state.manifest.round_number, body_digest):
                raise ProtocolError("the server's receipt is for another contribution")
            return _stepped(state, ClientStep.RECEIPT), ()
        case Applied(number, last):
            if state.manifest is None or number != state.manifest.round_number:
                raise ProtocolError(f"round {number} was applied, but it is not the open one")
            return replace(_stepped(state, ClientStep.APPLIED), applied=number, ended=last), ()
        case _:
            assert_never(event)


def failure_of(announcement: FederationFailed) -> RunError:
    """The error that a failed federation ends a client with."""
    if announcement.member:
        return MemberLost(announcement.member, announcement.reason)
    return RunError("the server ended the run", hint=announcement.reason.rstrip("."))


def _hear(state: ClientState, announcement: Announcement, *, federation: Federation) -> Outcome:
    match announcement:
        case Waiting():
            return _stepped(state, ClientStep.MISSING), ()
        case RoundOpened(manifest):
            return _open(state, manifest, federation=federation)
        case AggregateReady(number):
            return _ready(state, number)
        case FederationClosed():
            return _close(state, federation=federation)
        case FederationFailed():
            return _stepped(state, ClientStep.FAILURE), (Fail(announcement),)
        case _:
            assert_never(announcement)


def _open(state: ClientState, manifest: Manifest, *, federation: Federation) -> Outcome:
    if manifest == state.manifest:
        return _stepped(state, ClientStep.REPEATED), ()
    if state.ended:
        raise ProtocolError(f"the server opened a round, but round {state.applied} ended the federation")
    _check(manifest, expected=state.applied + 1, federation=federation)
    return replace(_stepped(state, ClientStep.OPENED), manifest=manifest), (Contribute(manifest),)


def _check(manifest: Manifest, *, expected: int, federation: Federation) -> None:
    if manifest.federation_digest != federation.digest:
        raise ProtocolError(
            "the server works on another federation than this member's file",
            hint="start the server from the folder that was made together with this member's",
        )
    if manifest.round_number != expected or manifest.round_number > federation.terms.federation.rounds:
        raise ProtocolError(f"the server opened round {manifest.round_number}, expected was {expected}")
    if manifest.cohort != federation.cohort:
        raise ProtocolError("the server proposes another cohort than the federation's roster")


def _ready(state: ClientState, number: int) -> Outcome:
    if number == state.applied and state.phase is ClientPhase.WAIT:
        return _stepped(state, ClientStep.REPEATED), ()
    if state.manifest is None or number != state.manifest.round_number:
        raise ProtocolError(
            f"the server announces an aggregate of round {number}, which this client is not in"
        )
    if state.phase is ClientPhase.AGGREGATE:
        return _stepped(state, ClientStep.REPEATED), ()
    return _stepped(state, ClientStep.READY), (ApplyAggregate(state.manifest),)


def _close(state: ClientState, *, federation: Federation) -> Outcome:
    if state.phase is ClientPhase.FINISH:
        return _stepped(state, ClientStep.REPEATED), ()
    if not state.ended and state.applied != federation.terms.federation.rounds:
        raise ProtocolError(f"the server closed the federation after round {state.applied}, before its last")
    return _stepped(state, ClientStep.CLOSED), (Finish(),)


def _stepped(state: ClientState, step: ClientStep) -> ClientState:
    return replace(state, phase=client_step(state.phase, step))
