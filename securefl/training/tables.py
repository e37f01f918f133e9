"""Data files as columns of strings: jsonl and csv, plain or gzipped, through ``datasets``.

The rule kept here: a cell is the text that stands in the file. CSV is read as strings (no "NA" turns into
nothing, no "007" into 7); numbers and truth values of JSON become their usual text; what is missing is an
error with its row. Nothing is fetched from a network, and nothing stays on disk: the library's cache is a
temporary folder.
"""

from __future__ import annotations

import csv
import gzip
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.errors import DataError
from securefl.training.quiet import quiet_datasets

if TYPE_CHECKING:
    from datasets import Dataset

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz")
PLACES = "data.train, data.test or a client's own entry"


@dataclass(frozen=True, slots=True)
class Table:
    """Some columns of a file.

    Attributes:
        path: The file.
        columns: Cells by column name; all columns have one length.
    """

    path: Path
    columns: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def read_table(path: Path, columns: Sequence[str]) -> Table:
    """The named columns of a file.

    Args:
        path: A jsonl or csv file, possibly gzipped.
        columns: Names of columns; the others are not looked at.

    Raises:
        DataError: if the file is missing, of another kind, unreadable or empty, lacks a column, or a cell is
            empty of any value.
    """
    if not path.is_file():
        raise DataError(
            f"there is no data file {path}",
            hint=f"download the data set and put the file's path into {PLACES}",
        )
    if not path.name.endswith(SUFFIXES):
        raise DataError(f"{path} is no data file", hint=f"known kinds are {', '.join(SUFFIXES)}")
    data = _loaded(path)
    for column in columns:
        if column not in data.column_names:
            there = ", ".join(data.column_names)
            raise DataError(
                f"there is no column '{column}'", where=str(path), hint=f"the columns are {there}"
            )
    return Table(path, {column: _texts(path, column, data[column]) for column in dict.fromkeys(columns)})


def _loaded(path: Path) -> Dataset:
    # Imported here because it costs half a second and 140 MB.
    from datasets import Dataset
    from datasets.exceptions import DatasetsError

    try:
        with tempfile.TemporaryDirectory(prefix="securefl-data-") as cache, quiet_datasets():
            if ".csv" in path.suffixes:
                return Dataset.from_csv(
                    str(path),
                    features=_text_features(path),
                    cache_dir=cache,
                    keep_in_memory=True,
                    keep_default_na=False,
                )
            return Dataset.from_json(str(path), cache_dir=cache, keep_in_memory=True)
    except StopIteration:
        raise DataError(f"{path} is empty", hint="give a file with at least a few rows") from None
    except (DatasetsError, OSError, EOFError, ValueError, csv.Error) as error:
        reason = str(error.__cause__ or error).splitlines()
        raise DataError(f"{path} cannot be read", hint=reason[0].rstrip(".") if reason else "") from None


def _text_features(path: Path) -> object:
    """The header's columns, all of them text.

    Raises:
        StopIteration: if there is no row below the header.
    """
    from datasets import Features, Value

    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, mode="rt", encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        header = next(rows)
        next(rows)
        return Features({name: Value("string") for name in header})


def _texts(path: Path, column: str, cells: Sequence[object]) -> Sequence[str]:
    return [_text(cell, path=path, column=column, row=row) for row, cell in enumerate(cells, start=1)]


def _text(cell: object, *, path: Path, column: str, row: int) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, float) and cell.is_integer():
        # A column of whole numbers with a gap somewhere arrives as floats.
        return str(int(cell))
    if isinstance(cell, (bool, int, float)):
        return str(cell)
    what = "nothing" if cell is None else "no text"
    raise DataError(
        f"there is {what} in column '{column}'", where=f"{path}, row {row}", hint="mend or remove the row"
    )
