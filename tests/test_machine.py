"""Facts of the machine come from one place, also where the system does not tell them all."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from securefl import machine


def test_the_peak_is_at_least_what_is_resident_now() -> None:
    ballast = bytearray(b"x" * (64 << 20))
    assert machine.peak_memory_bytes() > len(ballast)


def test_without_linux_status_the_peak_is_what_getrusage_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "STATUS", tmp_path / "nothing")
    assert machine.peak_memory_bytes() == machine.peak_of(resource.getrusage(resource.RUSAGE_SELF))


def test_a_peak_that_cannot_be_forgotten_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "CLEAR_REFS", tmp_path / "no" / "file")
    before = machine.peak_memory_bytes()
    machine.forget_peak_memory()
    assert machine.peak_memory_bytes() >= before


def test_cores_count_what_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 5}, raising=False)
    assert machine.processors() == (0, 1, 5)
    assert machine.cores() == 3


def test_every_library_gets_the_same_number_of_threads() -> None:
    assert set(machine.thread_variables(3).values()) == {"3"}
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"} <= machine.thread_variables(3).keys()
