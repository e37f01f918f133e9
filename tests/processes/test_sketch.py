"""What a sketch missed of an update stands in the result, and where it is much, in words that name the knob."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = tuple[Path, str]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, write_federation: Callable[..., Path]) -> Run:
    """The folder of a run whose sketch is far too narrow for ranks 2, 4 and 8, and what the run told."""
    folder = tmp_path_factory.mktemp("narrow-sketch")
    federation = write_federation(folder, scheme="none", recipe='payload = "sketch"\n[sketch]\nrank = 3')
    command = [sys.executable, "-P", "-m", "securefl.cli", "run", federation, "--out", folder / "runs"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "colours", done.stderr


def estimates(run: Path) -> list[set[float | None]]:
    """For every round, what the clients estimate."""
    rounds = json.loads((run / "result.json").read_text())["rounds_log"]
    return [{client["reconstruction_error"] for client in entry["clients"].values()} for entry in rounds]


def test_all_clients_report_the_same_estimate_of_what_a_round_missed(narrow: Run) -> None:
    for told in estimates(narrow[0]):
        assert len(told) == 1
        assert 0.25 < told.pop() < 1


def test_a_client_hears_once_that_a_sketch_misses_much_and_which_knob_helps(narrow: Run) -> None:
    for client in ("client-1", "client-2", "client-3"):
        told = [line for line in narrow[1].splitlines() if client in line and "sketch.rank" in line]
        assert len(told) == 1
        assert "round 1: the sketch missed about" in told[0]


def test_an_exact_payload_has_nothing_to_estimate(run_of: Callable[[str, str], Path]) -> None:
    assert estimates(run_of("dense", "bfv")) == [{None}, {None}]
