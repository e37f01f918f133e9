"""The server's core: requests of members in, answers and announcements out; no socket, no thread, no clock of its own.

The rule kept here: what a member is answered is in the store before; whatever may be asked again is answered alike,
before and after a restart. A refused request changes nothing. The server holds no key: it can add, count and forward.

Everything runs on one thread, one call after the other. What members are told is a state (``announcement``): whoever
connects late, or again, hears where the federation stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, assert_never

from securefl.errors import DiskError, ProtocolError, RunError, SecureFLError, StateError
from securefl.progress import SERVER, EventSink, Phase, PhaseEnded, PhaseStarted, Warned
from securefl.protocol.agreement.commitment import header_digest
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.agreement.statement import Survivor, Survivors
from securefl.protocol.calls import (
    AggregateHead,
    Announcement,
    Answer,
    Done,
    FederationFailed,
    FetchAggregate,
    FetchPackets,
    Leave,
    Packets,
    Request,
    StageContribution,
    Staged,
    StagedUpTo,
)
from securefl.protocol.last_words import passed_on
from securefl.protocol.sections import Section
from securefl.protocol.serving.admission import admitted, check_in_cohort, is_open
from securefl.protocol.serving.announcements import announcement_of
from securefl.protocol.serving.decisions import SumWanted, decide
from securefl.protocol.serving.round_events import (
    Cause,
    MemberFinished,
    MemberLeft,
    MemberReturned,
    Proposed,
    RoundEvent,
    RunFailed,
    RunResumed,
)
from securefl.protocol.serving.round_machine import (
    DropBodies,
    DropPackets,
    DropSum,
    Effect,
    End,
    KeepReveal,
    Publish,
    replayed,
    transition,
)
from securefl.protocol.serving.server_phases import ServerPhase
from securefl.protocol.serving.server_state import ServerRules, ServerState
from securefl.protocol.serving.sum_head import SumHead
from securefl_server.bodies import Bodies
from securefl_server.body_sums import add_bodies
from securefl_server.intake import Intake
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
        self._bodies = bodies
        self._now = now
        self._emit = emit
        self._listeners: list[Callable[[Announcement], None]] = []
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
        """Time at which ``wake`` is to be called, on the clock of ``now``; now, while contributions wait to be added."""
        if self.over:
            return None
        return self._now() if self._wanted is not None else self._clock.next_deadline(self.state)

    def on_announcement(self, listener: Callable[[Announcement], None]) -> None:
        """Has a listener told every new announcement."""
        self._listeners.append(listener)

    def presence(self, member: str, present: bool) -> None:
        """Notes that a member is connected, or has been out of reach for longer than it may be.

        Raises:
            AuthenticationError: if there is no such member.
        """
        self._rules.signing_key(member)
        if self.over:
            return
        if present:
            self._clock.arrive(member)
            if member in self.state.gone:
                self._apply(MemberReturned(member))
        else:
            self._clock.depart(member)
        self._go_on()

    def hear(self, member: str, request: Request) -> Answer:
        """Answers a request.

        Raises:
            AuthenticationError: if something is not signed by this member, or not for this federation.
            ProtocolError: if it does not fit what is open, or the run has ended.
            StateError: if the server's own disk fails.
        """
        self._rules.signing_key(member)
        if isinstance(request, FetchAggregate):
            return self._head(request.round_number)
        self._check_running()
        try:
            answer = self._answer(member, request)
        except DiskError as error:
            raise self._break(error) from None
        self._go_on()
        return answer

    def receive(self, member: str, attempt: Attempt, offset: int, chunk: bytes) -> Staged:
        """Takes a piece of a contribution's body, from a place in it on.

        Bytes that are there already are passed over, so that a broken stream can be taken up from what ``Staged`` says.

        Raises:
            AuthenticationError: if the body is whole and has another digest than was promised.
            ProtocolError: if it leaves a gap, or no contribution of this member is awaited.
            WireError: if it is longer than the layout's, or not of its form.
            StateError: if the server's own disk fails.
        """
        self._check_running()
        try:
            staged, event = self._intake.receive(self.state, member, attempt, offset=offset, chunk=chunk)
            if event is not None:
                self._apply(event)
        except DiskError as error:
            raise self._break(error) from None
        self._go_on()
        return staged

    def total(self, round_number: int) -> BinaryIO:
        """The bytes of a round's sum, open for reading.

        Raises:
            ProtocolError: if this sum cannot be fetched.
            StateError: if the server's own disk fails.
        """
        number = self._head(round_number).certificate.statement.attempt.number
        try:
            return self._bodies.open_total(round_number, number)
        except DiskError as error:
            raise self._break(error) from None

    def wake(self) -> None:
        """Carries out what is due: adds contributions, and goes on where a deadline has passed."""
        if self.over:
            return
        self._go_on()
        while self._wanted is not None and not self.over:
            wanted, self._wanted = self._wanted, None
            try:
                self._apply(self._add(wanted))
            except DiskError as error:
                self._break(error)
                return
            self._go_on()

    def stop(self, reason: str) -> None:
        """Ends the run: members are told; a later start goes on."""
        if not self.over:
            self._apply(RunFailed(Cause("the server was stopped", hint=reason)))
            self._announce()

    def _answer(self, member: str, request: Request) -> Answer:
        match request:
            case StageContribution():
                return self._intake.announce(self.state, member, request)
            case StagedUpTo(attempt):
                return self._intake.held(self.state, member, attempt)
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

    def _packets(self, member: str, attempt: Attempt) -> Packets:
        state = self.state
        if not is_open(state, attempt, rules=self._rules):
            raise ProtocolError(f"the attempt whose packets {member} asks for is over")
        place = check_in_cohort(state, member)
        if state.phase is ServerPhase.STAGE:
            raise ProtocolError(f"{member} asks for packets before all are there")
        sealed = self._store.packets_to(attempt, place)
        senders = {state.members.index(each.member): each.body_digest for each in state.staged}
        listed = tuple(
            (index, sealed[index], digest) for index, digest in sorted(senders.items()) if index in sealed
        )
        return Packets(attempt, listed)

    def _head(self, round_number: int) -> AggregateHead:
        there = round_number <= self.state.newest_sum
        head = self._store.sum_head(round_number) if there else None
        if head is None:
            raise ProtocolError(
                f"the sum of round {round_number} cannot be fetched",
                hint="it is not certified yet" if not there else "every member has confirmed that it has it",
            )
        place = {member: index for index, member in enumerate(head.cohort.members)}
        reveals = self._store.reveals(round_number)
        return head.answer(tuple(sorted(reveals, key=lambda reveal: place[reveal.body.signer])))

    def _leave(self, member: str, farewell: Leave) -> None:
        state = self.state
        if member in state.finished or state.phase is ServerPhase.CLOSED:
            return
        self._clock.depart(member)
        if not farewell.finished:
            words = passed_on(farewell.last_words)
            self._emit(Warned(member=member, message=f"{member} left: {words}"))
            self._apply(MemberLeft(member, words))
            return
        newest = state.confirmed[self._rules.roster.index(member)]
        if newest < state.newest_sum:
            raise ProtocolError(f"{member} leaves, and has not applied the sum of round {state.newest_sum}")
        self._apply(MemberFinished(member))

    def _add(self, wanted: SumWanted) -> Proposed:
        """Adds the contributions of the survivors, and makes the statement about their sum."""
        state, rules = self.state, self._rules
        number, attempt = state.round_number, state.attempt(rules)
        headers = {each.member: each.header for each in state.acknowledged if each.header is not None}
        members = [state.members[index] for index in wanted.indices]
        self._emit(PhaseStarted(member=SERVER, round_number=number, phase=Phase.AGGREGATE))
        total = add_bodies(
            [self._bodies.body(attempt, member) for member in members],
            self._sections(number),
            self._bodies.total(number, state.number),
        )
        self._emit(
            PhaseEnded(member=SERVER, round_number=number, phase=Phase.AGGREGATE, seconds=total.seconds)
        )
        survivors = tuple(
            Survivor(index, header_digest(headers[member]))
            for index, member in zip(wanted.indices, members, strict=True)
        )
        statement = Survivors(attempt, state.cohort_digest, survivors, total.digest)
        return Proposed(statement, total.size, total.seconds)

    def _go_on(self) -> None:
        """Carries out everything that is due, but for adding, which ``wake`` does; then tells what is new."""
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
        """Makes an event true: in the store first, then in the state, then in the files."""
        state, effects = transition(self.state, event, rules=self._rules)
        news = news_of(event, self.state)
        try:
            self._write(event, state, effects)
        except (DiskError, StateError) as error:
            raise self._break(error) from None
        self.state, self._wanted = state, None
        self._emit(news)
        for effect in effects:
            self._carry_out(effect)

    def _write(self, event: RoundEvent, state: ServerState, effects: tuple[Effect, ...]) -> None:
        head = reveal = None
        for effect in effects:
            match effect:
                case Publish():
                    head = self._sum_head(state)
                case KeepReveal(revealed):
                    reveal = revealed.reveal
                case DropBodies() | DropPackets() | DropSum() | End():
                    continue
                case _:
                    assert_never(effect)
        self._store.append(event, head=head, reveal=reveal)

    def _sum_head(self, state: ServerState) -> SumHead:
        attempt = state.attempt(self._rules)
        contributions = [self._store.contribution(attempt, member) for member in state.survivors]
        return SumHead(
            cohort=state.cohort(self._rules),
            settled=state.settled,
            certificate=state.certificate(self._rules),
            headers=state.headers(),
            seeds=tuple(each.seeds if each is not None else b"" for each in contributions),
            body_bytes=state.total_bytes,
            aggregate_seconds=state.total_seconds,
        )

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case DropBodies(round_number, number):
                self._bodies.drop_bodies(round_number, number)
            case DropPackets(round_number, number):
                self._store.drop_contributions(round_number, number)
            case DropSum(round_number):
                self._bodies.drop_sums(round_number)
                self._store.drop_sum(round_number)
            case Publish() | KeepReveal() | End():
                return
            case _:
                assert_never(effect)

    def _resume(self) -> None:
        """Goes on after an earlier run: clears away what a crash left, and takes nobody for gone."""
        state = self.state
        open_attempt = (state.round_number, state.number)
        self._store.sweep(contributions_of=open_attempt)
        sums = self._store.sum_places()
        mine = (open_attempt,) if state.statement is not None else ()
        self._bodies.sweep(bodies_of=open_attempt, sums=(*sums, *mine))
        unfinished = state.phase is ServerPhase.CLOSED and len(state.finished) < len(self._rules.roster)
        if state.phase is ServerPhase.FAILED or unfinished or state.left:
            self._apply(RunResumed())

    def _check_running(self) -> None:
        if self._broken is not None:
            raise StateError("the server cannot go on", hint=f"its disk failed ({self._broken.what})")
        if self.state.phase is ServerPhase.FAILED and self.state.cause is not None:
            raise ProtocolError("the run has ended", hint=str(self.state.cause.error()).rstrip("."))

    def _break(self, error: SecureFLError) -> RunError:
        """Ends the run for an error of the server's own disk: its operator is told the path, the members are not."""
        if self._broken is None:
            self._broken = error
            self._announce()
        return StateError("the server cannot go on", hint=f"its disk failed ({error.what})")

    def _announce(self) -> None:
        announcement = self.announcement
        if announcement != self._told:
            self._told = announcement
            for listener in self._listeners:
                listener(announcement)
