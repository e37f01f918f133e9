"""The benchmark of quality: the cells of a suite, each in a process of its own, as many at a time as are asked for.

The rules kept here: a finished cell is not run again; a cell that fails ends no other one; and whatever interrupts the
run, no process of it stays behind and no finished cell is lost.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from securefl.bench.host import Machine
from securefl.bench.processes import Program, ToldProcess
from securefl.bench.quality.cell_files import (
    CellStore,
    FinishedCell,
    Material,
    cell_digest,
    machine_values,
)
from securefl.bench.quality.code_version import code_version
from securefl.bench.quality.drawn_rows import check_data, data_digest
from securefl.bench.quality.measurement import CellJob, CellMeasurement, CellOrder, Scheme, read_cell
from securefl.bench.quality.suite import Cell, DataSet, Suite
from securefl.errors import DataError, RunError

PROGRAM = Program((sys.executable, "-P", "-m", "securefl.bench.quality.cell"), own=True)
LOOK_S = 0.2
"""Seconds between two looks at the processes."""
LIBRARIES = ("torch", "transformers", "peft", "numpy")
LineSink = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRequest:
    """Request of a benchmark.

    Attributes:
        suite: Ranks and rows of all cells.
        suite_name: The suite's name.
        cells: What the report is about, in order.
        run: What of it is run where it is not finished.
        data: Folder of the data sets.
        model: Base model.
        model_digest: Digest of its files, hexadecimal.
        out: Folder of the report and of the cells' files.
        validation: Rows held out of training stand for test rows.
        overrides: ``section.key=value`` each.
        identity: Run the first federation once more, encrypted.
        any_code: Take finished cells of other versions of the code, too.
        jobs: Cells at a time.
        timeout_s: How long one cell may take.
    """

    suite: Suite
    suite_name: str
    cells: tuple[Cell, ...]
    run: tuple[Cell, ...]
    data: Path
    model: str
    model_digest: str
    out: Path
    validation: bool = False
    overrides: tuple[str, ...] = ()
    identity: bool = False
    any_code: bool = False
    jobs: int = 1
    timeout_s: float = 7200.0

    def job(self, cell: Cell, *, scheme: Scheme = "none") -> CellJob:
        """A cell's options."""
        data, limits = cell.data, self.suite.limits
        return CellJob(
            data=data.name,
            text=data.text,
            label=data.label,
            max_length=data.max_length,
            split=cell.split,
            recipe=cell.recipe,
            seed=cell.seed,
            ranks=self.suite.ranks,
            train_rows=limits.train,
            test_rows=limits.test,
            validation=self.validation,
            scheme=scheme,
            overrides=self.overrides,
        )

    @property
    def identity_cell(self) -> Cell | None:
        """The federation that is run encrypted as well: the first of the last place, which is a suite's smallest."""
        federations = [cell for cell in self.run if cell.federated]
        last = [cell for cell in federations if cell.place == federations[-1].place]
        return last[0] if self.identity and last else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Everything that a run of the benchmark has.

    Attributes:
        cells: Finished cells by name, in the order of the request.
        encrypted: The cell that ran encrypted, if one was asked for and ended.
        failures: By name, the reason of each cell that failed.
    """

    cells: Mapping[str, FinishedCell]
    encrypted: FinishedCell | None
    failures: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Task:
    """A cell to be run, or found finished."""

    cell: Cell
    job: CellJob
    digest: str

    @property
    def name(self) -> str:
        """A name for people."""
        return self.cell.name if self.job.scheme == "none" else f"{self.cell.name}, encrypted"


@dataclass(slots=True)
class _Running:
    task: _Task
    process: ToldProcess
    leftovers: ExitStack
    started: float = field(default_factory=time.monotonic)

    def end(self) -> None:
        """Leaves nothing of it: no process, no file."""
        self.leftovers.close()


def run_quality(request: QualityRequest, *, machine: Machine, line_sink: LineSink) -> Finished:
    """Runs the cells that are not finished.

    Args:
        request: What is to be measured.
        machine: Noted in the cells' files.
        line_sink: Is told what is being done, one line each.

    Raises:
        DataError: if a data set is missing; nothing has been run then.
    """
    tasks = _tasks(request)
    found = {task.name: cell for task in tasks if (cell := _found(request, task)) is not None}
    if found:
        line_sink(f"{len(found)} of {len(tasks)} cells are finished already.")
    missing = [task for task in tasks if task.cell in request.run and task.name not in found]
    pool = _Pool(request, machine, line_sink)
    ran = pool.run(missing)
    together = found | ran
    encrypted = [task for task in tasks if task.job.scheme != "none"]
    return Finished(
        cells={
            task.name: together[task.name]
            for task in tasks
            if task.job.scheme == "none" and task.name in together
        },
        encrypted=next((together[task.name] for task in encrypted if task.name in together), None),
        failures=pool.failures,
    )


def _tasks(request: QualityRequest) -> list[_Task]:
    for cell in request.run:
        check_data(request.data, cell.data, validation=request.validation)
    digests = _data_digests(request)
    code = code_version()

    def task(cell: Cell, scheme: Scheme) -> _Task:
        job = request.job(cell, scheme=scheme)
        material = Material(data=digests[cell.data], model=request.model_digest, code=code)
        return _Task(cell, job, cell_digest(job, material))

    tasks = [task(cell, "none") for cell in request.cells if cell.data in digests]
    again = request.identity_cell
    return tasks if again is None else [*tasks, task(again, "bfv")]


def _data_digests(request: QualityRequest) -> dict[DataSet, str]:
    """Those of the data sets that are there: of one that is not, no finished cell can be told to be today's."""
    digests = {}
    for data in dict.fromkeys(cell.data for cell in request.cells):
        with suppress(DataError):
            check_data(request.data, data, validation=request.validation)
            digests[data] = data_digest(request.data, data, validation=request.validation)
    return digests


def _found(request: QualityRequest, task: _Task) -> FinishedCell | None:
    """A cell's file, if it holds what would be run now."""
    cell = CellStore(request.out).load(task.cell.name, task.job)
    if cell is None or cell.job != task.job:
        return None
    return cell if request.any_code or cell.digest == task.digest else None


class _Pool:
    """Processes of cells, a few at a time."""

    def __init__(self, request: QualityRequest, machine: Machine, line_sink: LineSink) -> None:
        self._request = request
        self._machine = machine
        self._line_sink = line_sink
        self._store = CellStore(request.out)
        self._seconds: list[float] = []
        self.failures: dict[str, str] = {}

    def run(self, tasks: Sequence[_Task]) -> dict[str, FinishedCell]:
        """Runs all, and saves each as it ends."""
        waiting, running = list(tasks), list[_Running]()
        finished: dict[str, FinishedCell] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self._request.jobs:
                    self._say_next(waiting[0], left=len(waiting) + len(running))
                    running.append(self._started(waiting.pop(0)))
                time.sleep(LOOK_S)
                for each in [each for each in running if each.process.ended]:
                    running.remove(each)
                    finished |= self._finished(each)
        finally:
            for each in running:
                each.end()
        return finished

    def _say_next(self, task: _Task, *, left: int) -> None:
        line = f"Cell {task.name}: {left} to go"
        if self._seconds:
            usual = sum(self._seconds) / len(self._seconds)
            line += f", about {usual * left / self._request.jobs / 60:.0f} minutes"
        self._line_sink(f"{line}.")

    def _started(self, task: _Task) -> _Running:
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
        self._seconds.append(time.monotonic() - each.started)
        cell = self._cell(task, measured)
        self._store.save(cell)
        self._line_sink(f"Cell {task.name}: {summary(measured)}; {self._seconds[-1]:.0f} s.")
        return {task.name: cell}

    def _cell(self, task: _Task, measured: CellMeasurement) -> FinishedCell:
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
