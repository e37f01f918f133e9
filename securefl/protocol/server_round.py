"""The server's state machine: events in, effects out.

The rule kept here: only this class decides what the server does next, and it decides from events alone. It does
no I/O, reads no clock, and keeps no contribution's body: the caller checks and adds bodies, runs the timers, and
feeds what happened. Events are handled one at a time; a refused event raises and leaves the state as it was.

Reference: the phases are those of Bonawitz et al. 2017, section 4; ``transitions`` holds their rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from securefl.crypto.identity import verify
from securefl.errors import AuthenticationError, MemberLost, ProtocolError, RunError
from securefl.protocol.federation import ServerView
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
from securefl.protocol.transitions import ServerPhase, ServerStep, server_step


class Timer(Enum):
    """The clocks a caller runs for the server."""

    JOIN = "join"
    ROUND = "round"


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """Event: a member opened its stream, for the first time or again."""

    member: str


@dataclass(frozen=True, slots=True)
class MemberGone:
    """Event: a member said farewell before its time, or stayed out of reach for too long."""

    member: str
    last_words: str


@dataclass(frozen=True, slots=True)
class ContributionAccepted:
    """Event: a contribution is whole, checked and added to the running sum."""

    signed: SignedHeader
    seeds: bytes


@dataclass(frozen=True, slots=True)
class SumSaved:
    """Event: the round's sum is on disk and can be fetched."""


@dataclass(frozen=True, slots=True)
class AggregateFetched:
    """Event: a member confirms that it has the whole aggregate of a round."""

    member: str
    round: int


@dataclass(frozen=True, slots=True)
class MemberFinished:
    """Event: a member has all it needs and leaves."""

    member: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Event: a timer ran out."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Stopped:
    """Event: the operator ends the server, or the server cannot go on."""

    reason: str


Event = (
    MemberJoined
    | MemberGone
    | ContributionAccepted
    | SumSaved
    | AggregateFetched
    | MemberFinished
    | TimedOut
    | Stopped
)


@dataclass(frozen=True, slots=True)
class Announce:
    """Effect: tell every member that is connected."""

    announcement: Announcement


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Effect: (re)start a timer."""

    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Effect: a timer is no longer needed."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class OpenSum:
    """Effect: start the round's running sum at zero."""

    round: int


@dataclass(frozen=True, slots=True)
class SaveSum:
    """Effect: write the running sum to disk, then feed ``SumSaved``."""

    round: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Effect: nobody needs the files of this round any more."""

    round: int


@dataclass(frozen=True, slots=True)
class End:
    """Effect: the run is over; ``error`` is None where all went well."""

    error: RunError | None


Effect = Announce | StartTimer | StopTimer | OpenSum | SaveSum | Discard | End


class ServerRound:
    """One federation from the server's side.

    Attributes:
        phase: Where the server stands.
        manifest: The open round's manifest; None before the first round.
        current: What a member that connects now is told first.
    """

    def __init__(self, view: ServerView) -> None:
        self._view = view
        self.phase = ServerPhase.GATHER
        self.manifest: Manifest | None = None
        self.current: Announcement = Waiting(missing=view.cohort)
        self._joined: set[str] = set()
        self._contributions: dict[str, ContributionAccepted] = {}
        self._fetched: set[str] = set()
        self._finished: set[str] = set()

    @property
    def round(self) -> int:
        """Number of the open round; 0 before the first."""
        return self.manifest.round if self.manifest else 0

    def start(self) -> tuple[Effect, ...]:
        """The effects to carry out before any event."""
        return (StartTimer(Timer.JOIN, self._view.server.join_timeout_s),)

    def receive(self, event: Event) -> tuple[Effect, ...]:
        """Takes one event and says what follows from it.

        Raises:
            ProtocolError: if the table has no row for it.
            AuthenticationError: if it is a contribution that does not hold.
        """
        match event:
            case MemberJoined(member):
                return self._join(member)
            case ContributionAccepted():
                return self._contribute(event)
            case SumSaved():
                return self._publish()
            case AggregateFetched(member, number):
                return self._fetch(member, number)
            case MemberFinished(member):
                return self._finish(member)
            case MemberGone(member, last_words):
                # A member that has all it needs may go; the federation does not end with it.
                gone = member in self._finished or self.phase in (ServerPhase.CLOSED, ServerPhase.FAILED)
                return () if gone else self._fail(MemberLost(member, last_words), member, last_words)
            case TimedOut(timer):
                return self._time_out(timer)
            case Stopped(reason):
                return self._fail(
                    RunError("the server was stopped", hint=reason), "", f"the server was stopped: {reason}"
                )
            case _:
                assert_never(event)

    def check_contribution(self, signed: SignedHeader, seeds: bytes) -> None:
        """Refuses a contribution by its header, before its body is looked at.

        Guarantee: what passes was signed by a member of the open round's cohort for this manifest (so for this
        federation and cohort) and these seeds; EUF-CMA of Ed25519 and collision resistance of SHA-256 assumed.

        Raises:
            ProtocolError: if no round is open, or the header is for another round or manifest.
            AuthenticationError: if the contributor, the seeds or the signature do not hold.
        """
        header = signed.header
        if self.phase is not ServerPhase.CONTRIBUTE or self.manifest is None:
            raise ProtocolError(f"no round is open for contributions (phase '{self.phase.value}')")
        if header.round != self.manifest.round or header.manifest_digest != self.manifest.digest:
            raise ProtocolError(
                f"{header.member}'s contribution is not for the open round {self.manifest.round}",
                hint="check that every member and the server hold the same federation file",
            )
        entry = self._view.entry(header.member)
        if len(seeds) != StreamSizes.of_contribution(self._view.sections(header.round)).seeds_bytes:
            raise AuthenticationError(f"{header.member}'s seeds have the wrong length")
        if hashlib.sha256(seeds).digest() != header.seeds_digest:
            raise AuthenticationError(f"{header.member}'s seeds do not match its signed header")
        verify(entry.signing_key, signed.signature, header.signed_bytes())

    def accepted(self, member: str) -> SignedHeader | None:
        """The header already accepted from a member in the open round."""
        contribution = self._contributions.get(member)
        return contribution.signed if contribution else None

    def aggregate_header(self, *, body_bytes: int, aggregate_seconds: float) -> AggregateHeader:
        """What goes before the aggregate's body, contributors in the cohort's order."""
        if self.manifest is None or self.phase is not ServerPhase.AGGREGATE:
            raise ProtocolError("there is no aggregate to fetch")
        ordered = [self._contributions[member] for member in self.manifest.cohort]
        return AggregateHeader(
            round=self.manifest.round,
            contributors=tuple(contribution.signed for contribution in ordered),
            seeds=tuple(contribution.seeds for contribution in ordered),
            body_bytes=body_bytes,
            aggregate_seconds=aggregate_seconds,
        )

    def _join(self, member: str) -> tuple[Effect, ...]:
        self._view.entry(member)
        missing = tuple(name for name in self._view.cohort if name not in self._joined | {member})
        gathered = self.phase is ServerPhase.GATHER and not missing
        self.phase = server_step(self.phase, ServerStep.ROSTER_COMPLETE if gathered else ServerStep.JOIN)
        self._joined.add(member)
        if gathered:
            return (StopTimer(Timer.JOIN), *self._open(1))
        if self.phase is ServerPhase.GATHER:
            return (self._announce(Waiting(missing)),)
        return ()

    def _open(self, number: int) -> tuple[Effect, ...]:
        self.manifest = Manifest(self._view.federation_digest, number, self._view.cohort)
        self._contributions.clear()
        self._fetched.clear()
        return (
            OpenSum(number),
            StartTimer(Timer.ROUND, self._view.server.round_timeout_s),
            self._announce(RoundOpened(self.manifest)),
        )

    def _contribute(self, event: ContributionAccepted) -> tuple[Effect, ...]:
        self.check_contribution(event.signed, event.seeds)
        member = event.signed.header.member
        if member in self._contributions:
            raise ProtocolError(f"{member} contributed to round {self.round} already")
        complete = len(self._contributions) + 1 == len(self._view.cohort)
        self.phase = server_step(
            self.phase, ServerStep.COHORT_COMPLETE if complete else ServerStep.CONTRIBUTION
        )
        self._contributions[member] = event
        return (SaveSum(self.round),) if complete else ()

    def _publish(self) -> tuple[Effect, ...]:
        self.phase = server_step(self.phase, ServerStep.SUM_SAVED)
        return (self._announce(AggregateReady(self.round)),)

    def _fetch(self, member: str, number: int) -> tuple[Effect, ...]:
        self._view.entry(member)
        if number != self.round:
            # The confirmation of an earlier round, repeated after a reconnection, changes nothing.
            return ()
        everybody = self._fetched | {member} == set(self._view.cohort)
        last = number == self._view.rounds
        if not everybody:
            self.phase = server_step(self.phase, ServerStep.FETCH)
            self._fetched.add(member)
            return ()
        self.phase = server_step(self.phase, ServerStep.LAST_FETCHED if last else ServerStep.ALL_FETCHED)
        if last:
            return (Discard(number), StopTimer(Timer.ROUND), self._announce(FederationClosed()))
        return (Discard(number), *self._open(number + 1))

    def _finish(self, member: str) -> tuple[Effect, ...]:
        self._view.entry(member)
        everybody = self._finished | {member} == set(self._view.cohort)
        self.phase = server_step(self.phase, ServerStep.ALL_FINISHED if everybody else ServerStep.FINISH)
        self._finished.add(member)
        return (End(None),) if everybody else ()

    def _time_out(self, timer: Timer) -> tuple[Effect, ...]:
        if timer is Timer.JOIN:
            late = [member for member in self._view.cohort if member not in self._joined]
            waited_s = self._view.server.join_timeout_s
            missing = "did not join"
        else:
            done = self._contributions if self.phase is ServerPhase.CONTRIBUTE else self._fetched
            late = [member for member in self._view.cohort if member not in done]
            waited_s = self._view.server.round_timeout_s
            missing = f"did not complete round {self.round}"
        reason = f"{', '.join(late) or 'the server'} {missing} within {waited_s:g} s"
        return self._fail(
            RunError(reason, hint="start what is missing, or raise the limit in [server]"), "", reason
        )

    def _fail(self, error: RunError, member: str, reason: str) -> tuple[Effect, ...]:
        if self.phase in (ServerPhase.CLOSED, ServerPhase.FAILED):
            return ()
        self.phase = server_step(self.phase, ServerStep.LOSS)
        return (self._announce(FederationFailed(member, reason[:500])), End(error))

    def _announce(self, announcement: Announcement) -> Announce:
        self.current = announcement
        return Announce(announcement)
