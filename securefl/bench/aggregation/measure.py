"""One round of one of our own paths, measured: what runs in a process of its own.

The rule kept here: a lap holds the work of one role and nothing else; vectors are loaded, and results compared
with exact ones, between and after the laps and outside the memory that is reported. A small round comes first,
so that no lap pays for an import or a first call.

    python -m securefl.bench.aggregation.measure < job.json        the measurement is the last line of stdout
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TypeVar

import numpy as np

from securefl.bench.aggregation.measurement import Job, Laps, Measurement
from securefl.bench.aggregation.ways import AggregationPath, Float32, Reading
from securefl.bench.stopwatch import Stopwatch
from securefl.errors import UsageError
from securefl.machine import forget_peak_memory, peak_memory_bytes

OWN_PATHS = ("plaintext_float32", "plaintext_same_precision", "securefl", "securefl_bfv", "tenseal_ckks")
WARM_UP_VALUES, WARM_UP_COHORT = 8192, 2
Contributed = TypeVar("Contributed")
Published = TypeVar("Published")


def measure(job: Job) -> Measurement:
    """Play a job's round in this process.

    Raises:
        UsageError: if there is no path of that name.
        CapacityError: if no profile adds so many contributions exactly.
    """
    match job.path:
        case "plaintext_float32":
            from securefl.bench.aggregation.plaintext import Float32Path

            return _measured(Float32Path, job)
        case "plaintext_same_precision":
            from securefl.bench.aggregation.plaintext import SamePrecisionPath

            return _measured(SamePrecisionPath, job)
        case "securefl" | "securefl_bfv":
            from securefl.bench.aggregation.encrypted import SecureflPath

            return _measured(SecureflPath, job)
        case "tenseal_ckks":
            from securefl.bench.aggregation.ckks import TensealCkksPath

            return _measured(TensealCkksPath, job)
        case _:
            raise UsageError(f"there is no path '{job.path}'", hint=f"choose one of {', '.join(OWN_PATHS)}")


def _measured(make: Callable[[Job], AggregationPath[Contributed, Published]], job: Job) -> Measurement:
    small = job.model_copy(update={"values": WARM_UP_VALUES, "cohort": WARM_UP_COHORT})
    noise = np.random.default_rng(job.seed).uniform(-job.bound, job.bound, WARM_UP_VALUES).astype(np.float32)
    _play(make(small), small, lambda _: noise)
    path = make(job)
    forget_peak_memory()
    start_memory = peak_memory_bytes()
    played = _play(path, job, lambda client: _loaded(job, client))
    return Measurement(
        laps=played.laps,
        up_bytes=played.up_bytes,
        down_bytes=played.down_bytes,
        peak_memory_bytes=peak_memory_bytes(),
        start_memory_bytes=start_memory,
        max_error=float(np.abs(played.reading.mean - np.load(job.exact_mean)).max()),
        max_integer_error=_integer_error(path, job, played.reading),
        versions={name: version(name) for name in path.versions},
        settings=path.settings,
        key_round=path.key_round(),
    )


@dataclass(frozen=True, slots=True)
class _Played:
    """Figures that are left of a round."""

    laps: Laps
    up_bytes: tuple[int, ...]
    down_bytes: int
    reading: Reading


def _play(
    path: AggregationPath[Contributed, Published], job: Job, vector: Callable[[int], Float32]
) -> _Played:
    watch = Stopwatch()
    up_bytes = []
    for client in range(job.cohort):
        own = vector(client)
        with watch.lap("client"):
            contribution = path.contribute(client, own)
        up_bytes.append(contribution.size)
        with watch.lap("server_add"):
            path.add(client, contribution)
        # A client's memory is not the server's: what was sent must not stay while the next one works.
        del contribution, own
    with watch.lap("server_finish"):
        aggregate = path.publish()
    with watch.lap("decrypt"):
        reader = path.reader(aggregate)
        reader.prepare()
        reading = reader.read()
    # The second reading finds the memory that the first one found: one result and one reader at a time.
    del reader, reading
    reader = path.reader(aggregate)
    reader.prepare()
    with watch.lap("decrypt_warm"):
        reading = reader.read()
    laps = {name: watch.laps(name) for name in Laps.model_fields}
    return _Played(Laps(**laps), tuple(up_bytes), aggregate.size, reading)


def _loaded(job: Job, client: int) -> Float32:
    vector: Float32 = np.load(job.vectors[client])
    return vector


def _integer_error(path: AggregationPath[Contributed, Published], job: Job, reading: Reading) -> int | None:
    """The largest difference of the reading sums from the integers' own sums."""
    if reading.sums is None:
        return None
    difference = reading.sums.copy()
    for client in range(job.cohort):
        integers = path.integers(client, _loaded(job, client))
        assert integers is not None
        difference -= integers
    return int(np.abs(difference).max())


def main() -> None:
    """Read the job from stdin and print the measurement."""
    result = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # TenSEAL prints warnings, which must not mix with the measurement.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    measurement = measure(Job.model_validate_json(sys.stdin.read()))
    print(measurement.model_dump_json(), file=result, flush=True)


if __name__ == "__main__":
    main()
