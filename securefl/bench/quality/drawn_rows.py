"""Rows of a cell: drawn from a public data set with the seed, and written as the two files that its clients split.

The rule kept here: what a setting is tuned on is never what it is judged on. With ``validation`` the set's test file is
not opened: its own validation rows stand for test rows, filled up with training rows that were not drawn.

The data sets' folder holds one folder a set, with ``train.jsonl.gz``, ``test.jsonl.gz`` and perhaps
``validation.jsonl.gz``: UTF-8, one JSON object a row.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from securefl.adapters.seeding import seeded_generator
from securefl.bench.quality.suite import DataSet, Limits
from securefl.errors import DataError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
LEAST_TEST_ROWS = 50
"""Fewer rows that may stand for test rows tell nothing."""


@dataclass(frozen=True, slots=True)
class DrawnRows:
    """Files of a cell.

    Attributes:
        train: Its training rows, the clients' validation rows included.
        test: Rows that its adapters are measured on.
        labels: All labels of the set's training file, sorted as numbers where they are numbers; empty without a column.
    """

    train: Path
    test: Path
    labels: tuple[str, ...]


def set_file(folder: Path, data: DataSet, part: str) -> Path:
    """Path of one file of a data set."""
    return folder / data.name / f"{part}.jsonl.gz"


def parts_read(folder: Path, data: DataSet, *, validation: bool) -> tuple[str, ...]:
    """The files of a set that a cell opens."""
    if not data.own_test:
        return (TRAIN,)
    if not validation:
        return TRAIN, TEST
    has_own = set_file(folder, data, VALIDATION).is_file()
    return (TRAIN, VALIDATION) if has_own else (TRAIN,)


def check_data(folder: Path, data: DataSet, *, validation: bool) -> None:
    """Refuse a data set that is not there.

    Raises:
        DataError: naming the file that is missing.
    """
    for part in parts_read(folder, data, validation=validation):
        path = set_file(folder, data, part)
        if not path.is_file():
            raise DataError(
                f"there is no data file {path}",
                where="--data",
                hint=f"name the folder that holds {data.name}/{path.name}, or leave {data.name} out with --only",
            )


def data_digest(folder: Path, data: DataSet, *, validation: bool) -> str:
    """SHA-256 over the files that a cell opens, hexadecimal."""
    state = hashlib.sha256()
    for part in parts_read(folder, data, validation=validation):
        state.update(hashlib.sha256(set_file(folder, data, part).read_bytes()).digest())
    return state.hexdigest()


def draw_rows(
    folder: Path, data: DataSet, *, limits: Limits, seed: int, validation: bool, into: Path
) -> DrawnRows:
    """Draw a cell's rows and write them.

    Args:
        folder: The data sets'.
        data: Which of them.
        limits: How many rows at most.
        seed: Draws them.
        validation: Test rows are rows held out of training; the set's test file stays closed.
        into: Where both files are written.

    Raises:
        DataError: if a file is missing or damaged, or too few rows are left beside those of the training.
    """
    check_data(folder, data, validation=validation)
    whole = _lines(set_file(folder, data, TRAIN))
    order = seeded_generator(seed, "quality", data.name, TRAIN).permutation(len(whole))
    drawn = sorted(order[: limits.train].tolist())
    spare = [whole[place] for place in order[limits.train :].tolist()]
    if not data.own_test:
        test = _spare_part(data, spare, limits=limits, validation=validation)
    elif validation:
        test = _held_out(folder, data, spare, limits=limits, seed=seed)
    else:
        test = _lines(set_file(folder, data, TEST))
        rng = seeded_generator(seed, "quality", data.name, TEST)
        test = _some(test, most=limits.test, rng=rng)
    return DrawnRows(
        train=_written(into / "train.jsonl", [whole[place] for place in drawn]),
        test=_written(into / "test.jsonl", test),
        labels=_labels(whole, data.label, where=str(set_file(folder, data, TRAIN))),
    )


def _held_out(folder: Path, data: DataSet, spare: list[bytes], *, limits: Limits, seed: int) -> list[bytes]:
    """Rows that nobody trains on: the set's own validation rows, filled up with spare training rows."""
    path = set_file(folder, data, VALIDATION)
    own = _lines(path) if path.is_file() else []
    rng = seeded_generator(seed, "quality", data.name, VALIDATION)
    rows = _some(own, most=limits.test, rng=rng)
    rows += spare[: limits.test - len(rows)]
    if len(rows) < LEAST_TEST_ROWS:
        raise DataError(
            f"{data.name} has {len(rows)} rows beside those of the training",
            where="--validation",
            hint="take fewer training rows",
        )
    return rows


def _spare_part(data: DataSet, spare: list[bytes], *, limits: Limits, validation: bool) -> list[bytes]:
    """Training rows that nobody trains on: the first of them to judge on, the next ones to tune on."""
    rows = spare[limits.test : 2 * limits.test] if validation else spare[: limits.test]
    if len(rows) < LEAST_TEST_ROWS:
        raise DataError(
            f"{data.name} has {len(rows)} rows beside those of the training{' and the test' if validation else ''}",
            hint="take fewer rows: the set has no test file",
        )
    return rows


def _some(lines: list[bytes], *, most: int, rng: np.random.Generator) -> list[bytes]:
    """At most so many lines, drawn, in their order."""
    return [lines[place] for place in sorted(rng.permutation(len(lines))[:most].tolist())]


def _lines(path: Path) -> list[bytes]:
    try:
        with gzip.open(path) as file:
            return [line.rstrip(b"\r\n") for line in file if line.strip()]
    except (OSError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read", hint=f"is it whole, and gzip? {type(error).__name__}"
        ) from None


def _labels(lines: list[bytes], column: str, *, where: str) -> tuple[str, ...]:
    if not column:
        return ()
    try:
        found = {str(json.loads(line)[column]) for line in lines}
    except (ValueError, KeyError, TypeError):
        raise DataError(f"a row of {where} has no '{column}'", hint="is it JSON lines?") from None
    if all(label.isdecimal() for label in found):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found))


def _written(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path
