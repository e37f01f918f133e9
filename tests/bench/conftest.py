"""Small jobs, made-up measurements, and programs that stand for a peer's interpreter."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.jobs import COHORT, VALUES

from securefl.bench.aggregation.benchmark import Request
from securefl.bench.aggregation.measurement import Job, Laps, Measurement
from securefl.bench.aggregation.vectors import BOUND, draw_vectors


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    """A job on freshly drawn vectors."""

    def make(path: str = "", *, values: int = VALUES, cohort: int = COHORT, precision_bits: int = 16) -> Job:
        vectors = draw_vectors(tmp_path, values=values, cohort=cohort, seed=1)
        return Job(
            path=path,
            values=values,
            cohort=cohort,
            precision_bits=precision_bits,
            bound=BOUND,
            seed=1,
            vectors=tuple(map(str, vectors.files)),
            exact_mean=str(vectors.exact_mean),
        )

    return make


@pytest.fixture
def measurement() -> Callable[..., Measurement]:
    """A measurement of which a test says what matters to it; CPU seconds are half of wall seconds."""

    def make(
        client: Sequence[float] = (1.0, 2.0, 6.0),
        server_add: Sequence[float] = (0.1, 0.2, 0.6),
        **changes: object,
    ) -> Measurement:
        laps = {
            "client": client,
            "server_add": server_add,
            "server_finish": (0.3,),
            "decrypt": (0.8,),
            "decrypt_warm": (0.4,),
        }
        fields: dict[str, object] = {
            "up_bytes": (60, 61, 62),
            "down_bytes": 70,
            "max_error": 1e-6,
            "max_integer_error": 0,
            "peak_memory_bytes": 2 << 20,
            "start_memory_bytes": 1 << 20,
            "versions": {"numpy": "2"},
            "settings": {"profile": "p"},
        }
        pairs = {name: tuple((seconds, seconds / 2) for seconds in each) for name, each in laps.items()}
        return Measurement.model_validate({"laps": Laps(**pairs), **fields, **changes})

    return make


@pytest.fixture
def request_for() -> Callable[..., Request]:
    """A request of which a test says what matters to it."""

    def make(**changes: object) -> Request:
        fields: dict[str, object] = {
            "values": 20,
            "cohort": 3,
            "precision_bits": 16,
            "repeats": 1,
            "timeout_s": 240.0,
            "peers": {},
        }
        return Request(**{**fields, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def interpreter(tmp_path: Path) -> Callable[[str, str], Path]:
    """A program that stands for a peer's interpreter: it ignores the driver and runs this Python source."""

    def make(name: str, source: str) -> Path:
        script = tmp_path / f"{name}.py"
        script.write_text(source)
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{script}"\n')
        program.chmod(0o700)
        return program

    return make
