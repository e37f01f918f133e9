"""What a run takes, by round, role and phase: wall seconds, CPU seconds, and the memory reached in each phase.

The rule kept here: every moment belongs to one phase of one role. A phase that begins inside another one stops the
outer one's clocks until it ends, so that all laps add up to the whole and nothing is counted twice.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from securefl.bench.stopwatch import Lap, forget_peak_memory, peak_memory_bytes

Item = TypeVar("Item")
Place = tuple[int, str, str]
"""Round, role, phase."""


class Meter:
    """Nested stretches of work, timed without overlap.

    Attributes:
        round_number: What the phases that begin now belong to.
    """

    def __init__(self) -> None:
        self.round_number = 0
        self._open: list[Place] = []
        self._laps: dict[Place, Lap] = {}
        self._peaks: dict[str, int] = defaultdict(int)
        self._since = (0.0, 0.0)

    @contextmanager
    def phase(self, role: str, phase: str) -> Iterator[None]:
        """Times its ``with`` block as this phase, less what other phases inside it take."""
        self._close()
        self._open.append((self.round_number, role, phase))
        self._start()
        try:
            yield
        finally:
            self._close()
            self._open.pop()
            self._start()

    def through(self, items: Iterable[Item], *, role: str, phase: str) -> Iterator[Item]:
        """Hands on what it is given, and times the making of each item, not what is done with it."""
        source = iter(items)
        while True:
            with self.phase(role, phase):
                item = list(islice(source, 1))
            if not item:
                return
            yield item[0]

    @property
    def laps(self) -> dict[Place, Lap]:
        """Wall and CPU seconds of all that has ended."""
        return dict(self._laps)

    @property
    def peaks(self) -> dict[str, int]:
        """Largest resident set of the process, in bytes, while it was in each phase, whoever's."""
        return dict(self._peaks)

    def _start(self) -> None:
        forget_peak_memory()
        self._since = (time.perf_counter(), time.process_time())

    def _close(self) -> None:
        """Credits the time since the last change to the phase that is open."""
        wall, cpu = time.perf_counter() - self._since[0], time.process_time() - self._since[1]
        if not self._open:
            return
        place = self._open[-1]
        before = self._laps.get(place, (0.0, 0.0))
        self._laps[place] = (before[0] + wall, before[1] + cpu)
        self._peaks[place[2]] = max(self._peaks[place[2]], peak_memory_bytes())
