"""A run of many cells: what is finished stays finished, whatever ends the run."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.quality import MACHINE, TINY, TINY_RECIPES, colours_cell, measured, outcome, save_colours

from securefl.bench.processes import Program
from securefl.bench.quality import benchmark, cell_pool
from securefl.bench.quality.benchmark import Finished, run_quality
from securefl.bench.quality.request import QualityRequest
from securefl.bench.quality.suite import cells_of
from securefl.errors import DataError

ANSWER = measured({"client-1": outcome({"base": (1, 0)})}).model_dump_json()
PROGRAM = """
import json, os, sys, time
order = json.load(sys.stdin)
job = order["job"]
name = f"{job['split']}-{job['recipe']}-{job['scheme']}"
with open(%(log)r, "a") as log:
    log.write(f"{name} {os.getpid()}\\n")
if os.path.exists(%(log)r + ".hang"):
    time.sleep(240)
if name in open(%(failing)r).read().split():
    print("securefl: there is no luck", file=sys.stderr)
    sys.exit(1)
print(%(answer)r)
"""


class Harness:
    """A benchmark whose cells are a script that notes what it is told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log, self.failing = folder / "log", folder / "failing"
        self.log.write_text("")
        self.failing.write_text("")
        script = folder / "script.py"
        script.write_text(PROGRAM % {"log": str(self.log), "failing": str(self.failing), "answer": ANSWER})
        monkeypatch.setattr(cell_pool, "PROGRAM", Program((sys.executable, "-S", str(script)), own=True))
        monkeypatch.setattr(cell_pool, "LOOK_S", 0.01)
        cells = cells_of(TINY, seeds=1)
        self.request = QualityRequest(
            suite=TINY,
            suite_name="tiny",
            cells=cells,
            run=cells,
            data=save_colours(folder / "data"),
            model="somewhere",
            model_digest="m",
            out=folder / "out",
            timeout_s=240,
        )
        self.said: list[str] = []

    def run(self, *, line_sink: Callable[[str], None] | None = None, **changes: object) -> Finished:
        """Run the benchmark with parts of the request changed."""
        request = replace(self.request, **changes)  # type: ignore[arg-type]
        return run_quality(request, machine=MACHINE, line_sink=line_sink or self.said.append)

    @property
    def started(self) -> list[str]:
        """Cells that were started, in order."""
        return [line.split()[0] for line in self.log.read_text().splitlines()]

    @property
    def processes(self) -> list[int]:
        """Their process ids."""
        return [int(line.split()[1]) for line in self.log.read_text().splitlines()]


ALL = ["dirichlet-central-none", "dirichlet-default-none", "iid-central-none", "iid-default-none"]


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harness:
    return Harness(tmp_path, monkeypatch)


def test_every_cell_is_run_once(harness: Harness) -> None:
    finished = harness.run()
    assert harness.started == ALL
    assert [*finished.cells] == [cell.name for cell in harness.request.cells]
    assert not finished.failures


def test_a_finished_cell_is_not_run_again(harness: Harness) -> None:
    first = harness.run()
    assert harness.run() == first
    assert harness.started == ALL
    assert "4 of 4 cells are finished already." in harness.said


def test_an_interrupted_run_goes_on_where_it_stopped(harness: Harness) -> None:
    def interrupt(line: str) -> None:
        if "2 to go" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harness.run(line_sink=interrupt)
    assert harness.started == ALL[:2]
    assert len(harness.run().cells) == 4
    assert harness.started == ALL


def test_an_interrupted_run_leaves_no_process_behind(harness: Harness) -> None:
    Path(f"{harness.log}.hang").write_text("")

    def interrupt_the_second(line: str) -> None:
        if "iid-central" in line:
            # The first cell runs by now; the second is about to start.
            while not harness.processes:
                time.sleep(0.01)
            raise KeyboardInterrupt

    harness.request = replace(harness.request, run=harness.request.cells[1:])
    with pytest.raises(KeyboardInterrupt):
        harness.run(line_sink=interrupt_the_second, jobs=2)
    (process,) = harness.processes
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"overrides": ("training.learning_rate=1e-3",)},
        {"model_digest": "another"},
        {"suite": replace(TINY, compares="recipes")},
    ],
)
def test_a_cell_of_other_options_is_not_taken(change: dict[str, object], harness: Harness) -> None:
    harness.run()
    harness.run(**change)
    assert harness.started == ALL * 2


def test_a_cell_of_other_code_is_taken_only_when_asked_for(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.run()
    monkeypatch.setattr(benchmark, "code_version", lambda: "f" * 64)
    harness.run(any_code=True)
    assert harness.started == ALL
    harness.run()
    assert harness.started == ALL * 2


def test_a_cell_of_other_data_is_not_taken(harness: Harness) -> None:
    harness.run()
    path = harness.request.data / "colours" / "test.jsonl.gz"
    path.write_bytes(path.read_bytes() + b"\x00")
    harness.run()
    assert harness.started == ALL * 2


def test_a_cell_that_fails_ends_no_other_one(harness: Harness) -> None:
    harness.failing.write_text(ALL[1])
    finished = harness.run()
    assert harness.started == ALL
    assert len(finished.cells) == 3
    (reason,) = finished.failures.values()
    assert "there is no luck" in reason
    harness.failing.write_text("")
    assert not harness.run().failures
    assert harness.started == [*ALL, ALL[1]]


def test_a_cell_that_hangs_is_ended(harness: Harness) -> None:
    Path(f"{harness.log}.hang").write_text("")
    harness.request = replace(harness.request, run=harness.request.cells[:1])
    finished = harness.run(timeout_s=0.5)
    assert "did not end within 0.5 seconds" in next(iter(finished.failures.values()))


def test_the_report_has_finished_cells_that_were_not_asked_for(harness: Harness) -> None:
    harness.run()
    finished = harness.run(run=(colours_cell(split="iid"),))
    assert len(finished.cells) == 4
    assert harness.started == ALL


def test_the_encrypted_run_stands_beside_its_twin(harness: Harness) -> None:
    finished = harness.run(identity=True)
    assert harness.started == [*ALL, "iid-default-kahe"]
    assert [*finished.encrypted] == ["colours-iid-default-7"]
    assert next(iter(finished.encrypted)) in finished.cells
    assert [*finished.cells] == [cell.name for cell in harness.request.cells]


def test_where_recipes_are_compared_each_has_an_encrypted_run_of_its_smallest_place(harness: Harness) -> None:
    cells = cells_of(TINY_RECIPES, seeds=2)
    finished = harness.run(suite=TINY_RECIPES, cells=cells, run=cells, identity=True)
    assert [*finished.encrypted] == ["colours-iid-default-7", "colours-iid-lean-7"]
    assert harness.started[-2:] == ["iid-default-kahe", "iid-lean-kahe"]


def test_a_missing_data_set_is_said_before_anything_runs(harness: Harness) -> None:
    (harness.request.data / "colours" / "test.jsonl.gz").unlink()
    with pytest.raises(DataError, match="there is no data file"):
        harness.run()
    assert harness.started == []


def test_the_time_that_is_left_is_said(harness: Harness) -> None:
    harness.run()
    assert "about" in harness.said[2]
    assert "to go, about 0 minutes." in " ".join(harness.said)
