"""Worlds by seed, as many as wanted: ``python -m support.soak 10000`` (``make soak``) prints the seeds that fail.

    python -m support.soak [SEEDS] [--first SEED] [--processes N]

A long run can be split, and taken up again where it was ended: its last line of progress names the first seed that is
still to be played.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from securefl.errors import StateError
from securefl.simulation.world.faults import Faults
from support.worlds import Played, play

FAULTS = Faults(
    request_lost=0.1,
    answer_lost=0.1,
    request_twice=0.1,
    chunk_lost=0.1,
    announcement_lost=0.1,
    member_killed=0.06,
    server_killed=0.02,
    request_late=0.05,
    write_refused=0.02,
    member_write_refused=0.02,
    clock_jumps=0.01,
    lost_for_good=0.15,
    latency_s=1.0,
    pause_s=40.0,
    faultless_after_s=400.0,
)
SIZES = (3, 4, 5, 6, 8)
HANG_CPU_S = 60.0
"""A hundred times what a world takes."""
PROGRESS_EVERY = 100
"""Seeds between two lines of progress."""


def in_memory() -> str | None:
    """A folder whose files lie in memory, where there is one: a world writes what a run of hours writes."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def played(seed: int, folder: Path) -> Played:
    """The world of a seed: its size, smallest cohort and scheme go by it."""
    size = SIZES[seed % len(SIZES)]
    least = max(3, size - max(1, size // 8))
    return play(folder, seed=seed, faults=FAULTS, size=size, min_clients=least, packets=seed % 3 != 0)


def verdict(seed: int) -> str:
    """Words on what is wrong with a seed; none where nothing is."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        try:
            with _bounded():
                world = played(seed, Path(folder) / "world")
        except (StateError, TimeoutError) as error:
            return str(error)
        return "; ".join(
            [*world.violations(), *(f"{name}: {error}" for name, error in world.unfinished.items())]
        )


@contextmanager
def _bounded() -> Iterator[None]:
    """End a world that stands still: one that is played for ``HANG_CPU_S`` of this process's own time."""

    def hangs(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        raise TimeoutError(f"the world has not come to its end within {HANG_CPU_S:g} s of a core")

    before = signal.signal(signal.SIGPROF, hangs)
    signal.setitimer(signal.ITIMER_PROF, HANG_CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def main(arguments: list[str]) -> int:
    """Play the seeds that are asked for; 1 if one of them fails."""
    wanted = parsed(arguments)
    failed = 0
    with ProcessPoolExecutor(wanted.processes) as pool:
        seeds = range(wanted.first, wanted.first + wanted.seeds)
        for seed, words in zip(seeds, pool.map(verdict, seeds, chunksize=8), strict=True):
            if words:
                failed += 1
                print(f"seed {seed}: {words}", flush=True)
            if (seed + 1) % PROGRESS_EVERY == 0:
                print(f"next: {seed + 1}, {failed} failed", flush=True)
    print(f"{wanted.seeds} seeds from {wanted.first}, {failed} failed")
    return 1 if failed else 0


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The range of seeds, and on how many cores they are played."""
    parser = argparse.ArgumentParser(prog="support.soak")
    parser.add_argument("seeds", nargs="?", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=None, help="all cores unless given")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
