"""The calls of a round with attempts: from certificates to members, from the event loop to the core's one thread.

The rule kept here: nothing is decided here. Who may speak, the roster's certificates say, never a message; what a
request means, the core says. The core runs on one worker thread, one call after the other; totals are read on other
threads, so that a slow download holds up nobody. Announcements are a state, not a queue: whoever reads slowly passes
over those in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final, Generic, TypeVar

from securefl.errors import ProtocolError, RunError, SecureFLError
from securefl.progress import EventSink, MemberJoined, MembersAwaited, Warned
from securefl.protocol.agreement.signed import PROTOCOL_VERSION, Attempt
from securefl.protocol.calls import (
    AggregateHead,
    Announcement,
    Answer,
    FetchAggregate,
    Leave,
    Request,
    Staged,
    Waiting,
)
from securefl.protocol.server_view import ServerView
from securefl.protocol.wire_calls import Hello
from securefl.protocol.wire_staging import StageSizes
from securefl_server.attendance import Attendance
from securefl_server.round_server import RoundServer

PIECE_BYTES: Final = 1 << 16
"""A piece of a total as it is read and sent."""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Turn(Generic[Result]):
    """One call of the core, and how the core stood after it; ``results`` is empty where it refused."""

    results: tuple[Result, ...]
    refusal: RunError | None
    over: bool
    error: SecureFLError | None
    deadline: float | None


class RoundService:
    """Answers the calls of one federation (a ``transport.aggregator_server.AggregatorService``).

    Args:
        view: What the server knows of the federation.
        core: Decides everything; made on the event loop, called on ``worker`` from then on.
        worker: One thread.
        files: Threads that read totals.
        now: The core's clock.
        emit: Where events for people go.
        silence_s: After how long the transport takes a silent member for gone.

    Attributes:
        ended: Done when the run is over; its result is the error that ended it, or None.
    """

    def __init__(
        self,
        view: ServerView,
        core: RoundServer,
        *,
        worker: Executor,
        files: Executor,
        now: Callable[[], float],
        emit: EventSink,
        silence_s: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[SecureFLError | None] = self._loop.create_future()
        self._view = view
        self._core = core
        self._worker = worker
        self._files = files
        self._now = now
        self._emit = emit
        self._attendance = Attendance(silence_s=silence_s)
        self._absences: dict[str, asyncio.TimerHandle] = {}
        self._departed: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._announcement = core.announcement
        self._news = asyncio.Event()
        # Called on the worker, before the call that brought it is over.
        core.on_announcement(lambda told: self._loop.call_soon_threadsafe(self._tell, told))

    async def start(self) -> None:
        """Begin to keep deadlines."""
        await self._call(self._core.wake)

    async def stop(self, reason: str) -> None:
        """End the run: members are told, ``ended`` is set; a later start goes on."""
        await self._call(partial(self._core.stop, reason))

    async def join(self, peer: bytes, hello: Hello) -> Announcement:
        """Return what ``follow`` would say first.

        Raises:
            AuthenticationError: if the certificate is no member's.
            ProtocolError: if version or federation are others, or another process of the member is connected.
        """
        member = self._introduced(peer, hello)
        if not self.ended.done():
            self._attendance.check(member, hello.process)
        return self._announcement

    async def follow(self, peer: bytes, hello: Hello) -> AsyncGenerator[Announcement, None]:
        """Announcements, until the member leaves, the run is over, or a newer stream of its process takes over.

        Raises:
            AuthenticationError, ProtocolError: as ``join``.
        """
        member = self._introduced(peer, hello)
        if self.ended.done():
            yield self._announcement
            return
        stream = self._attendance.enter(member, hello.process)
        try:
            await self._arrived(member)
            told: Announcement | None = None
            while self._attendance.holds(member, stream):
                news = self._news
                if told != self._announcement:
                    told = self._announcement
                    yield told
                elif self.ended.done() or member in self._departed:
                    return
                else:
                    await news.wait()
            raise ProtocolError(f"a newer connection of {member} took this one's place")
        finally:
            if self._attendance.leave(member, stream):
                self._absent(member)

    async def hear(self, peer: bytes, request: Request) -> Answer:
        """The core's answer to a request.

        Raises:
            RunError: if the core refuses it.
        """
        member = self._member(peer)
        try:
            return await self._call(partial(self._core.hear, member, request))
        except RunError as error:
            self._emit(Warned(member=member, message=f"{member} was refused: {error}"))
            raise

    async def sizes(self, peer: bytes, attempt: Attempt) -> StageSizes:
        """Lengths that this member's contribution must have.

        Raises:
            RunError: if none of it is awaited.
        """
        return await self._call(partial(self._core.sizes, self._member(peer), attempt))

    async def receive(self, peer: bytes, attempt: Attempt, offset: int, chunk: bytes) -> Staged:
        """Add bytes to this member's body.

        Raises:
            RunError: if the core refuses them.
        """
        return await self._call(partial(self._core.receive, self._member(peer), attempt, offset, chunk))

    async def aggregate(
        self, peer: bytes, request: FetchAggregate
    ) -> tuple[AggregateHead, AsyncGenerator[bytes, None]]:
        """The head of a round's sum, and its total from the offset on, in pieces.

        Raises:
            RunError: if this sum cannot be fetched.
        """
        self._member(peer)
        head, total = await self._call(partial(self._core.fetch, request.round_number))
        return head, self._pieces(total, request.offset)

    async def leave(self, peer: bytes, leave: Leave, process: bytes) -> None:
        """Let a member go; said again, or by a process that has no place, it changes nothing.

        Raises:
            ProtocolError: if it claims to be finished and is not.
        """
        member = self._member(peer)
        if not self._attendance.speaks(member, process):
            return
        await self.hear(peer, leave)
        self._departed.add(member)
        self._stir()

    def _member(self, peer: bytes) -> str:
        return self._view.by_certificate(peer).id

    def _introduced(self, peer: bytes, hello: Hello) -> str:
        member = self._member(peer)
        if hello.protocol_version != PROTOCOL_VERSION:
            raise ProtocolError(
                f"{member} speaks version {hello.protocol_version} of the protocol, the server {PROTOCOL_VERSION}",
                hint="install the same version of securefl everywhere",
            )
        if hello.federation_digest != self._view.federation_digest:
            raise ProtocolError(
                f"{member} holds another federation file than the server",
                hint="carry the folders that one and the same 'securefl init' made to all machines",
            )
        return member

    async def _arrived(self, member: str) -> None:
        absence = self._absences.pop(member, None)
        if absence is not None:
            absence.cancel()
        self._departed.discard(member)
        self._emit(MemberJoined(member=member))
        await self._call(partial(self._core.presence, member, True))

    def _absent(self, member: str) -> None:
        if self.ended.done() or member in self._departed:
            return
        grace_s = self._view.server.reconnect_grace_s
        self._emit(
            Warned(
                member=member, message=f"{member} is out of reach; after {grace_s:g} s it is not waited for"
            )
        )
        self._absences[member] = self._loop.call_later(grace_s, self._give_up, member)

    def _give_up(self, member: str) -> None:
        self._absences.pop(member, None)
        self._spawn(self._call(partial(self._core.presence, member, False)))

    async def _pieces(self, total: BinaryIO, offset: int) -> AsyncGenerator[bytes, None]:
        with total:
            await self._loop.run_in_executor(self._files, total.seek, offset)
            while piece := await self._loop.run_in_executor(self._files, total.read, PIECE_BYTES):
                yield piece

    async def _call(self, work: Callable[[], Result]) -> Result:
        """Run one call of the core on its thread, to its end even if the caller goes away; then mind the clock."""
        future = self._loop.run_in_executor(self._worker, partial(self._turn, work))
        future.add_done_callback(self._turned)
        turn = await asyncio.shield(future)
        if turn.refusal is not None:
            raise turn.refusal
        return turn.results[0]

    def _turn(self, work: Callable[[], Result]) -> _Turn[Result]:
        """Run on the worker: whatever is read of the core is read there."""
        results: tuple[Result, ...] = ()
        refusal = None
        try:
            results = (work(),)
        except RunError as error:
            refusal = error
        return _Turn(results, refusal, self._core.over, self._core.error, self._core.next_deadline)

    def _turned(self, future: asyncio.Future[_Turn[Result]]) -> None:
        fault = None if future.cancelled() else future.exception()
        if fault is not None:
            # A fault of this program ends the run instead of vanishing with a caller.
            self._end(fault=fault)
        elif not future.cancelled():
            turn = future.result()
            if turn.over:
                self._end(error=turn.error)
            else:
                self._mind_the_clock(turn.deadline)

    def _mind_the_clock(self, deadline: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None and not self.ended.done():
            self._timer = self._loop.call_later(max(0.0, deadline - self._now()), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._spawn(self._call(self._core.wake))

    def _end(self, *, error: SecureFLError | None = None, fault: BaseException | None = None) -> None:
        if self.ended.done():
            return
        for handle in (*self._absences.values(), *([self._timer] if self._timer else [])):
            handle.cancel()
        if fault is not None:
            self.ended.set_exception(fault)
        else:
            self.ended.set_result(error)
        self._stir()

    def _tell(self, announcement: Announcement) -> None:
        self._announcement = announcement
        if isinstance(announcement, Waiting):
            self._emit(MembersAwaited(missing=announcement.missing))
        self._stir()

    def _stir(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        async def quietly() -> None:
            # What the core refused, nobody asked for; faults are the done-callback's.
            with suppress(Exception):
                await work

        task = self._loop.create_task(quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
