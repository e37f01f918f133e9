"""A member's process in a world: its session, its requests and their repetition, its ends and starts.

The rule kept here: it does what the real process does, message by message: one announcement at a time, the newest
first, every request again until it is answered, a body from where the server holds it on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from securefl.errors import DiskError, ProtocolError, RunError, SecureFLError, TransportError
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import (
    Acknowledge,
    AggregateHead,
    Announcement,
    Answer,
    CastVote,
    Confirm,
    FederationFailed,
    FetchAggregate,
    FetchPackets,
    Leave,
    Request,
    SendAdvert,
    SendReveal,
    StageContribution,
    Staged,
)
from securefl.protocol.last_words import sentence_for
from securefl.simulation.world.faults import Chance
from securefl.simulation.world.server import Killed, ServerCore, ServerProcess, Stream
from securefl.simulation.world.virtual_clock import Clock, Planned
from securefl_client.driver import is_dropped
from securefl_client.round_work import Downloaded, Got, Sent, Steps, Upload

RETRY_S: Final = 2.0
"""Time without an answer after which a request is made again."""
CHUNK_BYTES: Final = 16_384
"""Piece of a body in a world: small, so that there are many places to break off at."""


Straggling = SendAdvert | FetchPackets | Acknowledge | CastVote | SendReveal | Confirm
"""Requests of one message, of which a copy may still be on its way when the next one is answered."""
Alter = Callable[[Sent], tuple[Sent, ...]]
"""Gives what a hostile member sends in the place of a request; the answer to the last of them is its session's."""


def as_it_is(sent: Sent) -> tuple[Sent, ...]:
    """Give the request itself, as an honest member sends it."""
    return (sent,)


class Session(Protocol):
    """``securefl_client.session.MemberSession``, as the world uses it."""

    def handle(self, announcement: Announcement) -> Steps:
        """Do what an announcement asks."""
        ...


@dataclass(slots=True)
class Ending:
    """End of a member's part: a good one where there is no error."""

    error: SecureFLError | None = None


class MemberProcess:
    """A member that can end and start again.

    Args:
        name: The member's id.
        make: Starts a session from the member's folder; may raise ``Killed``.
        close: Closes what ``make`` opened, as the operating system does for a process that ended.
        server: The server's process.
        clock: The world's.
        chance: The world's.
        comes_back: Tells if a process that ended is started again.
        observe: Told everything that leaves the member, each time.
        alter: Makes what a hostile member sends.

    Attributes:
        ending: How its part ended; None before.
        lost: It ended, and does not come back.
        starts: How often it was started.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Session],
        close: Callable[[], None],
        *,
        server: ServerProcess,
        clock: Clock,
        chance: Chance,
        comes_back: Callable[[str], bool],
        observe: Callable[[str, Sent], None],
        alter: Alter = as_it_is,
    ) -> None:
        self.name = name
        self._make = make
        self._close = close
        self._server = server
        self._clock = clock
        self._chance = chance
        self._comes_back = comes_back
        self._observe = observe
        self._alter = alter
        self._session: Session | None = None
        self._steps: Steps | None = None
        self._sent: Sent | None = None
        self._request_number = 0
        self._newest: Announcement | None = None
        self._handling: Announcement | None = None
        self._refusal: RunError | None = None
        self._refused_by = 0
        self._retry: Planned | None = None
        self._life = 0
        self.ending: Ending | None = None
        self.lost = False
        self.starts = 0

    # --- process

    def start(self) -> None:
        """Start the process and connect it."""
        self.starts += 1
        try:
            self._session = self._make()
        except (Killed, DiskError):
            self.end()
            return
        self._connect()

    def end(self) -> None:
        """End the process as by SIGKILL; it is started again, or it is not."""
        self._life += 1
        self._session, self._steps, self._sent = None, None, None
        self._newest = self._handling = None
        if self._retry is not None:
            self._retry.cancel()
        self._close()
        self._server.disconnect(self.name)
        if self._comes_back(self.name):
            self._clock.after(self._chance.pause(), self.start)
        else:
            self.lost = True

    def _over(self, error: SecureFLError | None) -> None:
        self.ending = Ending(error)
        self._life += 1
        self._session, self._steps, self._sent = None, None, None
        self._close()
        self._server.disconnect(self.name)

    # --- announcements

    def _connect(self) -> None:
        if self._session is None:
            return
        life = self._life
        try:
            self._server.connect(self.name, Stream(self._announced, self._stream_broken))
        except TransportError:
            self._clock.after(RETRY_S, self._alive(life, self._connect))

    def _stream_broken(self) -> None:
        if self._session is not None:
            self._clock.after(self._chance.latency(), self._alive(self._life, self._connect))

    def _announced(self, announcement: Announcement) -> None:
        """An announcement leaves the server; it arrives a moment later, or the stream breaks."""
        if self._lost(self._chance.faults.announcement_lost):
            self._server.disconnect(self.name)
            self._stream_broken()
            return
        arrive = self._alive(self._life, lambda: self._hear(announcement))
        self._clock.after(self._chance.latency(), arrive)

    def _hear(self, announcement: Announcement) -> None:
        # Latencies differ, so an older announcement may come after a newer one; the server's own order counts.
        core = self._server.running
        self._newest = announcement if core is None else core.announcement
        self._go_on()

    def _go_on(self) -> None:
        """Begin with the newest announcement, unless it is at work."""
        if self._steps is not None or self._newest is None or self._newest == self._handling:
            return
        if self._session is None:
            return
        announcement = self._handling = self._newest
        if isinstance(announcement, FederationFailed):
            if self._server.comes_back:
                self.end()
            else:
                self._over(ProtocolError(announcement.reason))
            return
        self._refusal = None
        self._steps = self._session.handle(announcement)
        self._advance(None)

    def _advance(self, answer: Got | None, *, refusal: RunError | None = None, by: int = 0) -> None:
        """Give the session an answer, or a refusal by a server's start, and make the request that comes next."""
        steps = self._steps
        assert steps is not None
        left = isinstance(self._sent, Leave)
        try:
            if refusal is not None:
                self._refusal, self._refused_by = refusal, by
                sent = steps.throw(refusal)
            else:
                sent = next(steps) if answer is None else steps.send(answer)
        except StopIteration:
            self._steps = self._sent = None
            if left:
                self._over(None)
            else:
                self._go_on()
            return
        except Killed:
            self.end()
            return
        except DiskError as error:
            self._stopped_by_disk(error)
            return
        except SecureFLError as error:
            self._refused(error)
            return
        self._sent = sent
        self._request_number += 1
        self._transmit()

    def _stopped_by_disk(self, error: DiskError) -> None:
        """End with last words, as the process does; the operator makes room and starts it again."""
        self._server.alert()
        if not self._lost(self._chance.faults.request_lost):
            with suppress(SecureFLError):
                self._server.do(
                    lambda core: core.hear(self.name, Leave(finished=False, last_words=sentence_for(error)))
                )
        self.end()

    def _refused(self, error: SecureFLError) -> None:
        """Drops what was asked of it by an announcement that is past; else the member's part ends."""
        self._steps = self._sent = None
        core = self._server.running
        newest = self._newest if core is None else core.announcement
        if is_dropped(error, refused=self._refusal, is_past=lambda: newest != self._handling):
            self._newest = newest
            self._go_on()
        elif core is None or (error is self._refusal and self._refused_by != self._server.starts):
            # The last that the server said before its disk ended it: both are started again.
            self.end()
        else:
            self._over(error)

    # --- requests

    def _transmit(self) -> None:
        """Send the open request; again after a while, if no answer came."""
        life, number = self._life, self._request_number
        if self._retry is not None:
            self._retry.cancel()
        self._retry = self._clock.after(RETRY_S, self._alive(life, lambda: self._again(number)))
        deliver = self._alive(life, lambda: self._deliver(number))
        times = 2 if self._happens(self._chance.faults.request_twice) else 1
        for _ in range(times):
            if not self._lost(self._chance.faults.request_lost):
                self._clock.after(self._chance.latency(), deliver)
        if self._happens(self._chance.faults.request_late) and isinstance(self._sent, Straggling):
            late = self._sent
            self._clock.after(self._chance.delay(), lambda: self._straggle(late))

    def _straggle(self, request: Request) -> None:
        """A copy arrives when other requests have come after it; whatever it is answered, nobody hears it."""
        with suppress(SecureFLError):
            self._server.do(lambda core: core.hear(self.name, request))

    def _again(self, number: int) -> None:
        if self._sent is not None and number == self._request_number:
            self._transmit()

    def _deliver(self, number: int) -> None:
        """The request arrives, also one that was answered before: it is a repetition then."""
        if self._sent is None or number != self._request_number:
            return
        life, by = self._life, self._server.starts
        try:
            for sent in self._alter(self._sent):
                self._observe(self.name, sent)
                answer: Got = self._carried_out(sent)
        except TransportError:
            return
        except RunError as error:
            refusal = error
            self._answered(life, number, lambda: self._advance(None, refusal=refusal, by=by))
            return
        self._answered(life, number, lambda: self._advance(answer))

    def _answered(self, life: int, number: int, take: Callable[[], None]) -> None:
        if self._lost(self._chance.faults.answer_lost):
            return

        def arrive() -> None:
            if self._sent is not None and number == self._request_number:
                # From here on a second answer to it is none.
                self._request_number += 1
                take()

        self._clock.after(self._chance.latency(), self._alive(life, arrive))

    def _carried_out(self, sent: Sent) -> Got:
        match sent:
            case Upload():
                return self._upload(sent)
            case FetchAggregate():
                return self._download(sent)
            case _:
                request: Request = sent
                return self._server.do(lambda core: core.hear(self.name, request))

    def _upload(self, upload: Upload) -> Staged:
        staged = self._server.do(lambda core: core.hear(self.name, upload.head))
        assert isinstance(staged, Staged)
        with upload.body.open("rb") as body:
            body.seek(staged.received)
            while not staged.complete and (chunk := body.read(CHUNK_BYTES)):
                staged = self._piece(upload.head, staged.received, chunk)
                if self._lost(self._chance.faults.chunk_lost):
                    raise TransportError("the connection broke")
        return staged

    def _piece(self, head: StageContribution, offset: int, chunk: bytes) -> Staged:
        attempt: Attempt = head.attempt
        return self._server.do(lambda core: core.receive(self.name, attempt, offset, chunk))

    def _download(self, request: FetchAggregate) -> Downloaded:
        def read(core: ServerCore) -> tuple[Answer, bytes]:
            head = core.hear(self.name, request)
            with core.total(request.round_number) as file:
                return head, file.read()

        head, body = self._server.do(read)
        assert isinstance(head, AggregateHead)
        return Downloaded(head, body)

    # --- chance

    def _happens(self, probability: float) -> bool:
        return self._chance.happens(probability, now=self._clock.now())

    def _lost(self, probability: float) -> bool:
        return self._happens(probability)

    def _alive(self, life: int, action: Callable[[], None]) -> Callable[[], None]:
        """The action, unless the process has ended meanwhile."""

        def act() -> None:
            if life == self._life:
                action()

        return act
