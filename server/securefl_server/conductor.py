"""Carries out what the state machine says, and tells it what happens.

The rule kept here: everything runs on one event loop, so an event is fed and its effects are carried out
before the next one; whatever blocks (adding, saving) runs on a single worker thread and comes back as an
event. Announcements are a state, not a queue: a member that connects late, or again, is told where the federation
stands now.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar, assert_never

from securefl.errors import DiskError, ProtocolError, RunError, StateError
from securefl.progress import (
    SERVER,
    EventSink,
    MembersAwaited,
    Phase,
    PhaseEnded,
    PhaseStarted,
    RoundFinished,
    RoundStarted,
    Warned,
)
from securefl.progress import (
    MemberJoined as JoinedNews,
)
from securefl.protocol.messages import Announcement, FederationFailed, SignedHeader, Waiting
from securefl.protocol.server_events import (
    Announce,
    ContributionAccepted,
    Discard,
    Effect,
    End,
    Event,
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
from securefl.protocol.server_round import check_contribution, start, transition
from securefl.protocol.server_view import ServerView
from securefl.storage.disk import disk_error
from securefl_server.attendance import Attendance
from securefl_server.record import Recorder
from securefl_server.store import Incoming, Spool
from securefl_server.summation import RoundSum

Result = TypeVar("Result")


class Conductor:
    """Runs one federation's state machine on the current event loop.

    Args:
        view: What the server knows of the federation.
        spool: Where sums lie.
        worker: One thread; whatever blocks runs there, one after the other.
        recorder: Takes the figures.
        emit: Where events for people go.
        silence_s: After how long the transport takes a silent member for gone; told to whoever has to wait for it.

    Attributes:
        state: Where the federation stands; only ``feed`` replaces it.
        ended: Done when the run is over; its result is the error that ended it, or None.
    """

    def __init__(
        self,
        view: ServerView,
        *,
        spool: Spool,
        worker: Executor,
        recorder: Recorder,
        emit: EventSink,
        silence_s: float,
    ) -> None:
        self.state, self._first = start(view)
        self.ended: asyncio.Future[RunError | None] = asyncio.get_running_loop().create_future()
        self._view = view
        self._spool = spool
        self._worker = worker
        self._recorder = recorder
        self._emit = emit
        self._sum: RoundSum | None = None
        self._adding = asyncio.Lock()
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._cause: RunError | None = None
        self._attendance = Attendance(silence_s=silence_s)
        self._absences: dict[str, asyncio.TimerHandle] = {}
        self._departed: set[str] = set()
        self._version = 0
        self._news = asyncio.Event()

    def start(self) -> None:
        """Carries out the first effects."""
        self._carry_out(self._first)

    def feed(self, event: Event) -> None:
        """Gives one event to the state machine and carries out what follows.

        Raises:
            RunError: if the state machine refuses it; nothing has changed then.
        """
        self.state, effects = transition(self.state, event, view=self._view)
        self._carry_out(effects)

    def stop(self, reason: str) -> None:
        """Ends the run: members are told, ``ended`` is set."""
        self.feed(Stopped(reason))

    def depart(self, member: str) -> None:
        """Notes that a member said farewell: its absence is no loss from now on."""
        self._departed.add(member)
        self._stir()

    @property
    def departed(self) -> frozenset[str]:
        """Members that said farewell."""
        return frozenset(self._departed)

    def admit(self, member: str, process: bytes) -> None:
        """Refuses a process of a member whose place another one holds; a run that has failed tells everybody so.

        Raises:
            ProtocolError: if it cannot take part.
        """
        if not self._failed:
            self._attendance.check(member, process, contributed=self._contributed(member))

    def speaks(self, member: str, process: bytes) -> bool:
        """Tell if what a process says of its member's end counts."""
        return self._attendance.speaks(member, process)

    async def follow(self, member: str, process: bytes) -> AsyncGenerator[Announcement, None]:
        """Give what to tell a member, until it leaves, the run ends, or a newer stream of the same process takes over.

        Only the newest announcement is kept: whoever reads slowly passes over those in between.

        Raises:
            ProtocolError: if another process of the member holds its place, or a newer stream takes over.
        """
        if self._failed:
            yield self.state.current
            return
        stream = self._attendance.enter(member, process, contributed=self._contributed(member))
        self._present(member)
        self._stir()
        try:
            self._emit(JoinedNews(member=member))
            self.feed(MemberJoined(member))
            told = -1
            while self._attendance.holds(member, stream):
                news = self._news
                if told != self._version:
                    told = self._version
                    yield self.state.current
                elif self.ended.done() or member in self._departed:
                    return
                else:
                    await news.wait()
            raise ProtocolError(f"a newer connection of {member} took this one's place")
        finally:
            if self._attendance.leave(member, stream):
                self._absent(member)
                self._stir()

    async def accept(self, signed: SignedHeader, seeds: bytes, body: Incoming) -> None:
        """Adds a checked contribution to the sum and counts it: both, or neither; then removes its file.

        Runs to its end even if the caller is cancelled meanwhile, because half of it would spoil the sum.

        Raises:
            ProtocolError: if it was accepted already, or no round is open.
            WireError: if a residue is out of range.
        """
        await asyncio.shield(self._spawn(self._accept(signed, seeds, body)))

    async def offload(self, executor: Executor, work: Callable[[], Result]) -> Result:
        """Runs blocking work on another thread, to its end even if the caller is cancelled meanwhile.

        Raises:
            StateError: if files cannot be read or written; the run ends then. It is for the caller, who is
                another member, and names no path.
        """
        future = asyncio.get_running_loop().run_in_executor(executor, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # Whoever cleans up after a cancelled caller must not find the thread still at its file.
            await asyncio.wait([future])
            raise
        except OSError as error:
            raise self.disk_failed(error) from None

    def disk_failed(self, error: OSError) -> StateError:
        """Ends the run for an error of the server's own files.

        Its operator is told the path, the members only that it was the disk.

        Returns:
            What to raise to the member that called.
        """
        known = disk_error(error, self._spool.folder)
        reason = f"its disk failed ({known.what if known else error.strerror})"
        self._cause = self._cause or known or DiskError(reason, where=str(self._spool.folder))
        self.stop(reason)
        return StateError("the server cannot go on", hint=reason)

    async def _accept(self, signed: SignedHeader, seeds: bytes, body: Incoming) -> None:
        with body:
            async with self._adding:
                accepted = self.state.accepted(signed.header.member)
                if accepted == signed:
                    return
                if accepted is not None:
                    raise ProtocolError(f"{signed.header.member} sent two contributions at a time")
                check_contribution(self.state, signed=signed, seeds=seeds, view=self._view)
                await self.offload(self._worker, partial(self._running_sum.add, body.path))
                self.feed(ContributionAccepted(signed, seeds))

    @property
    def _failed(self) -> bool:
        return isinstance(self.state.current, FederationFailed)

    def _contributed(self, member: str) -> bool:
        """True if the server holds, or has added up, anything of a member's."""
        if self.state.manifest is None:
            return False
        return self.state.round_number > self._view.first_round or self.state.accepted(member) is not None

    @property
    def aggregate_seconds(self) -> float:
        """Seconds that the open round's addition has taken so far."""
        return self._running_sum.seconds

    @property
    def aggregate_bytes(self) -> int:
        """Length of the open round's sum."""
        return self._running_sum.aggregate_bytes

    @property
    def _running_sum(self) -> RoundSum:
        if self._sum is None:
            raise StateError("no round has been opened")
        return self._sum

    def _carry_out(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Announce(announcement):
                    self._announce(announcement)
                case StartTimer(timer, seconds):
                    self._stop_timer(timer)
                    loop = asyncio.get_running_loop()
                    self._timers[timer] = loop.call_later(seconds, self.feed, TimedOut(timer))
                case StopTimer(timer):
                    self._stop_timer(timer)
                case OpenSum(number):
                    self._open(number)
                case SaveSum(number):
                    self._spawn(self._save(number))
                case Discard(number):
                    self._close(number)
                case End():
                    self._end(effect.error)
                case _:
                    assert_never(effect)

    def _announce(self, announcement: Announcement) -> None:
        if isinstance(announcement, Waiting):
            self._emit(MembersAwaited(missing=announcement.missing))
        self._version += 1
        self._stir()

    def _open(self, number: int) -> None:
        self._sum = RoundSum(self._view.sections(number))
        self._recorder.open_round()
        what = (
            f"sum {number - self._view.first_round + 1} of {len(self._view.openings)}" if number < 1 else ""
        )
        self._emit(RoundStarted(member=SERVER, round_number=number, rounds=self._view.rounds, what=what))

    async def _save(self, number: int) -> None:
        self._emit(PhaseStarted(member=SERVER, round_number=number, phase=Phase.AGGREGATE))
        try:
            await self.offload(self._worker, partial(self._running_sum.save, self._spool.total(number)))
        except RunError:
            # ``offload`` has ended the run.
            return
        seconds = self._running_sum.seconds
        self._emit(PhaseEnded(member=SERVER, round_number=number, phase=Phase.AGGREGATE, seconds=seconds))
        if not self.ended.done():
            self.feed(SumSaved())

    def _close(self, number: int) -> None:
        figures = self._recorder.close_round(number, aggregate_seconds=self.aggregate_seconds)
        self._spool.discard(number)
        self._emit(RoundFinished(member=SERVER, round_number=number, seconds=figures.seconds))

    def _end(self, error: RunError | None) -> None:
        for timer in tuple(self._timers):
            self._stop_timer(timer)
        if not self.ended.done():
            self.ended.set_result(self._cause if error is not None and self._cause is not None else error)
        self._stir()

    def _stop_timer(self, timer: Timer) -> None:
        handle = self._timers.pop(timer, None)
        if handle is not None:
            handle.cancel()

    def _present(self, member: str) -> None:
        absence = self._absences.pop(member, None)
        if absence is not None:
            absence.cancel()

    def _absent(self, member: str) -> None:
        if member in self._departed or self.ended.done():
            return
        grace_s = self._view.server.reconnect_grace_s
        self._emit(
            Warned(member=member, message=f"{member} is out of reach; it has {grace_s:g} s to come back")
        )
        words = f"its connection broke and it did not come back within {grace_s:g} s"
        loop = asyncio.get_running_loop()
        self._absences[member] = loop.call_later(grace_s, self.feed, MemberGone(member, words))

    def _stir(self) -> None:
        """Wakes everybody who waits for news."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Runs something beside the calls; what it raises unexpectedly ends the run instead of vanishing."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._settle)
        return task

    def _settle(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, RunError) and not self.ended.done():
            self.ended.set_exception(error)
