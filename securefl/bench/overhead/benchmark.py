"""The benchmark of overhead: one federation in float32, as integers without a cipher, and encrypted, taking turns.

The rule kept here: every run of every variant is a process of its own on one core, so that caches and peak memory
are its own; variants take turns, and another one begins each time, so that a slow minute hits all of them. All three
are needed for a ratio, so the first that fails ends the benchmark with its reason.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from securefl.bench.overhead.measurement import (
    VARIANTS,
    OverheadJob,
    OverheadMeasurement,
    Variant,
    read_overhead,
)
from securefl.bench.processes import Program, run_told
from securefl.errors import RunError

PROGRAM = Program((sys.executable, "-P", "-m", "securefl.bench.overhead.measure"), own=True)
Measured = Mapping[Variant, tuple[OverheadMeasurement, ...]]
"""By variant, one measurement a repetition; the n-th of each belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadRequest:
    """Request of a benchmark.

    Attributes:
        federation: The federation's TOML file.
        name: The federation's.
        rounds: How many rounds each run has.
        repeats: Runs of each variant.
        timeout_s: How long one run may take.
    """

    federation: Path
    name: str
    rounds: int
    repeats: int
    timeout_s: float


def run_overhead(request: OverheadRequest, *, line_sink: Callable[[str], None]) -> Measured:
    """Measure all three variants.

    Args:
        request: What is to be measured.
        line_sink: Is told what is being done, one line each.

    Raises:
        RunError: if a variant cannot be run.
    """
    measured: dict[Variant, list[OverheadMeasurement]] = {variant: [] for variant in VARIANTS}
    for repeat in range(request.repeats):
        first = repeat % len(VARIANTS)
        for variant in (*VARIANTS[first:], *VARIANTS[:first]):
            line_sink(f"Run {repeat + 1} of {request.repeats}: {variant}.")
            # A variant's runs all end in the same adapters, which the report checks; one test tells for all.
            measured[variant].append(_run(variant, request, test=repeat == 0))
    return {variant: tuple(measurements) for variant, measurements in measured.items()}


def _run(variant: Variant, request: OverheadRequest, *, test: bool) -> OverheadMeasurement:
    job = OverheadJob(
        variant=variant, federation=str(request.federation.resolve()), rounds=request.rounds, test=test
    )
    with TemporaryDirectory(prefix="securefl-bench-") as folder:
        try:
            return run_told(
                PROGRAM,
                job.model_dump_json(),
                folder=Path(folder),
                timeout_s=request.timeout_s,
                read=partial(read_overhead, variant=variant),
            )
        except RunError as error:
            raise RunError(
                f"the {variant} federation could not be measured: {error.what}", hint=error.hint
            ) from None
