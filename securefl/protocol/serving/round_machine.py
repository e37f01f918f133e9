"""The server's state machine: a state and an event in, the next state and effects out.

The rule kept here: only ``transition`` changes a state, from the state and the event alone; no clock, no file, no
connection. A state is never changed: a refused event raises, and the state given is still good. ``acceptance`` makes
events of what members send, ``decisions`` those that the server decides itself.

At most one statement an attempt is proposed. A certified round is never done again: its only ways out are an applied
sum, or t members that cannot open it.

The first steps, where ``rules`` are those of three members and ``advert`` signs one's (a test runs this):

    >>> state, effects = transition(first_state(rules), FirstOpened(), rules=rules)
    >>> state.phase, state.number
    (<ServerPhase.ADVERT: 'advert'>, 1)
    >>> transition(state, CommitRequested(), rules=rules)
    Traceback (most recent call last):
    securefl.errors.ProtocolError: 'the members are asked to commit' cannot happen in the phase 'advert'.
    >>> for member in rules.roster:
    ...     state, effects = transition(state, Adverted(advert(state, member)), rules=rules)
    >>> state, effects = transition(state, CohortChosen(rules.roster), rules=rules)
    >>> state.phase, state.members
    (<ServerPhase.STAGE: 'stage'>, ('client-1', 'client-2', 'client-3'))
    >>> state, effects = transition(state, VoidRequested("nobody staged"), rules=rules)
    >>> state.phase
    <ServerPhase.VOID: 'void'>
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar, assert_never

from securefl.errors import ProtocolError
from securefl.protocol.agreement.signed import Signed
from securefl.protocol.agreement.statement import (
    Certificate,
    SpoiledProof,
    SpoiledVote,
    SurvivorsVote,
    VoidProof,
    VoidVote,
)
from securefl.protocol.calls import SettledAttempt
from securefl.protocol.serving.round_events import (
    Abstained,
    Acknowledged,
    Adverted,
    Cause,
    CohortChosen,
    CommitRequested,
    Confirmed,
    ContributionStaged,
    FirstOpened,
    KeysRotated,
    MemberFinished,
    MemberLeft,
    MemberReturned,
    Proposed,
    Revealed,
    RoundDone,
    RoundEvent,
    RunFailed,
    RunResumed,
    SatOut,
    ServingEnded,
    SpoiledRequested,
    VoidRequested,
    Voted,
)
from securefl.protocol.serving.server_phases import ServerPhase, ServerStep, stepped
from securefl.protocol.serving.server_state import (
    LAST_ATTEMPT,
    MAX_VOID_ATTEMPTS,
    ServerRules,
    ServerState,
    first_state,
)


@dataclass(frozen=True, slots=True)
class Publish:
    """Effect: keep the head of the certified sum for whoever fetches it."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class KeepReveal:
    """Effect: keep a reveal for whoever fetches the sum."""

    revealed: Revealed


@dataclass(frozen=True, slots=True)
class DropBodies:
    """Effect: the bodies of an attempt are of no use any more: their sum is certified, or there is none."""

    round_number: int
    number: int


@dataclass(frozen=True, slots=True)
class DropPackets:
    """Effect: the packets and seeds of an attempt are of no use any more: it is settled and done."""

    round_number: int
    number: int


@dataclass(frozen=True, slots=True)
class DropSum:
    """Effect: nobody needs the sum of this round: the whole roster has applied it, or t members voted against it."""

    round_number: int


@dataclass(frozen=True, slots=True)
class End:
    """Effect: the run is over; ``cause`` is None where all went well."""

    cause: Cause | None


Effect = Publish | KeepReveal | DropBodies | DropPackets | DropSum | End
Outcome = tuple[ServerState, tuple[Effect, ...]]
"""The next state, and what to carry out, in this order."""
AnyVote = TypeVar("AnyVote", Signed[SurvivorsVote], Signed[VoidVote], Signed[SpoiledVote])


def replayed(events: Iterable[RoundEvent], *, rules: ServerRules) -> ServerState:
    """The state that a log of events leads to.

    Raises:
        ProtocolError: if the log is of no round that there can have been.
    """
    state = first_state(rules)
    for event in events:
        state, _ = transition(state, event, rules=rules)
    return state


def transition(state: ServerState, event: RoundEvent, *, rules: ServerRules) -> Outcome:
    """The state after an event, and what follows from it.

    Raises:
        ProtocolError: if the table of phases has no row for it.
    """
    match event:
        case FirstOpened():
            return replace(_stepped(state, ServerStep.OPENED), number=1), ()
        case (
            Adverted() | SatOut() | CohortChosen() | ContributionStaged() | CommitRequested() | Acknowledged()
        ):
            return _before_proposal(state, event, rules=rules), ()
        case Proposed(statement, total_bytes, seconds):
            if state.statement is not None:
                raise ProtocolError("survivors are proposed once an attempt")
            proposed = _stepped(state, ServerStep.PROPOSED)
            return (
                replace(proposed, statement=statement, total_bytes=total_bytes, total_seconds=seconds),
                (),
            )
        case VoidRequested(reason):
            return replace(_stepped(state, ServerStep.VOID_ASKED), void_reason=reason), ()
        case Voted():
            return _vote(state, event, rules=rules)
        case Abstained(member):
            state = _stepped(state, ServerStep.ABSTAINED)
            return replace(state, abstained=_in_order(state.members, {*state.abstained, member})), ()
        case Revealed():
            return _reveal(state, event, rules=rules)
        case Confirmed():
            return _confirm(state, event, rules=rules)
        case RoundDone():
            return _next_round(state, rules=rules)
        case SpoiledRequested():
            return replace(_stepped(state, ServerStep.SPOILED_ASKED), spoiled_asked=True), ()
        case KeysRotated():
            return _rotate(state, event, rules=rules)
        case _:
            return _come_and_go(state, event, rules=rules)


def _before_proposal(
    state: ServerState,
    event: Adverted | SatOut | CohortChosen | ContributionStaged | CommitRequested | Acknowledged,
    *,
    rules: ServerRules,
) -> ServerState:
    match event:
        case Adverted(advert):
            adverts = {each.body.signer: each for each in (*state.adverts, advert)}
            ordered = tuple(adverts[member] for member in rules.roster if member in adverts)
            back = tuple(member for member in state.sitting_out if member != advert.body.signer)
            return replace(_stepped(state, ServerStep.ADVERTED), adverts=ordered, sitting_out=back)
        case SatOut(member):
            state = replace(
                _stepped(state, ServerStep.SAT_OUT),
                sitting_out=_in_order(rules.roster, {*state.sitting_out, member}),
            )
            # Who is in a closed cohort stays in it: A is over its advert.
            others = tuple(each for each in state.adverts if each.body.signer != member)
            return state if state.cohort_digest else replace(state, adverts=others)
        case CohortChosen(members):
            adverts_of_cohort = tuple(each for each in state.adverts if each.body.signer in members)
            closed = replace(_stepped(state, ServerStep.COHORT_CLOSED), adverts=adverts_of_cohort)
            return replace(closed, cohort_digest=closed.cohort(rules).digest)
        case ContributionStaged(member):
            staged = {each.member: each for each in state.staged} | {member: event}
            ordered_stagings = tuple(staged[each] for each in state.members if each in staged)
            return replace(_stepped(state, ServerStep.STAGED), staged=ordered_stagings)
        case CommitRequested():
            return _stepped(state, ServerStep.COMMIT_ASKED)
        case Acknowledged(member):
            known = {each.member: each for each in state.acknowledged} | {member: event}
            ordered_words = tuple(known[each] for each in state.members if each in known)
            return replace(_stepped(state, ServerStep.ACKNOWLEDGED), acknowledged=ordered_words)
        case _:
            assert_never(event)


def _vote(state: ServerState, event: Voted, *, rules: ServerRules) -> Outcome:
    body, signature, needed = event.vote.body, event.vote.signature, state.sizes(rules).threshold
    match body:
        case SurvivorsVote():
            state = replace(state, votes=_votes_with(state, state.votes, Signed(body, signature)))
            enough = len(state.votes) >= needed
            return _certify(state, rules=rules) if enough else (_stepped(state, ServerStep.VOTED), ())
        case VoidVote():
            state = replace(state, void_votes=_votes_with(state, state.void_votes, Signed(body, signature)))
            enough = len(state.void_votes) >= needed
            return _void(state, rules=rules) if enough else (_stepped(state, ServerStep.VOTED), ())
        case SpoiledVote():
            votes = _votes_with(state, state.spoiled_votes, Signed(body, signature))
            state = replace(state, spoiled_votes=votes)
            return (
                _spoil(state, rules=rules)
                if len(votes) >= needed
                else (_stepped(state, ServerStep.VOTED), ())
            )
        case _:
            assert_never(body)


def _certify(state: ServerState, *, rules: ServerRules) -> Outcome:
    step = ServerStep.CERTIFIED if rules.shares else ServerStep.CERTIFIED_OPEN
    state = _stepped(state, step)
    dropped = DropBodies(state.round_number, state.number)
    return state, (Publish(state.certificate(rules)), dropped)


def _void(state: ServerState, *, rules: ServerRules) -> Outcome:
    proof = VoidProof(state.attempt(rules), state.cohort_digest, state.void_votes)
    settled = SettledAttempt(state.cohort(rules), proof)
    number, attempt = state.round_number, state.number
    dropped = (DropBodies(number, attempt), DropPackets(number, attempt), DropSum(number))
    return _next_attempt(_stepped(state, ServerStep.VOIDED), settled), dropped


def _spoil(state: ServerState, *, rules: ServerRules) -> Outcome:
    """Open the next attempt; whoever had applied the sum goes back, and the next one is over the same survivors."""
    before = state.round_number - 1
    confirmed = tuple(min(newest, before) for newest in state.confirmed)
    settled = SettledAttempt(state.cohort(rules), SpoiledProof(state.certificate(rules), state.spoiled_votes))
    bound = replace(state, bound_to=state.survivors, confirmed=confirmed, ending=())
    dropped = (DropPackets(state.round_number, state.number), DropSum(state.round_number))
    return _next_attempt(_stepped(bound, ServerStep.SPOILED), settled), dropped


def _reveal(state: ServerState, event: Revealed, *, rules: ServerRules) -> Outcome:
    revealed = (*state.revealed, event.reveal.body.signer)
    opened = state.phase is ServerPhase.REVEAL and len(revealed) >= state.sizes(rules).threshold
    state = _stepped(state, ServerStep.ENOUGH_REVEALED if opened else ServerStep.REVEALED)
    # With one reveal more the sum may open: whoever could not open it tries again before it says so.
    return replace(state, revealed=revealed, spoiled_asked=False), (KeepReveal(event),)


def _confirm(state: ServerState, event: Confirmed, *, rules: ServerRules) -> Outcome:
    confirmed = tuple(
        max(newest, event.round_number) if member == event.member else newest
        for member, newest in zip(rules.roster, state.confirmed, strict=True)
    )
    ends = event.last and event.round_number == state.round_number
    ending = {*state.ending, event.member} if ends else set(state.ending)
    oldest_needed = min(state.confirmed) + 1
    effects = tuple(DropSum(number) for number in range(oldest_needed, min(confirmed) + 1))
    state = _stepped(state, ServerStep.CONFIRMED)
    return replace(state, confirmed=confirmed, ending=_in_order(rules.roster, ending)), effects


def _next_round(state: ServerState, *, rules: ServerRules) -> Outcome:
    dropped = (DropPackets(state.round_number, state.number),)
    if state.round_number == rules.rounds or state.ending:
        return _stepped(state, ServerStep.LAST_ROUND), dropped
    opened = _stepped(state, ServerStep.NEXT_ROUND)
    return _emptied(replace(opened, round_number=state.round_number + 1, number=1), settled=()), dropped


def _rotate(state: ServerState, event: KeysRotated, *, rules: ServerRules) -> Outcome:
    """Go on after the round that all members have applied; what was open is given up, since nobody is bound by it."""
    following = event.applied + 1
    fits = following in (state.round_number, state.round_number + 1)
    if event.key_epoch != state.key_epoch(rules) + 1 or not fits or following > rules.rounds:
        raise ProtocolError(
            f"rotation {event.key_epoch} of the keys after round {event.applied} cannot follow where the server stands"
        )
    number, attempt = state.round_number, state.number
    sums = range(min(state.confirmed) + 1, number + 1)
    effects: tuple[Effect, ...] = (
        DropBodies(number, attempt),
        DropPackets(number, attempt),
        *(DropSum(each) for each in sums),
    )
    same = following == number
    moved = replace(
        _stepped(state, ServerStep.KEYS_ROTATED),
        round_number=following,
        number=(attempt + 1 if same else 1) if attempt else 0,
        confirmed=(event.applied,) * len(rules.roster),
        rotations=state.rotations + 1,
        left=(),
    )
    return _emptied(moved, settled=state.settled if same else ()), effects if attempt else ()


def _next_attempt(state: ServerState, settled: SettledAttempt) -> ServerState:
    return _emptied(replace(state, number=state.number + 1), settled=(*state.settled, settled))


def _emptied(state: ServerState, *, settled: tuple[SettledAttempt, ...]) -> ServerState:
    """The state at the start of an attempt."""
    return ServerState(
        phase=state.phase,
        round_number=state.round_number,
        number=state.number,
        confirmed=state.confirmed,
        settled=settled,
        bound_to=state.bound_to if settled else (),
        left=state.left,
        void_limit=state.void_limit if settled else MAX_VOID_ATTEMPTS,
        rotations=state.rotations,
    )


def _come_and_go(
    state: ServerState,
    event: MemberLeft | MemberReturned | MemberFinished | ServingEnded | RunFailed | RunResumed,
    *,
    rules: ServerRules,
) -> Outcome:
    match event:
        case MemberLeft(member, last_words):
            others = tuple(each for each in state.left if each[0] != member)
            return replace(_stepped(state, ServerStep.LEFT), left=(*others, (member, last_words))), ()
        case MemberReturned(member):
            others = tuple(each for each in state.left if each[0] != member)
            return replace(_stepped(state, ServerStep.RETURNED), left=others), ()
        case MemberFinished(member):
            state = _stepped(state, ServerStep.FINISHED)
            return replace(state, finished=_in_order(rules.roster, {*state.finished, member})), ()
        case ServingEnded():
            return _stepped(state, ServerStep.CLOSED), (End(None),)
        case RunFailed(cause):
            failed = replace(_stepped(state, ServerStep.FAILED), cause=cause, failed_in=state.phase)
            return failed, (End(cause),)
        case RunResumed():
            return _resumed(state), ()
        case _:
            assert_never(event)


def _resumed(state: ServerState) -> ServerState:
    """Go on where a failed run was, or serve the members that a closed one did not wait for.

    Everybody has to come again, so nobody counts as gone, and whoever can open the sum has its time again.
    """
    state = replace(state, left=(), spoiled_asked=False)
    if not state.over:
        return state
    phase = state.failed_in or ServerPhase.FAREWELL
    limit = min(state.number + MAX_VOID_ATTEMPTS, LAST_ATTEMPT)
    return replace(state, phase=phase, cause=None, failed_in=None, void_limit=limit)


def _votes_with(state: ServerState, votes: tuple[AnyVote, ...], vote: AnyVote) -> tuple[AnyVote, ...]:
    """The votes with one more, in the cohort's order."""
    place = state.places
    together = votes + (vote,)  # noqa: RUF005 - the type checker loses a constrained type in (*votes, vote)
    return tuple(sorted(together, key=lambda each: place[each.body.signer]))


def _in_order(names: tuple[str, ...], chosen: Iterable[str]) -> tuple[str, ...]:
    wanted = frozenset(chosen)
    return tuple(name for name in names if name in wanted)


def _stepped(state: ServerState, step: ServerStep) -> ServerState:
    return replace(state, phase=stepped(state.phase, step))
