"""Processes that stand for the members, and whether each is there.

The rule kept here: a member is one process at a time. While its stream is open nobody takes its place; after the stream
has broken another process may, since a member's journal goes on where an earlier process stopped. Whoever has no place
says farewell for nobody but itself.

Terms: a *process* is told by the 16 random bytes that it drew when it started; a *stream* is one ``Follow`` call,
numbered by the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from securefl.errors import ProtocolError


@dataclass(slots=True)
class _Place:
    """One member's place: the process that holds it, since when, and its open stream (None: it is out of reach)."""

    process: bytes
    since: datetime
    stream: int | None


class Attendance:
    """The members' places.

    Args:
        silence_s: After how long a silent process counts as gone.
    """

    def __init__(self, *, silence_s: float) -> None:
        self._silence_s = silence_s
        self._places: dict[str, _Place] = {}
        self._streams = count(1)

    def check(self, member: str, process: bytes) -> None:
        """Refuse a process for which there is no place.

        Args:
            member: Its member.
            process: What tells it from other processes of that member.

        Raises:
            ProtocolError: if another process of the member is connected.
        """
        place = self._places.get(member)
        if place is not None and place.process != process and place.stream is not None:
            raise ProtocolError(
                f"{member} is already connected, since {place.since:%Y-%m-%d %H:%M:%S} UTC",
                hint="a member is one process: let that one go on; if it has ended without a word, the server "
                f"notices within {self._silence_s:g} s, and another one can start then",
            )

    def enter(self, member: str, process: bytes) -> int:
        """Give the place to a process that opens a stream; its older stream, if any, is over.

        Returns:
            The stream's number.

        Raises:
            ProtocolError: as ``check``.
        """
        self.check(member, process)
        stream = next(self._streams)
        place = self._places.get(member)
        if place is None or place.process != process:
            self._places[member] = _Place(process, datetime.now(UTC), stream)
        else:
            place.stream = stream
        return stream

    def holds(self, member: str, stream: int) -> bool:
        """Tell if this stream is its member's present one."""
        place = self._places.get(member)
        return place is not None and place.stream == stream

    def leave(self, member: str, stream: int) -> bool:
        """Note that a stream has ended; True if the member is out of reach now."""
        present = self.holds(member, stream)
        if present:
            self._places[member].stream = None
        return present

    def speaks(self, member: str, process: bytes) -> bool:
        """Tell if a process may speak for its member: it holds the place, or nobody does."""
        place = self._places.get(member)
        return place is None or place.process == process
