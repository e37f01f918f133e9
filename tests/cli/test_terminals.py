"""A terminal that can show little is no reason to fail: a finished run ends with 0, and its JSON is JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from securefl.cli.output import write_json

from .test_run import FAKE_PROGRAM, FEDERATION

PROGRAM = f"""
import sys
from securefl.launch import federate
federate.PROGRAM = {FAKE_PROGRAM!r}
from securefl.cli.main import main
sys.exit(main())
"""
TERMINALS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "strict": {"PYTHONIOENCODING": "ascii:strict"},
    "posix": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "dumb": {"TERM": "dumb"},
}


@pytest.fixture
def securefl(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run a command line over processes that pretend, in a narrow terminal of a kind."""
    (tmp_path / "FED.toml").write_text(FEDERATION)

    def call(*arguments: str, terminal: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "40", **TERMINALS[terminal]},
            capture_output=True,
            timeout=120,
            check=False,
        )

    return call


@pytest.mark.slow
@pytest.mark.parametrize("terminal", TERMINALS)
def test_a_finished_run_ends_with_0_wherever_its_words_go(securefl: Callable, terminal: str) -> None:
    done = securefl("run", "FED.toml", "--out", "l\u00e4ufe", terminal=terminal)
    assert done.returncode == 0, done.stderr
    assert b"unexpected" not in done.stderr
    if terminal in ("ascii", "strict", "posix"):
        done.stdout.decode("ascii")


@pytest.mark.slow
def test_json_on_a_terminal_without_the_letters_is_still_json(securefl: Callable) -> None:
    done = securefl("run", "FED.toml", "--out", "l\u00e4ufe", "--json", "-", terminal="ascii")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "fake"


@pytest.mark.slow
def test_help_is_shown_on_a_terminal_without_the_letters_of_frames(securefl: Callable) -> None:
    assert securefl("run", "--help", terminal="ascii").returncode == 0


@pytest.mark.parametrize("name", ["caf\u00e9", "caf\udce9"])
def test_json_keeps_names_that_the_output_cannot_show(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    with (tmp_path / "stdout").open("w", encoding="ascii") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        write_json({"name": name}, "-")
    write_json({"name": name}, str(tmp_path / "file"))
    for written in ("stdout", "file"):
        assert json.loads((tmp_path / written).read_text(encoding="utf-8")) == {"name": name}


@pytest.mark.slow
def test_a_full_output_is_one_sentence() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "securefl.cli", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == ("securefl: the disk is full: make room there, or name a folder on another disk.\n")
