"""The announcement that follows from a state: what a member that connects now is told, and what all are told next."""

from __future__ import annotations

from securefl.errors import ProtocolError
from securefl.protocol.calls import (
    AggregateReady,
    Announcement,
    Certified,
    CohortClosed,
    CommitAsked,
    FederationClosed,
    FederationFailed,
    RoundOpened,
    SpoiledAsked,
    SurvivorsProposed,
    VoidAsked,
    Waiting,
)
from securefl.protocol.serving.server_phases import ServerPhase
from securefl.protocol.serving.server_state import ServerRules, ServerState

MAX_REASON = 500
"""Characters of a reason that travels."""


def announcement_of(state: ServerState, *, present: frozenset[str], rules: ServerRules) -> Announcement:
    """The announcement of a state: where the federation stands.

    Args:
        state: The state.
        present: Members that are connected.
        rules: What the server goes by.
    """
    match state.phase:
        case ServerPhase.GATHER:
            return Waiting(tuple(member for member in rules.roster if member not in present))
        case ServerPhase.ADVERT:
            return RoundOpened(state.manifest(rules), state.settled)
        case ServerPhase.STAGE:
            return CohortClosed(state.cohort(rules))
        case ServerPhase.COMMIT:
            place = state.places
            return CommitAsked(state.cohort_digest, tuple(place[each.member] for each in state.staged))
        case ServerPhase.VOID if not _survivors_alone(state, rules):
            return VoidAsked(state.cohort_digest)
        case ServerPhase.REVEAL:
            return Certified(state.certificate(rules))
        case ServerPhase.FAREWELL | ServerPhase.CLOSED:
            return FederationClosed()
        case ServerPhase.FAILED:
            return _failed(state)
        case _:
            return _of_a_statement(state)


def _survivors_alone(state: ServerState, rules: ServerRules) -> bool:
    """Tell if only the survivors can gather t votes any more: some for them came after VOID was asked."""
    sizes = state.sizes(rules)
    against = {*(vote.body.signer for vote in state.void_votes), *state.abstained}
    certifiable = state.statement is not None and sizes.members - len(against) >= sizes.threshold
    return certifiable and sizes.members - len(state.votes) < sizes.threshold


def _of_a_statement(state: ServerState) -> Announcement:
    if state.statement is None:
        raise ProtocolError(f"the phase '{state.phase.value}' needs a statement")
    if state.phase in (ServerPhase.VOTE, ServerPhase.VOID):
        return SurvivorsProposed(state.statement, state.headers())
    if state.spoiled_asked:
        return SpoiledAsked(state.statement.digest)
    return AggregateReady(state.round_number, len(state.revealed))


def _failed(state: ServerState) -> FederationFailed:
    if state.cause is None:
        return FederationFailed("", "the server ended the run")
    hint = f": {state.cause.hint}" if state.cause.hint else ""
    reason = state.cause.what if state.cause.member else f"{state.cause.what}{hint}"
    return FederationFailed(state.cause.member, reason[:MAX_REASON])
