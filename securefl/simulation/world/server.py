"""The server's process in a world: its core, who is connected to it, and its ends and starts.

The rule kept here: a process that ended forgets everything but its folder; members that were connected notice it, and
come back when it is there again. A process that ends with an error stays down, unless a disk is the cause: then an
operator makes room, and starts whatever has ended again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar

from securefl.errors import DiskError, SecureFLError, TransportError
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import Announcement, Answer, Request, Staged
from securefl.simulation.world.faults import Chance
from securefl.simulation.world.virtual_clock import Clock, Planned, SkewedClock

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
    def error(self) -> SecureFLError | None:
        """Error that the process ends with; None where all went well, or is going on."""
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
        chance: The world's.
        grace_s: How long a member may be out of reach before it counts as gone.

    Attributes:
        machine: The clock of its machine: what its core is to be given as ``now``.
        starts: How often it was started.
        jumps: How often its clock has jumped.
    """

    def __init__(
        self,
        make: Callable[[], ServerCore],
        close: Callable[[], None],
        *,
        clock: Clock,
        chance: Chance,
        grace_s: float,
    ) -> None:
        self._make = make
        self._close = close
        self._clock = clock
        self._chance = chance
        self._grace_s = grace_s
        self._core: ServerCore | None = None
        self._streams: dict[str, Stream] = {}
        self._absences: dict[str, Planned] = {}
        self._wake: Planned | None = None
        self._disk_failed = False
        self._ending = False
        self.machine = SkewedClock(clock)
        self.starts = 0
        self.jumps = 0

    @property
    def comes_back(self) -> bool:
        """True where the run goes on, or ended by a disk: then an operator starts again what has ended."""
        return self._core is None or self._disk_failed or not self._core.over

    def alert(self) -> None:
        """Note that a disk failed: if the run ends by it, the operator starts it again."""
        self._disk_failed = True

    @property
    def running(self) -> ServerCore | None:
        """The core, while the process runs."""
        return self._core

    def start(self) -> None:
        """Start the process."""
        self.starts += 1
        self._disk_failed = False
        try:
            self._core = self._make()
        except (Killed, DiskError):
            self.end()
            return
        self._core.on_announcement(self._tell)
        self._plan()

    def end(self) -> None:
        """End the process as by SIGKILL, and plan its next start."""
        self._core = None
        self._ending = False
        self._close()
        streams, self._streams = self._streams, {}
        for planned in (*self._absences.values(), *([] if self._wake is None else [self._wake])):
            planned.cancel()
        self._absences, self._wake = {}, None
        for stream in streams.values():
            stream.broken()
        if self._chance.faults.clock_jumps:
            self.machine.begin_at(self._chance.jump())
        self._clock.after(self._chance.pause(), self.start)

    def connect(self, member: str, stream: Stream) -> None:
        """Open a member's stream; it is told the present announcement at once.

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
        """End a member's stream; after the grace the member counts as gone."""
        self._streams.pop(member, None)
        if self._core is not None and member not in self._absences:
            self._absences[member] = self._clock.after(self._grace_s, lambda: self._absent(member))

    def do(self, call: Callable[[ServerCore], Result]) -> Result:
        """Call the core.

        Raises:
            TransportError: if the process is not running, or ends over it.
            SecureFLError: whatever the core refuses.
        """
        if self._core is None:
            raise TransportError("the server is out of reach")
        if self._chance.happens(self._chance.faults.clock_jumps, now=self._clock.now()):
            self.jumps += 1
            self.machine.jump(self._chance.jump())
        try:
            return call(self._core)
        except Killed:
            self.end()
            raise TransportError("the connection broke") from None
        finally:
            self._mind_the_disk()
            self._plan()

    def _absent(self, member: str) -> None:
        del self._absences[member]
        self._quietly(lambda core: core.presence(member, False))

    def _tell(self, announcement: Announcement) -> None:
        for stream in tuple(self._streams.values()):
            stream.hear(announcement)

    def _mind_the_disk(self) -> None:
        """Have the operator start the process again, once members have heard why it ended."""
        core = self._core
        if core is None or core.error is None or self._ending:
            return
        if isinstance(core.error, DiskError):
            self._disk_failed = True
        if self._disk_failed:
            self._ending = True
            self._clock.after(2.0, self._end_if(core))

    def _end_if(self, core: ServerCore) -> Callable[[], None]:
        def end() -> None:
            if self._core is core:
                self.end()

        return end

    def _plan(self) -> None:
        """Plan the next ``wake``."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        deadline = None if self._core is None else self._core.next_deadline
        if deadline is not None:
            self._wake = self._clock.after(deadline - self.machine.now(), self._awake)

    def _awake(self) -> None:
        self._wake = None
        self._quietly(lambda core: core.wake())

    def _quietly(self, call: Callable[[ServerCore], None]) -> None:
        """Call the core where nobody waits for the answer."""
        try:
            self.do(call)
        except TransportError:
            # The process has ended, and its next start is planned.
            return
