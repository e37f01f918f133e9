"""Processes of cells, a few at a time.

The rules kept here: a cell is saved as it ends; one that fails ends no other one; and whatever interrupts the run, no
process of it stays behind.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from securefl.bench.host import Machine
from securefl.bench.processes import Program, ToldProcess
from securefl.bench.quality.cell_files import CellStore, FinishedCell, machine_values
from securefl.bench.quality.code_version import code_version
from securefl.bench.quality.measurement import CellJob, CellMeasurement, CellOrder, read_cell
from securefl.bench.quality.request import QualityRequest
from securefl.bench.quality.suite import Cell
from securefl.bench.quality.time_left import TimeLeft
from securefl.errors import RunError

PROGRAM = Program((sys.executable, "-P", "-m", "securefl.bench.quality.cell"), own=True)
LOOK_S = 0.2
"""Seconds between two looks at the processes."""
LIBRARIES = ("torch", "transformers", "peft", "numpy")
LineSink = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CellTask:
    """A cell to be run, or found finished.

    Attributes:
        cell: Which.
        job: Its options.
        digest: See ``cell_digest``.
    """

    cell: Cell
    job: CellJob
    digest: str

    @property
    def is_encrypted(self) -> bool:
        """True for a run that is more than the integer twin."""
        return self.job.scheme != "none"

    @property
    def name(self) -> str:
        """A name for people."""
        return f"{self.cell.name}, encrypted" if self.is_encrypted else self.cell.name


@dataclass(slots=True)
class _Running:
    task: CellTask
    process: ToldProcess
    leftovers: ExitStack
    started: float = field(default_factory=time.monotonic)

    def end(self) -> None:
        """Leave nothing of it: no process, no file."""
        self.leftovers.close()


class CellPool:
    """Processes of cells, a few at a time.

    Args:
        request: What all cells have in common.
        machine: Noted in the cells' files.
        line_sink: Is told what is being done, one line each.

    Attributes:
        time_left: Told of every cell that finishes; a caller tells it of cells that are finished already.
        failures: By name, the reason of each cell that failed.
    """

    def __init__(self, request: QualityRequest, machine: Machine, line_sink: LineSink) -> None:
        self._request = request
        self._machine = machine
        self._line_sink = line_sink
        self._store = CellStore(request.out)
        self.time_left = TimeLeft()
        self.failures: dict[str, str] = {}

    def run(self, tasks: Sequence[CellTask]) -> dict[str, FinishedCell]:
        """Run all, and save each as it ends."""
        waiting, running = list(tasks), list[_Running]()
        finished: dict[str, FinishedCell] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self._request.jobs:
                    self._say_next(waiting[0], left=[*waiting, *(each.task for each in running)])
                    running.append(self._started(waiting.pop(0)))
                time.sleep(LOOK_S)
                for each in [each for each in running if each.process.ended]:
                    running.remove(each)
                    finished |= self._finished(each)
        finally:
            for each in running:
                each.end()
        return finished

    def _say_next(self, task: CellTask, *, left: Sequence[CellTask]) -> None:
        line = f"Cell {task.name}: {len(left)} to go"
        seconds = self.time_left.seconds((each.cell for each in left), jobs=self._request.jobs)
        if seconds is not None:
            line += f", about {seconds / 60:.0f} minutes"
        self._line_sink(f"{line}.")

    def _started(self, task: CellTask) -> _Running:
        request = self._request
        order = CellOrder(job=task.job, data_folder=str(request.data.resolve()), model=request.model)
        with ExitStack() as leftovers:
            folder = leftovers.enter_context(TemporaryDirectory(prefix="securefl-bench-"))
            process = ToldProcess(
                PROGRAM, order.model_dump_json(), folder=Path(folder), timeout_s=request.timeout_s
            )
            leftovers.callback(process.end)
            return _Running(task, process, leftovers.pop_all())

    def _finished(self, each: _Running) -> dict[str, FinishedCell]:
        task = each.task
        try:
            measured = each.process.answer(read_cell)
        except RunError as error:
            self.failures[task.name] = str(error)
            self._line_sink(f"Cell {task.name} failed: {error}")
            return {}
        finally:
            each.end()
        seconds = time.monotonic() - each.started
        self.time_left.note(task.cell, cpu_s=measured.cpu_s, wall_s=seconds)
        cell = self._cell(task, measured)
        self._store.save(cell)
        self._line_sink(f"Cell {task.name}: {summary(measured)}; {seconds:.0f} s.")
        return {task.name: cell}

    def _cell(self, task: CellTask, measured: CellMeasurement) -> FinishedCell:
        return FinishedCell(
            name=task.cell.name,
            digest=task.digest,
            code=code_version(),
            job=task.job,
            measured=measured,
            machine=machine_values(self._machine),
            versions=_versions(LIBRARIES),
        )


def summary(measured: CellMeasurement) -> str:
    """The mean over clients of every column, in one line."""
    columns = next(iter(measured.clients.values())).values
    clients = measured.clients.values()
    return ", ".join(
        f"{column} {sum(client.values[column] for client in clients) / len(clients):.3f}"
        for column in columns
    )


def _versions(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found
