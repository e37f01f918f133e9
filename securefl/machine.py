"""Facts of this machine and this process: processors, threads and peak memory, each read in this one place."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Environment variables that say how many threads a numerical library starts; read when it is loaded."""
STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Value that resets ``VmHWM`` when written to ``clear_refs``: proc(5)."""
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
"""Unit of ``ru_maxrss``: getrusage(2) of the respective system."""


def processors() -> tuple[int, ...]:
    """Numbers of the processors that this process may use; none where the system does not tell."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def cores() -> int:
    """Count the processors that this process may use."""
    return len(processors()) or os.cpu_count() or 1


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables that give every numerical library this many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def peak_memory_bytes() -> int:
    """Largest resident set of this process so far, in bytes.

    Linux's own ``VmHWM`` is preferred: ``ru_maxrss`` starts at what the parent had when it started this process.
    """
    try:
        lines = STATUS.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return peak_of(resource.getrusage(resource.RUSAGE_SELF))


def peak_of(usage: resource.struct_rusage) -> int:
    """Largest resident set that a process's usage names, in bytes; for a child that has ended."""
    return usage.ru_maxrss * _RSS_UNIT_BYTES


def forget_peak_memory() -> None:
    """Let the peak start anew at what is resident now; where the system refuses, the old peak stays."""
    try:
        CLEAR_REFS.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return
