"""``securefl run --witness``: a real server's messages, files and memory are searched, and the run says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import securefl

pytestmark = pytest.mark.slow


def test_a_watched_run_says_what_was_searched_and_leaves_no_needle(
    tmp_path: Path, write_federation: Callable[..., Path]
) -> None:
    done = securefl("run", write_federation(tmp_path), "--out", tmp_path / "runs", "--witness")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Witness: searched" in done.stdout
    (run,) = (tmp_path / "runs").iterdir()
    seen = json.loads((run / "witness.json").read_text())
    assert seen["seen"] == []
    assert seen["controls"] == seen["controls_seen"] >= 3
    assert seen["needles"] > 30
    assert seen["searched_bytes"]["messages"] > 10_000
    if Path("/proc/self/mem").exists():
        assert seen["searched_bytes"]["memory"] > 1 << 20
    assert not list(run.rglob("*.needles"))


def test_a_run_that_is_taken_up_cannot_be_watched(tmp_path: Path) -> None:
    done = securefl("run", "--resume", tmp_path, "--witness")
    assert done.returncode == 2
    assert "cannot be watched" in " ".join(done.stderr.split())
