"""Stopwatch for stretches of work: wall seconds and CPU seconds.

The rule kept here: both clocks are read for every lap. On an idle core they agree; where they do not, other
programs were running, and the report says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

Lap = tuple[float, float]
"""Wall and CPU seconds of one stretch of work."""


class Stopwatch:
    """Laps under names."""

    def __init__(self) -> None:
        self._laps: dict[str, list[Lap]] = {}

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Time its ``with`` block as one more lap of that name."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._laps.setdefault(name, []).append((time.perf_counter() - wall, time.process_time() - cpu))

    def laps(self, name: str) -> tuple[Lap, ...]:
        """The laps of that name, in order."""
        return tuple(self._laps.get(name, ()))
