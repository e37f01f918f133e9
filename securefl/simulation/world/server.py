"""The server's process in a world: its core, who is connected to it, and its ends and starts.

The rule kept here: a process that ended forgets everything but its folder; members that were connected notice it, and
come back when it is there again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar

from securefl.errors import TransportError
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import Announcement, Answer, Request, Staged
from securefl.simulation.world.virtual_clock import Clock, Planned

Listener = Callable[[Announcement], None]
Result = TypeVar("Result")


class Killed(BaseException):
    """A process ends here, as by SIGKILL: nothing after it runs, and nothing is caught."""


class ServerCore(Protocol):
    """Interface of ``securefl_server.round_server.RoundServer`` as the world uses it."""

    @property
    def announcement(self) -> Announcement:
        """Announcement that a member hears when it connects now."""
        ...

    @property
    def over(self) -> bool:
        """True after the end, good or bad."""
        ...

    @property
    def next_deadline(self) -> float | None:
        """Time at which ``wake`` is to be called next."""
        ...

    def on_announcement(self, listener: Listener) -> None:
        """Have a listener told every new announcement."""
        ...

    def presence(self, member: str, present: bool) -> None:
        """Note that a member is connected, or gone."""
        ...

    def hear(self, member: str, request: Request) -> Answer:
        """Answer a request."""
        ...

    def receive(self, member: str, attempt: Attempt, offset: int, chunk: bytes) -> Staged:
        """Take a piece of a body."""
        ...

    def total(self, round_number: int) -> BinaryIO:
        """The bytes of a round's sum."""
        ...

    def wake(self) -> None:
        """Carry out what is due."""
        ...


@dataclass(frozen=True, slots=True)
class Stream:
    """A member's open stream of announcements.

    Attributes:
        hear: Told every announcement.
        broken: Called when the stream ends against the member's will.
    """

    hear: Listener
    broken: Callable[[], None]


class ServerProcess:
    """A server that can end and start again.

    Args:
        make: Starts the core from its folder; what it opened is closed by ``close``. Both may raise ``Killed``.
        close: Closes what ``make`` opened, as the operating system does for a process that ended.
        clock: The world's.
        pause: Seconds until the next start after an end.
        grace_s: How long a member may be out of reach before it counts as gone.

    Attributes:
        starts: How often it was started.
    """

    def __init__(
        self,
        make: Callable[[], ServerCore],
        close: Callable[[], None],
        *,
        clock: Clock,
        pause: Callable[[], float],
        grace_s: float,
    ) -> None:
        self._make = make
        self._close = close
        self._clock = clock
        self._pause = pause
        self._grace_s = grace_s
        self._core: ServerCore | None = None
        self._streams: dict[str, Stream] = {}
        self._absences: dict[str, Planned] = {}
        self._wake: Planned | None = None
        self.starts = 0

    @property
    def running(self) -> ServerCore | None:
        """The core, while the process runs."""
        return self._core

    def start(self) -> None:
        """Starts the process."""
        self.starts += 1
        try:
            self._core = self._make()
        except Killed:
            self.end()
            return
        self._core.on_announcement(self._tell)
        self._plan()

    def end(self) -> None:
        """Ends the process as by SIGKILL, and plans its next start."""
        self._core = None
        self._close()
        streams, self._streams = self._streams, {}
        for planned in (*self._absences.values(), *([] if self._wake is None else [self._wake])):
            planned.cancel()
        self._absences, self._wake = {}, None
        for stream in streams.values():
            stream.broken()
        self._clock.after(self._pause(), self.start)

    def connect(self, member: str, stream: Stream) -> None:
        """Opens a member's stream; it is told the present announcement at once.

        Raises:
            TransportError: if the process is not running, or ends over it.
        """
        absence = self._absences.pop(member, None)
        if absence is not None:
            absence.cancel()
        self._streams[member] = stream
        self.do(lambda core: core.presence(member, True))
        stream.hear(self.do(lambda core: core.announcement))

    def disconnect(self, member: str) -> None:
        """Ends a member's stream; after the grace the member counts as gone."""
        self._streams.pop(member, None)
        if self._core is not None and member not in self._absences:
            self._absences[member] = self._clock.after(self._grace_s, lambda: self._absent(member))

    def do(self, call: Callable[[ServerCore], Result]) -> Result:
        """Calls the core.

        Raises:
            TransportError: if the process is not running, or ends over it.
            SecureFLError: whatever the core refuses.
        """
        if self._core is None:
            raise TransportError("the server is out of reach")
        try:
            return call(self._core)
        except Killed:
            self.end()
            raise TransportError("the connection broke") from None
        finally:
            self._plan()

    def _absent(self, member: str) -> None:
        del self._absences[member]
        self._quietly(lambda core: core.presence(member, False))

    def _tell(self, announcement: Announcement) -> None:
        for stream in tuple(self._streams.values()):
            stream.hear(announcement)

    def _plan(self) -> None:
        """Plans the next ``wake``."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        deadline = None if self._core is None else self._core.next_deadline
        if deadline is not None:
            self._wake = self._clock.after(deadline - self._clock.now(), self._awake)

    def _awake(self) -> None:
        self._wake = None
        self._quietly(lambda core: core.wake())

    def _quietly(self, call: Callable[[ServerCore], None]) -> None:
        """Calls the core where nobody waits for the answer."""
        try:
            self.do(call)
        except TransportError:
            # The process has ended, and its next start is planned.
            return
