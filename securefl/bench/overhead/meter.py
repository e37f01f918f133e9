"""Meter of a run, by round, role and phase: wall seconds, CPU seconds, and the memory reached in each phase.

The rule kept here: every moment belongs to one phase of one role. A phase that begins inside another one stops the
outer one's clocks until it ends, so that all laps add up to the whole and nothing is counted twice.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import TypeVar

from securefl.aggregation.clock import Stage
from securefl.bench.stopwatch import Lap
from securefl.machine import forget_peak_memory, peak_memory_bytes

Item = TypeVar("Item")
Place = tuple[int, str, str]
"""Round, role, phase."""


class Meter:
    """Nested stretches of work, timed without overlap."""

    def __init__(self) -> None:
        self._open: list[Place] = []
        self._laps: dict[Place, Lap] = {}
        self._peaks: dict[str, int] = defaultdict(int)
        self._since = (0.0, 0.0)

    @contextmanager
    def phase(self, role: str, phase: str, *, round_number: int = 0) -> Iterator[None]:
        """Time its ``with`` block as this phase, less what other phases inside it take.

        Args:
            role: Whose.
            phase: Which.
            round_number: The round that it belongs to; 0 for what belongs to none.
        """
        self._close()
        self._open.append((round_number, role, phase))
        self._start()
        try:
            yield
        finally:
            self._close()
            self._open.pop()
            self._start()

    def clock(self, role: str) -> RoleClock:
        """The clock of one role."""
        return RoleClock(self, role)

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


class RoleClock:
    """A ``StageClock`` of one role; the laps are the meter's.

    Args:
        meter: Where the laps go.
        role: A member's id, or ``server``.
    """

    def __init__(self, meter: Meter, role: str) -> None:
        self._meter = meter
        self._role = role

    def stage(self, stage: Stage, round_number: int) -> AbstractContextManager[None]:
        """Time its ``with`` block as the phase of the stage's name."""
        return self._meter.phase(self._role, stage.value, round_number=round_number)

    def through(self, stage: Stage, round_number: int, source: Iterable[Item]) -> Iterator[Item]:
        """Hand on what it is given, and times the making of each item, not what is done with it."""
        items = iter(source)
        while True:
            with self.stage(stage, round_number):
                item = list(islice(items, 1))
            if not item:
                return
            yield item[0]
