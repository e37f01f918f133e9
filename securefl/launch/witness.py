"""A watch over a run on this machine: no plain update may be in what its server gets, keeps, or has in its memory.

The rule kept here: a search that finds nothing proves nothing by itself. So every contribution has a control, public
bytes that the server must get; if the same search does not find them among the messages, the watch is broken, and with
``scheme = "none"``, where nothing is encrypted, it must find the updates themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from securefl.aggregation.needles import Needle
from securefl.errors import RunError
from securefl.progress import SERVER, Event, EventSink, RoundStepped
from securefl.results.needle_files import read_needles
from securefl_server.recorded_messages import MESSAGES

PIECE: Final = 1 << 24
"""Bytes that are read at a time."""
LOOKS: Final = 3
"""Most looks into the server's memory: each takes seconds."""
LOOK_AT: Final = "survivors-proposed"
"""Step at which the server holds every contribution of an attempt; see ``securefl_server.round_news.STEPS``."""
_MAPPED: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw")


@dataclass(frozen=True, slots=True)
class Sighting:
    """A needle that was found.

    Attributes:
        name: Whose and what it is.
        place: ``messages``, ``files`` or ``memory``.
    """

    name: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """Result of a watch.

    Attributes:
        needles: How many runs of values were searched for.
        controls: How many public ones.
        controls_seen: How many of those were found among the messages.
        searched: Bytes, by place.
        seen: Needles that were found.
    """

    needles: int
    controls: int
    controls_seen: int
    searched: dict[str, int]
    seen: tuple[Sighting, ...]

    def to_json(self) -> dict[str, object]:
        """Plain values of the testimony."""
        return {
            "needles": self.needles,
            "controls": self.controls,
            "controls_seen": self.controls_seen,
            "searched_bytes": self.searched,
            "seen": [{"name": each.name, "place": each.place} for each in self.seen],
        }

    def require(self, *, encrypted: bool) -> None:
        """Refuse a run whose server could read an update, and a watch that saw nothing at all.

        Args:
            encrypted: False under ``scheme = "none"``: the updates must be seen then.

        Raises:
            RunError: naming the first needle and its place.
        """
        if not self.needles or self.controls_seen < self.controls or not self.controls:
            raise RunError(
                f"the witness found {self.controls_seen} of {self.controls} controls among the server's messages",
                hint="it did not see all that the server got, so its silence proves nothing",
            )
        if encrypted and self.seen:
            first = self.seen[0]
            raise RunError(
                f"the witness found {len(self.seen)} plain values outside their members, first {first.name} in the "
                f"server's {first.place}",
                hint="this federation does not encrypt what it says; do not use it",
            )
        if not encrypted and not self.seen:
            raise RunError(
                'the witness found no update, though scheme = "none" encrypts nothing',
                hint="its search does not work, so its silence elsewhere proves nothing",
            )


@dataclass(slots=True)
class Witness:
    """A watch over one run.

    Attributes:
        folder: Private folder of needles and messages.
        server: The server's folder.
        process: The server's process, once it runs.
    """

    folder: Path
    server: Path
    process: int | None = None
    _looks: int = field(default=0, init=False)
    _memory: int = field(default=0, init=False)
    _seen: dict[tuple[str, str], None] = field(default_factory=dict, init=False)

    def listening(self, emit: EventSink) -> EventSink:
        """An event sink that looks into the server's memory when it holds contributions."""

        def heard(event: Event) -> None:
            emit(event)
            if isinstance(event, RoundStepped) and event.member == SERVER and event.step == LOOK_AT:
                self._look(event.round_number)

        return heard

    def testify(self) -> Observations:
        """Search all that the server got and has kept; call it when the run is over.

        Raises:
            StateError: if a file of needles is damaged.
        """
        needles = read_needles(self.folder)
        searched = {"memory": self._memory, "messages": 0, "files": 0}
        controls: set[str] = set()
        files = [path for path in sorted(self.server.rglob("*")) if path.is_file()]
        for place, paths in (("messages", [self.folder / MESSAGES]), ("files", files)):
            for path in paths:
                for piece in _pieces(path, overlap=_longest(needles)):
                    searched[place] += len(piece)
                    controls |= self._search(needles, piece, place) if place == "messages" else set()
                    if place == "files":
                        self._search(needles, piece, place)
        public = {needle.name for needle in needles if needle.public}
        return Observations(
            needles=len(needles) - sum(needle.public for needle in needles),
            controls=len(public),
            controls_seen=len(public & controls),
            searched=searched,
            seen=tuple(Sighting(*each) for each in self._seen),
        )

    def _look(self, round_number: int) -> None:
        """Search the server's memory for one round's needles."""
        if self.process is None or self._looks >= LOOKS:
            return
        self._looks += 1
        of_round = [
            each for each in read_needles(self.folder) if f" round {round_number} " in f"{each.name} "
        ]
        for piece in memory_of(self.process, overlap=_longest(of_round)):
            self._memory += len(piece)
            self._search(of_round, piece, "memory")

    def _search(self, needles: Sequence[Needle], piece: bytes, place: str) -> set[str]:
        """Note the needles that a piece holds; gives the names of the public ones among them."""
        found = [needle for needle in needles if needle.data in piece]
        for needle in found:
            if not needle.public:
                self._seen[needle.name, place] = None
        return {needle.name for needle in found if needle.public}


def memory_of(process: int, *, overlap: int) -> Iterator[bytes]:
    """Pieces of what a process may write to in its memory; none where the system does not show it.

    Args:
        process: Its id.
        overlap: Bytes that a piece has in common with the one before it.
    """
    try:
        mapped = Path(f"/proc/{process}/maps").read_text(encoding="utf-8", errors="replace")
        with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
            for start, end in (map(_hexadecimal, found.groups()) for found in _MAPPED.finditer(mapped)):
                for place in range(start, end, PIECE):
                    memory.seek(max(start, place - overlap))
                    try:
                        yield memory.read(min(end, place + PIECE) - max(start, place - overlap))
                    except OSError:
                        # Mapped, and given back meanwhile.
                        break
    except OSError:
        return


def _hexadecimal(digits: str) -> int:
    return int(digits, 16)


def _pieces(path: Path, *, overlap: int) -> Iterator[bytes]:
    """Pieces of a file; each begins with the end of the one before it."""
    try:
        with path.open("rb") as file:
            before = b""
            while piece := file.read(PIECE):
                yield before + piece
                before = piece[-overlap:] if overlap else b""
    except FileNotFoundError:
        return


def _longest(needles: Sequence[Needle]) -> int:
    return max((len(needle.data) for needle in needles), default=0)
