"""The benchmark of quality: the cells of a suite, those that are not finished run in processes of their own.

The rule kept here: a finished cell is not run again, unless its options, its material or the code have changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from securefl.bench.host import Machine
from securefl.bench.quality.cell_files import CellStore, FinishedCell, Material, cell_digest
from securefl.bench.quality.cell_pool import CellPool, CellTask, LineSink
from securefl.bench.quality.code_version import code_version
from securefl.bench.quality.drawn_rows import check_data, data_digest
from securefl.bench.quality.measurement import Scheme
from securefl.bench.quality.request import QualityRequest
from securefl.bench.quality.suite import Cell, DataSet
from securefl.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Everything that a run of the benchmark has.

    Attributes:
        cells: Finished cells by name, in the order of the request.
        encrypted: Those of them that also ran encrypted, by the same names.
        failures: By name, the reason of each cell that failed.
    """

    cells: Mapping[str, FinishedCell]
    encrypted: Mapping[str, FinishedCell]
    failures: Mapping[str, str]


def run_quality(request: QualityRequest, *, machine: Machine, line_sink: LineSink) -> Finished:
    """Run the cells that are not finished.

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
    pool = CellPool(request, machine, line_sink)
    for task in tasks:
        if task.name in found:
            pool.time_left.note(task.cell, cpu_s=found[task.name].measured.cpu_s)
    together = found | pool.run(missing)
    return Finished(
        cells=_of_scheme(tasks, together, encrypted=False),
        encrypted=_of_scheme(tasks, together, encrypted=True),
        failures=pool.failures,
    )


def _of_scheme(
    tasks: Sequence[CellTask], finished: Mapping[str, FinishedCell], *, encrypted: bool
) -> dict[str, FinishedCell]:
    """The finished cells of the twins, or of the encrypted runs, by the names of their cells."""
    return {
        task.cell.name: finished[task.name]
        for task in tasks
        if task.is_encrypted == encrypted and task.name in finished
    }


def _tasks(request: QualityRequest) -> list[CellTask]:
    for cell in request.run:
        check_data(request.data, cell.data, validation=request.validation)
    digests = _data_digests(request)
    code = code_version()

    def task(cell: Cell, scheme: Scheme) -> CellTask:
        job = request.job(cell, scheme=scheme)
        material = Material(data=digests[cell.data], model=request.model_digest, code=code)
        return CellTask(cell, job, cell_digest(job, material))

    twins = [task(cell, "none") for cell in request.cells if cell.data in digests]
    return [*twins, *(task(cell, "kahe") for cell in request.identity_cells)]


def _data_digests(request: QualityRequest) -> dict[DataSet, str]:
    """Those of the data sets that are there: of one that is not, no finished cell can be told to be today's."""
    digests = {}
    for data in dict.fromkeys(cell.data for cell in request.cells):
        with suppress(DataError):
            check_data(request.data, data, validation=request.validation)
            digests[data] = data_digest(request.data, data, validation=request.validation)
    return digests


def _found(request: QualityRequest, task: CellTask) -> FinishedCell | None:
    """A cell's file, if it holds what would be run now."""
    cell = CellStore(request.out).load(task.cell.name, task.job)
    if cell is None or cell.job != task.job:
        return None
    return cell if request.any_code or cell.digest == task.digest else None
