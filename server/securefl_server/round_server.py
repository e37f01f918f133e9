"""The server's core: requests of members in, answers and announcements out; no socket, no thread, no clock of its own.

The rule kept here: what a member is answered is in the store before; whatever may be asked again is answered alike,
before and after a restart. A refused request changes nothing. The server holds no key: it can add, count and forward.

Everything runs on one thread, one call after the other. What members are told is a state (``announcement``): whoever
connects late, or again, hears where the federation stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import BinaryIO

from securefl.errors import DiskError, IdentityError, ProtocolError, SecureFLError, StateError
from securefl.progress import SERVER, EventSink, Phase, PhaseEnded, PhaseStarted, Warned
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import (
    AggregateHead,
    Announcement,
    Answer,
    CohortClosed,
    Done,
    FederationFailed,
    FetchAggregate,
    FetchCohort,
    FetchPackets,
    Leave,
    Packets,
    Request,
    StageContribution,
    Staged,
    StagedUpTo,
)
from securefl.protocol.last_words import passed_on
from securefl.protocol.rotation_requests import RotationRequest, check_requests
from securefl.protocol.sections import Section
from securefl.protocol.serving.acceptance import admitted, check_in_cohort, is_open
from securefl.protocol.serving.announcements import announcement_of
from securefl.protocol.serving.decisions import SumWanted, decide
from securefl.protocol.serving.round_events import (
    Cause,
    KeysRotated,
    MemberFinished,
    MemberLeft,
    MemberReturned,
    Proposed,
    RoundEvent,
    RunFailed,
    RunResumed,
    Voted,
)
from securefl.protocol.serving.round_machine import (
    replayed,
    transition,
)
from securefl.protocol.serving.server_phases import ServerPhase
from securefl.protocol.serving.server_state import ServerRules
from securefl.protocol.wire_staging import StageSizes
from securefl_server.bodies import Bodies
from securefl_server.intake import Intake, Taken
from securefl_server.round_archive import RoundArchive
from securefl_server.round_news import news_of
from securefl_server.round_store import RoundStore
from securefl_server.step_clock import StepClock

SectionsOf = Callable[[int], tuple[Section, ...]]
"""Gives the sections of a contribution to a round."""


class RoundServer:
    """One federation's server.

    Args:
        rules: What it goes by.
        sections: The form of contributions.
        store: Its memory; what an earlier run left there is gone on with.
        bodies: Its files.
        now: Seconds, from any start, that only grow.
        emit: Where events for people go.

    Attributes:
        state: Where the federation stands.

    Raises:
        DiskError, StateError: if the store cannot be read.
    """

    def __init__(
        self,
        rules: ServerRules,
        sections: SectionsOf,
        *,
        store: RoundStore,
        bodies: Bodies,
        now: Callable[[], float],
        emit: EventSink,
    ) -> None:
        self._rules = rules
        self._sections = sections
        self._store = store
        self._archive = RoundArchive(rules, store=store, bodies=bodies)
        self._now = now
        self._emit = emit
        self._listeners: list[Callable[[Announcement], object]] = []
        self._broken: SecureFLError | None = None
        self._wanted: SumWanted | None = None
        self._told: Announcement | None = None
        self.state = replayed((logged.event for logged in store.events()), rules=rules)
        opened = self.state.phase is not ServerPhase.GATHER
        self._clock = StepClock(rules, now, expected=frozenset(rules.roster) if opened else frozenset())
        self._intake = Intake(rules, sections, store=store, bodies=bodies)
        self._resume()
        self._told = self.announcement

    @property
    def announcement(self) -> Announcement:
        """The announcement that a member hears first when it connects now."""
        if self._broken is not None:
            return FederationFailed("", f"its disk failed ({self._broken.what})")
        return announcement_of(self.state, present=self._clock.connected, rules=self._rules)

    @property
    def over(self) -> bool:
        """True after the end, good or bad."""
        return self._broken is not None or self.state.over

    @property
    def error(self) -> SecureFLError | None:
        """The error that the process ends with; None where all went well, or is going on."""
        if self._broken is not None:
            return self._broken
        return None if self.state.cause is None else self.state.cause.error()

    @property
    def next_deadline(self) -> float | None:
        """Time at which ``wake`` is to be called; at once, while contributions wait to be added."""
        if self.over:
            return None
        return self._now() if self._wanted is not None else self._clock.next_deadline(self.state)

    def on_announcement(self, listener: Callable[[Announcement], object]) -> None:
        """Have a listener told every new announcement."""
        self._listeners.append(listener)

    def presence(self, member: str, present: bool) -> None:
        """Note that a member is connected, or has been out of reach for longer than it may be.

        Raises:
            AuthenticationError: if there is no such member.
        """
        self._rules.signing_key(member)
        if self.over:
            return
        # A failing disk is announced; there is nobody to answer.
        with suppress(StateError), self._failures_end_the_run():
            if not present:
                self._clock.depart(member)
            else:
                self._clock.arrive(member)
                if member in self.state.gone:
                    self._apply(MemberReturned(member))
            self._go_on()

    def hear(self, member: str, request: Request) -> Answer:
        """Answer a request.

        Raises:
            AuthenticationError: if something is not signed by this member, or not for this federation.
            ProtocolError: if it does not fit what is open, or the run has ended.
            StateError: if the server's own disk fails.
        """
        self._rules.signing_key(member)
        if isinstance(request, Leave) and self.over and not request.finished:
            return Done()
        if not isinstance(request, FetchAggregate):
            self._check_running()
        with self._failures_end_the_run():
            answer = self._answer(member, request)
            self._go_on()
        return answer

    def receive(self, member: str, attempt: Attempt, offset: int, chunk: bytes) -> Staged:
        """Take a piece of a contribution's body, from a place in it on.

        Bytes that are there already are passed over, so that a broken stream can be taken up from what ``Staged`` says.

        Raises:
            AuthenticationError: if the body is whole and has another digest than was promised.
            ProtocolError: if it leaves a gap, or no contribution of this member is awaited.
            WireError: if it is longer than the layout's, or not of its form.
            StateError: if the server's own disk fails.
        """
        self._check_running()
        with self._failures_end_the_run():
            staged = self._staged(
                self._intake.receive(self.state, member, attempt, offset=offset, chunk=chunk)
            )
            self._go_on()
        return staged

    def sizes(self, member: str, attempt: Attempt) -> StageSizes:
        """Lengths that a member's contribution to the open attempt must have.

        Raises:
            ProtocolError: if the attempt is over, the member is not in its cohort, or the run has ended.
        """
        self._check_running()
        return self._intake.sizes(self.state, member, attempt)

    def total(self, round_number: int) -> BinaryIO:
        """The bytes of a round's sum, open for reading.

        Raises:
            ProtocolError: if this sum cannot be fetched.
            StateError: if the server's own disk fails.
        """
        with self._failures_end_the_run():
            return self._archive.open_total(self._head(round_number))

    def fetch(self, round_number: int) -> tuple[AggregateHead, BinaryIO]:
        """The head and the bytes of a round's sum, of one moment.

        Raises:
            ProtocolError, StateError: as ``total``.
        """
        with self._failures_end_the_run():
            head = self._head(round_number)
            return head, self._archive.open_total(head)

    def wake(self) -> None:
        """Carry out what is due: add contributions, and go on where a deadline has passed."""
        if self.over:
            return
        # A failing disk is announced; there is nobody to answer.
        with suppress(StateError), self._failures_end_the_run():
            self._go_on()
            while self._wanted is not None and not self.over:
                wanted, self._wanted = self._wanted, None
                self._apply(self._add(wanted))
                self._go_on()

    def stop(self, reason: str) -> None:
        """End the run: members are told; a later start goes on."""
        if self.over:
            return
        with suppress(StateError), self._failures_end_the_run():
            self._apply(RunFailed(Cause("the server was stopped", hint=reason)))
            self._announce()

    def rotate(self, requests: Mapping[str, RotationRequest]) -> int:
        """Go on under new keys, after the sum that all members have applied; nothing happens where it did before.

        Args:
            requests: One of each member of the roster.

        Returns:
            Number of the rotation.

        Raises:
            IdentityError: if the whole roster does not ask for the next rotation after one sum.
            ProtocolError: if their sum is none that this server can stand at.
            StateError: if the server's own disk fails.
        """
        wish = check_requests(requests, self._rules.signing_keys)
        if wish.federation_digest != self._rules.federation_digest:
            raise IdentityError("the requests for new keys are of another federation than the server's")
        if wish.key_epoch == self.state.key_epoch(self._rules):
            return wish.key_epoch
        with self._failures_end_the_run():
            for request in requests.values():
                self._refused(request)
            self._apply(KeysRotated(wish.key_epoch, wish.applied))
        return wish.key_epoch

    def _refused(self, request: RotationRequest) -> None:
        """Count the vote of a member that refused the certified sum of the open attempt together with its keys."""
        wish, state = request.wish, self.state
        if wish.refusal is None or state.phase is not ServerPhase.AGGREGATE or state.statement is None:
            return
        vote = wish.refusal.vote(
            wish.id, federation_digest=wish.federation_digest, key_epoch=state.key_epoch(self._rules)
        )
        of_this_sum = (vote.body.attempt, vote.body.statement_digest) == (
            state.attempt(self._rules),
            state.statement.digest,
        )
        told = any(each.body.signer == wish.id for each in state.spoiled_votes)
        if of_this_sum and not told and wish.id in state.members:
            self._apply(Voted(vote))

    def _answer(self, member: str, request: Request) -> Answer:
        match request:
            case StageContribution():
                return self._staged(self._intake.announce(self.state, member, request))
            case StagedUpTo(attempt):
                return self._staged(self._intake.held(self.state, member, attempt))
            case FetchCohort(attempt):
                return self._cohort(member, attempt)
            case FetchPackets(attempt):
                return self._packets(member, attempt)
            case FetchAggregate(round_number):
                return self._head(round_number)
            case Leave():
                self._leave(member, request)
                return Done()
            case _:
                event = admitted(self.state, member, request, rules=self._rules)
                if event is not None:
                    self._apply(event)
                return Done()

    def _staged(self, taken: Taken) -> Staged:
        staged, event = taken
        if event is not None:
            self._apply(event)
        return staged

    def _cohort(self, member: str, attempt: Attempt) -> CohortClosed:
        if not is_open(self.state, attempt, rules=self._rules):
            raise ProtocolError(f"the attempt whose cohort {member} asks for is over")
        check_in_cohort(self.state, member)
        return CohortClosed(self.state.cohort(self._rules))

    def _packets(self, member: str, attempt: Attempt) -> Packets:
        state = self.state
        if not is_open(state, attempt, rules=self._rules):
            raise ProtocolError(f"the attempt whose packets {member} asks for is over")
        place = check_in_cohort(state, member)
        if state.phase is ServerPhase.STAGE:
            raise ProtocolError(f"{member} asks for packets before all are there")
        sealed = self._store.packets_to(attempt, place)
        places = state.places
        senders = {places[each.member]: each.body_digest for each in state.staged}
        listed = tuple(
            (index, sealed[index], digest) for index, digest in sorted(senders.items()) if index in sealed
        )
        return Packets(attempt, listed)

    def _leave(self, member: str, farewell: Leave) -> None:
        state = self.state
        if member in state.finished:
            return
        if not farewell.finished:
            words = passed_on(farewell.last_words)
            self._emit(Warned(member=member, message=f"{member} left: {words}"))
            self._apply(MemberLeft(member, words))
        elif state.confirmed[self._rules.roster.index(member)] < state.newest_sum:
            raise ProtocolError(f"{member} leaves, and has not confirmed the sum of round {state.newest_sum}")
        else:
            self._apply(MemberFinished(member))
        self._clock.depart(member)

    def _head(self, round_number: int) -> AggregateHead:
        return self._archive.head(round_number, newest=self.state.newest_sum)

    def _add(self, wanted: SumWanted) -> Proposed:
        """Add the contributions of the survivors, and make the statement about their sum."""
        number = self.state.round_number
        self._emit(PhaseStarted(member=SERVER, round_number=number, phase=Phase.AGGREGATE))
        proposed = self._archive.propose(self.state, wanted.indices, self._sections(number))
        seconds = proposed.seconds
        self._emit(PhaseEnded(member=SERVER, round_number=number, phase=Phase.AGGREGATE, seconds=seconds))
        return proposed

    def _go_on(self) -> None:
        """Carry out everything that is due, but for adding, which ``wake`` does; then tell what is new."""
        while not self.over:
            decision = decide(self.state, self._clock.circumstances(self.state), rules=self._rules)
            if decision is None:
                break
            if isinstance(decision, SumWanted):
                self._wanted = decision
                break
            self._apply(decision)
        self._announce()

    def _apply(self, event: RoundEvent) -> None:
        """Make an event true: in the store first, then in the state, then in the files."""
        state, effects = transition(self.state, event, rules=self._rules)
        news = news_of(event, self.state)
        self._archive.write(event, state, effects)
        self.state, self._wanted = state, None
        self._emit(news)
        self._archive.carry_out(effects)

    def _resume(self) -> None:
        """Go on after an earlier run: clear away what a crash left, and take nobody for gone."""
        state = self.state
        self._archive.clear(state)
        unfinished = state.phase is ServerPhase.CLOSED and len(state.finished) < len(self._rules.roster)
        if state.phase is ServerPhase.FAILED or unfinished or state.left:
            self._apply(RunResumed())

    def _check_running(self) -> None:
        if self._broken is not None:
            raise StateError("the server cannot go on", hint=f"its disk failed ({self._broken.what})")
        if self.state.phase is ServerPhase.FAILED and self.state.cause is not None:
            raise ProtocolError("the run has ended", hint=str(self.state.cause.error()).rstrip("."))

    @contextmanager
    def _failures_end_the_run(self) -> Iterator[None]:
        """End the run for an error of the server's own disk: its operator is told the path, members are not."""
        try:
            yield
        except (DiskError, StateError) as error:
            if self._broken is None:
                self._broken = error
                self._announce()
            hint = f"its disk failed ({self._broken.what})"
            raise StateError("the server cannot go on", hint=hint) from None

    def _announce(self) -> None:
        announcement = self.announcement
        if announcement != self._told:
            self._told = announcement
            for listener in self._listeners:
                listener(announcement)
