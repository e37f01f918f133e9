"""What the peers' drivers share: the job on stdin, the laps of a round, the measurement on stdout.

The rule kept here: nothing of securefl is imported, since a driver runs in its peer's own environment; the form of
job and measurement is that of ``securefl/bench/aggregation/measurement.py``, which checks what a driver prints.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Job = dict[str, Any]
Settings = dict[str, str | int | float]
WARM_UP_VALUES = 8192
"""Each driver first runs a round this small, unmeasured, so that no lap pays for an import or a first call."""


@dataclass
class Laps:
    """Wall and CPU seconds of a round, by what they were spent on."""

    seconds: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.add(name, time.perf_counter() - wall, time.process_time() - cpu)

    def add(self, name: str, wall: float, cpu: float) -> None:
        self.seconds.setdefault(name, []).append((wall, cpu))


@dataclass
class Round:
    """What a driver gives back of one round.

    Attributes:
        laps: ``client`` once a contribution, ``server_add`` the same, ``server_finish``, ``decrypt``.
        up_bytes: What each client sends.
        down_bytes: What one client receives.
        mean: float64, what a client ends with.
    """

    laps: Laps
    up_bytes: list[int]
    down_bytes: int
    mean: np.ndarray


def measure(
    run: Callable[[Job, Callable[[int], np.ndarray]], Round],
    *,
    packages: tuple[str, ...],
    settings: Settings,
    warm_up: Settings,
) -> None:
    """Read the job, warms up, runs the round and print its measurement as the last line of stdout.

    Args:
        run: Plays the round of a job; the second argument gives a client's vector.
        packages: Distributions whose versions are reported.
        settings: What the peer is told, for the report; the job's own settings are added.
        warm_up: Settings of the small round.
    """
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the peer prints by itself must not mix with the measurement
    job = json.load(sys.stdin)
    small = np.random.default_rng(0).normal(0, job["bound"] / 5, WARM_UP_VALUES).astype(np.float32)
    run({**job, "values": WARM_UP_VALUES, "cohort": 3, "settings": warm_up}, lambda _: small)
    forget_peak_memory()
    start_memory = peak_memory()
    done = run(job, lambda client: np.load(job["vectors"][client]))
    peak = peak_memory()
    error = np.max(np.abs(done.mean - np.load(job["exact_mean"])))
    measurement = {
        "laps": {**done.laps.seconds, "decrypt_warm": done.laps.seconds["decrypt"]},
        "up_bytes": done.up_bytes,
        "down_bytes": done.down_bytes,
        "max_error": float(error),
        "max_integer_error": None,
        "peak_memory_bytes": peak,
        "start_memory_bytes": start_memory,
        "versions": {package: importlib.metadata.version(package) for package in packages},
        "settings": {**settings, **job["settings"]},
    }
    print(json.dumps(measurement), file=result, flush=True)


def peak_memory() -> int:
    """The process's largest resident set so far, in bytes; not ``ru_maxrss``, which a parent bequeaths."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not tell a process's peak memory")


def forget_peak_memory() -> None:
    """Let the peak start anew at what is resident now, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
