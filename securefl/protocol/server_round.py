"""The server's state machine: a state and an event in, the next state and effects out.

The rule kept here: only ``transition`` decides what the server does next, and it decides from the state and the event
alone. It does no I/O, reads no clock, and keeps no contribution's body: the caller checks and adds bodies, runs the
timers, and feeds what happened. A state is never changed: a refused event raises, and the state given is still good.
So a state can be stored and compared, and the same events lead to an equal state again.

One round of three members, where ``view`` is what the server knows of them and ``contribution`` signs for one (a test
runs this):

    >>> state, effects = start(view)
    >>> effects
    (StartTimer(timer=<Timer.JOIN: 'join'>, seconds=600),)
    >>> for member in ("client-1", "client-2"):
    ...     state, effects = transition(state, MemberJoined(member), view=view)
    >>> state.current
    Waiting(missing=('client-3',))
    >>> state, effects = transition(state, MemberJoined("client-3"), view=view)
    >>> [type(effect).__name__ for effect in effects]
    ['StopTimer', 'OpenSum', 'StartTimer', 'Announce']
    >>> transition(state, SumSaved(), view=view)
    Traceback (most recent call last):
    securefl.errors.ProtocolError: 'the sum is on disk' cannot happen in the phase 'contribute'.
    >>> for member in view.cohort:
    ...     state, effects = transition(state, contribution(member), view=view)
    >>> effects
    (SaveSum(round_number=1),)
    >>> state, effects = transition(state, SumSaved(), view=view)
    >>> effects
    (Announce(announcement=AggregateReady(round_number=1)),)
    >>> for member in view.cohort:
    ...     state, effects = transition(state, AggregateFetched(member, 1), view=view)
    >>> [type(effect).__name__ for effect in effects], state.current
    (['Discard', 'StopTimer', 'Announce'], FederationClosed())
    >>> for member in view.cohort:
    ...     state, effects = transition(state, MemberFinished(member), view=view)
    >>> effects, state.phase
    ((End(failure=None),), <ServerPhase.CLOSED: 'closed'>)

Reference: the phases are those of Bonawitz et al. 2017, section 4; ``transitions`` holds their rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import assert_never

from securefl.errors import AuthenticationError, ProtocolError
from securefl.identity.signing import verify
from securefl.protocol.messages import (
    AggregateHeader,
    AggregateReady,
    Announcement,
    FederationClosed,
    FederationFailed,
    Manifest,
    RoundOpened,
    SignedHeader,
    Waiting,
)
from securefl.protocol.sections import StreamSizes
from securefl.protocol.server_events import (
    AggregateFetched,
    Announce,
    ContributionAccepted,
    Discard,
    Effect,
    End,
    Event,
    Failure,
    MemberFinished,
    MemberGone,
    MemberJoined,
    OpenSum,
    SaveSum,
    StartTimer,
    Stopped,
    StopTimer,
    SumSaved,
    TimedOut,
    Timer,
)
from securefl.protocol.server_view import ServerView
from securefl.protocol.transitions import ServerPhase, ServerStep, server_step


@dataclass(frozen=True, slots=True)
class ServerState:
    """One federation from the server's side, at one moment.

    Attributes:
        phase: Where the server stands.
        current: What a member that connects now is told first.
        manifest: The open round's, or the last one's; None before the first round.
        joined: Members that opened their stream at least once.
        contributions: Accepted in this round, in the cohort's order, whatever order they came in.
        fetched: Members that have this round's aggregate; the last one's confirmation moves the phase instead.
        ending: Those of them whose sums end the federation with this round.
        finished: Members that have all they need.
    """

    phase: ServerPhase
    current: Announcement
    manifest: Manifest | None = None
    joined: frozenset[str] = frozenset()
    contributions: tuple[ContributionAccepted, ...] = ()
    fetched: frozenset[str] = frozenset()
    ending: frozenset[str] = frozenset()
    finished: frozenset[str] = frozenset()

    @property
    def round_number(self) -> int:
        """Number of the open round, or of the last one.

        Raises:
            ProtocolError: before the first one.
        """
        if self.manifest is None:
            raise ProtocolError("no round is open yet")
        return self.manifest.round_number

    @property
    def contributors(self) -> frozenset[str]:
        """Members whose contribution to this round was accepted."""
        return frozenset(contribution.signed.header.member for contribution in self.contributions)

    @property
    def over(self) -> bool:
        """True after the end, good or bad."""
        return self.phase in (ServerPhase.CLOSED, ServerPhase.FAILED)

    def accepted(self, member: str) -> SignedHeader | None:
        """The header already accepted from a member in the open round."""
        for contribution in self.contributions:
            if contribution.signed.header.member == member:
                return contribution.signed
        return None


Outcome = tuple[ServerState, tuple[Effect, ...]]
"""The next state, and what to carry out, in this order."""


def start(view: ServerView) -> Outcome:
    """The first state, and the effects to carry out before any event."""
    state = ServerState(ServerPhase.GATHER, Waiting(missing=view.cohort))
    return state, (StartTimer(Timer.JOIN, view.server.join_timeout_s),)


def transition(state: ServerState, event: Event, *, view: ServerView) -> Outcome:
    """The state after an event, and what follows from it.

    Raises:
        ProtocolError: if the table has no row for it.
        AuthenticationError: if it is a contribution that does not hold, or of nobody in the roster.
    """
    match event:
        case MemberJoined(member):
            return _join(state, member, view=view)
        case ContributionAccepted():
            return _contribute(state, event, view=view)
        case SumSaved():
            return _announce(_stepped(state, ServerStep.SUM_SAVED), AggregateReady(state.round_number))
        case AggregateFetched():
            return _fetch(state, event, view=view)
        case MemberFinished(member):
            return _finish(state, member, view=view)
        case MemberGone(member, last_words):
            # A member that has all it needs may go; the federation does not end with it.
            if member in state.finished:
                return state, ()
            return _fail(state, Failure(last_words, member=member), reason=last_words)
        case TimedOut(timer):
            reason = _lateness(state, timer, view=view)
            hint = "start what is missing, or raise the limit in [server]"
            return _fail(state, Failure(reason, hint=hint), reason=reason)
        case Stopped(reason):
            what = "the server was stopped"
            return _fail(state, Failure(what, hint=reason), reason=f"{what}: {reason}")
        case _:
            assert_never(event)


def check_contribution(state: ServerState, *, signed: SignedHeader, seeds: bytes, view: ServerView) -> None:
    """Refuses a contribution by its header, before its body is looked at.

    Guarantee: what passes was signed by a member of the open round's cohort for this manifest (so for this
    federation and cohort) and these seeds; EUF-CMA of Ed25519 and collision resistance of SHA-256 assumed.

    Raises:
        ProtocolError: if no round is open, or the header is for another round or manifest.
        AuthenticationError: if the contributor, the seeds or the signature do not hold.
    """
    header = signed.header
    if isinstance(state.current, FederationFailed):
        # A member that was at work when the run ended may send before it hears of the end.
        raise ProtocolError("the federation has ended", hint=_end(state.current))
    if state.phase is not ServerPhase.CONTRIBUTE or state.manifest is None:
        raise ProtocolError(f"no round is open for contributions (phase '{state.phase.value}')")
    if header.round_number != state.manifest.round_number or header.manifest_digest != state.manifest.digest:
        raise ProtocolError(
            f"{header.member}'s contribution is not for the open round {state.manifest.round_number}",
            hint="check that every member and the server hold the same federation file",
        )
    entry = view.entry(header.member)
    if len(seeds) != StreamSizes.of_contribution(view.sections(header.round_number)).seeds_bytes:
        raise AuthenticationError(f"{header.member}'s seeds have the wrong length")
    if hashlib.sha256(seeds).digest() != header.seeds_digest:
        raise AuthenticationError(f"{header.member}'s seeds do not match its signed header")
    verify(entry.signing_key, signed.signature, header.signed_bytes())


def _end(failed: FederationFailed) -> str:
    return f"{failed.member} left the federation: {failed.reason}" if failed.member else failed.reason


def aggregate_header(state: ServerState, *, body_bytes: int, aggregate_seconds: float) -> AggregateHeader:
    """Header that goes before the aggregate's body, contributors in the cohort's order.

    Raises:
        ProtocolError: if no sum is saved.
    """
    if state.phase is not ServerPhase.AGGREGATE:
        raise ProtocolError("there is no aggregate to fetch")
    return AggregateHeader(
        round_number=state.round_number,
        contributors=tuple(contribution.signed for contribution in state.contributions),
        seeds=tuple(contribution.seeds for contribution in state.contributions),
        body_bytes=body_bytes,
        aggregate_seconds=aggregate_seconds,
    )


def _join(state: ServerState, member: str, *, view: ServerView) -> Outcome:
    view.entry(member)
    joined = state.joined | {member}
    missing = tuple(name for name in view.cohort if name not in joined)
    gathered = state.phase is ServerPhase.GATHER and not missing
    step = ServerStep.ROSTER_COMPLETE if gathered else ServerStep.JOIN
    state = replace(_stepped(state, step), joined=joined)
    if gathered:
        state, effects = _open(state, view.first_round, view=view)
        return state, (StopTimer(Timer.JOIN), *effects)
    if state.phase is ServerPhase.GATHER:
        return _announce(state, Waiting(missing))
    return state, ()


def _open(state: ServerState, number: int, *, view: ServerView) -> Outcome:
    manifest = Manifest(view.federation_digest, number, view.cohort)
    state = replace(state, manifest=manifest, contributions=(), fetched=frozenset(), ending=frozenset())
    state, announce = _announce(state, RoundOpened(manifest))
    return state, (OpenSum(number), StartTimer(Timer.ROUND, view.server.round_timeout_s), *announce)


def _contribute(state: ServerState, event: ContributionAccepted, *, view: ServerView) -> Outcome:
    check_contribution(state, signed=event.signed, seeds=event.seeds, view=view)
    member = event.signed.header.member
    if state.accepted(member) is not None:
        raise ProtocolError(f"{member} contributed to round {state.round_number} already")
    place = {name: index for index, name in enumerate(view.cohort)}
    contributions = sorted((*state.contributions, event), key=lambda each: place[each.signed.header.member])
    complete = len(contributions) == len(view.cohort)
    step = ServerStep.COHORT_COMPLETE if complete else ServerStep.CONTRIBUTION
    state = replace(_stepped(state, step), contributions=tuple(contributions))
    return state, (SaveSum(state.round_number),) if complete else ()


def _fetch(state: ServerState, event: AggregateFetched, *, view: ServerView) -> Outcome:
    member, number = event.member, event.round_number
    view.entry(member)
    if state.manifest is None or number != state.round_number:
        # The confirmation of an earlier round, repeated after a reconnection, changes nothing.
        return state, ()
    fetched = state.fetched | {member}
    ending = state.ending | ({member} if event.last else frozenset())
    if fetched != frozenset(view.cohort):
        return replace(_stepped(state, ServerStep.FETCH), fetched=fetched, ending=ending), ()
    if ending and ending != fetched:
        return _fail(state, _disagreement(ending, number=number, view=view), reason=_DISAGREE)
    if number == view.rounds or ending:
        state, announce = _announce(_stepped(state, ServerStep.LAST_FETCHED), FederationClosed())
        return state, (Discard(number), StopTimer(Timer.ROUND), *announce)
    state, effects = _open(_stepped(state, ServerStep.ALL_FETCHED), number + 1, view=view)
    return state, (Discard(number), *effects)


_DISAGREE = "the members do not agree that the federation ends early"


def _disagreement(ending: frozenset[str], *, number: int, view: ServerView) -> Failure:
    """The end of a run in which some members, whose sums are the same, say that it is over, and others do not."""
    names = ", ".join(member for member in view.cohort if member in ending)
    return Failure(_DISAGREE, hint=f"after round {number} only {names} did; compare the members' versions")


def _finish(state: ServerState, member: str, *, view: ServerView) -> Outcome:
    view.entry(member)
    finished = state.finished | {member}
    everybody = finished == frozenset(view.cohort)
    step = ServerStep.ALL_FINISHED if everybody else ServerStep.FINISH
    return replace(_stepped(state, step), finished=finished), (End(None),) if everybody else ()


def _lateness(state: ServerState, timer: Timer, *, view: ServerView) -> str:
    """Who kept the others waiting for too long."""
    if timer is Timer.JOIN:
        done, waited_s, missing = state.joined, view.server.join_timeout_s, "did not join"
    else:
        done = state.contributors if state.phase is ServerPhase.CONTRIBUTE else state.fetched
        waited_s, missing = view.server.round_timeout_s, f"did not complete round {state.round_number}"
    late = ", ".join(member for member in view.cohort if member not in done)
    return f"{late or 'the server'} {missing} within {waited_s:g} s"


def _fail(state: ServerState, failure: Failure, *, reason: str) -> Outcome:
    if state.over:
        return state, ()
    failed = _stepped(state, ServerStep.LOSS)
    failed, announce = _announce(failed, FederationFailed(failure.member, reason[:500]))
    return failed, (*announce, End(failure))


def _announce(state: ServerState, announcement: Announcement) -> Outcome:
    return replace(state, current=announcement), (Announce(announcement),)


def _stepped(state: ServerState, step: ServerStep) -> ServerState:
    return replace(state, phase=server_step(state.phase, step))
