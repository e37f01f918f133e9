"""Made-up cells of the benchmark of quality, and a data set of a few kilobytes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from securefl.bench.host import Machine
from securefl.bench.quality.cell_files import FinishedCell
from securefl.bench.quality.measurement import CellJob, CellMeasurement, ClientOutcome, Column
from securefl.bench.quality.suite import CENTRAL, LOCAL, Cell, DataSet, Limits, Setting, Suite
from support.tiny_model import write_rows

COLOURS = DataSet(name="colours", text=("text",), label="label", max_length=16)
TINY_RANKS, TINY_LIMITS = (2, 4, 4), Limits(train=120, test=60)
TINY = Suite(
    settings=tuple(
        Setting(data=COLOURS, split=split, ranks=TINY_RANKS, limits=TINY_LIMITS)
        for split in ("dirichlet", "iid")
    ),
    recipes=(CENTRAL, "default"),
    compares="adapters",
    model="somewhere",
)
TINY_RECIPES = Suite(
    settings=TINY.settings,
    recipes=(CENTRAL, LOCAL, "default", "lean", "nobody-s"),
    compares="recipes",
    model="somewhere",
)
"""Compares recipes, one of which no version has."""
MACHINE = Machine(
    cpu="a processor",
    cores=2,
    memory_bytes=1 << 30,
    system="Linux 6",
    python="3.11",
    load_before=0.0,
    pinned=False,
)
ZEROS = "0" * 64
ADAPTERS = ("personal", "global", "fused")


def save_colours(folder: Path, *, rows: int = 480) -> Path:
    """Write the data set ``colours``; its rows of a part are numbered, those of the test file from 1000."""
    (folder / "colours").mkdir(parents=True)
    for part, count in (("train", rows), ("test", rows // 2)):
        plain = folder / f"{part}.jsonl"
        write_rows(plain, rows=count)
        numbered = [
            json.dumps(json.loads(line) | {"number": number + (1000 if part == "test" else 0)})
            for number, line in enumerate(plain.read_text().splitlines())
        ]
        (folder / "colours" / f"{part}.jsonl.gz").write_bytes(gzip.compress("\n".join(numbered).encode()))
        plain.unlink()
    return folder


def job_of(cell: Cell, **changes: object) -> CellJob:
    """A cell's options, of which a test says what matters to it."""
    fields: dict[str, object] = {
        "data": cell.data.name,
        "text": cell.data.text,
        "label": cell.data.label,
        "max_length": cell.data.max_length,
        "split": cell.split,
        "recipe": cell.recipe,
        "seed": cell.seed,
        "ranks": cell.ranks,
        "train_rows": cell.limits.train,
        "test_rows": cell.limits.test,
        "validation": False,
        "scheme": "none",
        "overrides": (),
    }
    return CellJob.model_validate(fields | changes)


def outcome(scores: Mapping[Column, Sequence[float]], **changes: object) -> ClientOutcome:
    """A client's outcome with these scores; the metric is their mean."""
    fields: dict[str, object] = {
        "rank": 2,
        "train_rows": 30,
        "validation_rows": 5,
        "test_sha256": ZEROS,
        "scores": {column: tuple(map(float, row)) for column, row in scores.items()},
        "values": {column: sum(row) / len(row) for column, row in scores.items()},
        "up_bytes": (100, 100),
        "opening_bytes": 7,
        "float32_bytes": 200,
        "adapters_sha256": dict.fromkeys(ADAPTERS, ZEROS),
    }
    return ClientOutcome.model_validate(fields | changes)


def measured(clients: Mapping[str, ClientOutcome], **changes: object) -> CellMeasurement:
    """A measurement of these clients."""
    fields: dict[str, object] = {
        "metric": "accuracy",
        "rounds": 3,
        "clients": dict(clients),
        "integers_sha256": (ZEROS,),
        "seconds": {"train": 1.0},
        "wall_s": 2.0,
        "cpu_s": 1.5,
        "settings": {},
    }
    return CellMeasurement.model_validate(fields | changes)


def finished(cell: Cell, measurement: CellMeasurement, **changes: object) -> FinishedCell:
    """A cell's file."""
    job = {key: changes.pop(key) for key in ("scheme", "validation") if key in changes}
    fields: dict[str, object] = {
        "name": cell.name,
        "digest": ZEROS,
        "code": ZEROS,
        "job": job_of(cell, **job),
        "measured": measurement,
        "machine": {"cpu": "a processor"},
        "versions": {"torch": "2"},
    }
    return FinishedCell.model_validate(fields | changes)


def colours_cell(recipe: str = "default", *, split: str = "iid", seed: int = 7) -> Cell:
    """A cell of the data set ``colours``."""
    return Cell(data=COLOURS, split=split, recipe=recipe, seed=seed, ranks=TINY_RANKS, limits=TINY_LIMITS)


def central_cell(*, split: str = "iid") -> Cell:
    """The central training of a place."""
    return colours_cell(CENTRAL, split=split)
