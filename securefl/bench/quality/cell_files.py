"""Finished cells on disk, one file each, so that a run goes on where it stopped.

The rule kept here: a file is written whole, after its cell has ended; it is taken again only if its digest, over the
cell's options, its material and the code, is today's.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from securefl.bench.host import Machine
from securefl.bench.quality.measurement import CellJob, CellMeasurement, Digest
from securefl.errors import StateError
from securefl.results.formats import FORMAT_KEY, stamped
from securefl.storage.whole import write_atomically

CELLS = "cells"
"""Folder of the cells' files, below that of the report."""


class FinishedCell(BaseModel):
    """A cell's file.

    Attributes:
        name: The cell's.
        digest: See ``cell_digest``.
        code: ``code_version``.
        job: What was run.
        measured: What came out.
        machine: Where it ran.
        versions: Libraries that figures depend on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    digest: Digest
    code: Digest
    job: CellJob
    measured: CellMeasurement
    machine: dict[str, str | int | float | bool]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Everything beside its options that a cell's figures depend on.

    Attributes:
        data: Digest of the data set's files.
        model: Digest of the base model's.
        code: ``code_version``.
    """

    data: str
    model: str
    code: str


def cell_digest(job: CellJob, material: Material) -> str:
    """SHA-256, hexadecimal, over a cell's options and material."""
    text = json.dumps(
        [job.model_dump(mode="json"), material.data, material.model, material.code], sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


def file_name(name: str, job: CellJob) -> str:
    """Name of a cell's file; rows of validation and an encrypted run have names of their own."""
    parts = [
        name,
        *(["validation"] if job.validation else []),
        *([job.scheme] if job.scheme != "none" else []),
    ]
    return f"{'-'.join(parts)}.json"


class CellStore:
    """The files of a folder.

    Args:
        folder: The report's; made when the first cell is saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / CELLS

    def load(self, name: str, job: CellJob) -> FinishedCell | None:
        """A finished cell's file, of whatever options; None without one, or where it is no such file."""
        try:
            values = json.loads((self._folder / file_name(name, job)).read_text(encoding="utf-8"))
            fields = {key: value for key, value in values.items() if key != FORMAT_KEY}
            # In JSON's own terms: lists stand for tuples.
            return FinishedCell.model_validate_json(json.dumps(fields))
        except (OSError, ValueError, AttributeError, RecursionError):
            return None

    def save(self, cell: FinishedCell) -> Path:
        """Write a finished cell's file.

        Raises:
            StateError: if the folder cannot be made.
            ConfigError: if the file cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"{self._folder} cannot be made", hint=str(error.strerror)) from None
        path = self._folder / file_name(cell.name, cell.job)
        write_atomically(path, _compact(cell))
        return path


def machine_values(machine: Machine) -> dict[str, str | int | float | bool]:
    """A machine as plain values; its load is the run's and not the cell's."""
    return {"cpu": machine.cpu, "cores": machine.cores, "system": machine.system, "python": machine.python}


def _compact(cell: FinishedCell) -> str:
    """JSON with one client's scores on a line: whole numbers as such, to keep the file small."""
    values = cell.model_dump(mode="json")
    for client in values["measured"]["clients"].values():
        client["scores"] = {column: list(map(_number, row)) for column, row in client["scores"].items()}
    return json.dumps(stamped(values), separators=(",", ":")) + "\n"


def _number(value: float) -> float | int:
    return int(value) if value.is_integer() else value
