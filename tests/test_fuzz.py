"""Mutated bytes through every reader: an object, or an error of the project; ``make fuzz`` plays a million cases."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.fuzz import Target, all_targets, mutated, run

from securefl.errors import WireError

CASES = 20_000


@pytest.mark.slow
def test_no_reader_crashes_hangs_or_grows() -> None:
    """In a process of its own, so that its memory is that of the readers and nothing else."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "support.fuzz", str(CASES)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"{CASES} cases from 0: 0 failed" in done.stdout


def test_every_corpus_is_of_bytes_that_its_reader_takes(tmp_path: Path) -> None:
    """Mutants of what is refused at its first byte would prove nothing."""
    for target in all_targets(tmp_path).values():
        for seed in target.seeds:
            target.feed(seed)


def test_control_a_reader_that_leaks_an_error_of_pythons_is_caught(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def careless(data: bytes) -> int:
        if len(data) < 4:
            raise WireError("too short")
        return data[data[0]]

    assert run({"careless": Target(careless, (b"\x01\x02\x03\x04\x05",))}, 200, first=0) > 5
    assert "IndexError" in capsys.readouterr().out


def test_a_case_is_the_same_when_it_is_played_again() -> None:
    import random

    first, second = (mutated(b"abc" * 20, b"xyz" * 9, random.Random(7)) for _ in range(2))
    assert first == second
