"""What a stretch of work takes: wall seconds, CPU seconds, and the process's peak memory.

The rule kept here: both clocks are read for every lap. On an idle core they agree; where they do not, other
programs were running, and the report says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from securefl.errors import UsageError

Lap = tuple[float, float]
"""Wall and CPU seconds of one stretch of work."""
STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What resets ``VmHWM`` when written to ``clear_refs``: proc(5)."""


class Stopwatch:
    """Laps under names."""

    def __init__(self) -> None:
        self._laps: dict[str, list[Lap]] = {}

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Times its ``with`` block as one more lap of that name."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._laps.setdefault(name, []).append((time.perf_counter() - wall, time.process_time() - cpu))

    def laps(self, name: str) -> tuple[Lap, ...]:
        """The laps of that name, in order."""
        return tuple(self._laps.get(name, ()))


def peak_memory_bytes() -> int:
    """The largest resident set so far.

    Not getrusage's ``ru_maxrss``: that starts at what the parent had when it started this process.

    Raises:
        UsageError: if this system does not tell.
    """
    try:
        lines = STATUS.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        raise UsageError(
            "this system does not tell a process's peak memory", hint="run benchmarks on Linux"
        ) from None


def forget_peak_memory() -> None:
    """Lets the peak start anew at what is resident now; where the system refuses, the old peak stays."""
    try:
        CLEAR_REFS.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return
