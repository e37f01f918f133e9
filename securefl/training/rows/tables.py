"""Data files as columns of texts: csv, tsv, jsonl and json, plain or gzipped, parquet, and saved data sets.

The rule kept here: a cell is the text that stands in the file, and nothing is guessed: no type, no encoding, no
column. The last suffix decides the kind of a file, in any case of letters; before ``.gz`` it is the one before; a
folder is a data set that ``datasets`` saved. What a cell may be is said in ``cells``, what a row may be in the reader
of its kind.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from securefl.errors import DataError
from securefl.training.rows.cells import Cell, NoText, text_of
from securefl.training.rows.csv_rows import csv_names, csv_rows
from securefl.training.rows.json_rows import json_names, json_rows
from securefl.training.rows.parquet_rows import parquet_names, parquet_rows
from securefl.training.rows.row_errors import empty, place_of
from securefl.training.rows.saved_sets import check_saved_set, saved_names, saved_rows
from securefl.training.rows.text_file import TextFormat

TEXT_KINDS = (".jsonl", ".csv", ".tsv", ".json")
SUFFIXES = (*(suffix for kind in TEXT_KINDS for suffix in (kind, f"{kind}.gz")), ".parquet")
PLACES = "data.train, data.test or a client's own entry"


@dataclass(frozen=True, slots=True)
class Table:
    """Some columns of a file.

    Attributes:
        path: The file.
        columns: Cells by column name; all columns have one length.
        lines: The line that each row begins on, from 1; 0 where the file has no lines.
    """

    path: Path
    columns: Mapping[str, Sequence[str]] = field(repr=False)
    lines: Sequence[int] = field(repr=False)

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """File and row of a position (from 0), as an error names them."""
        return place_of(self.path, row=row + 1, line=self.lines[row])


def read_table(
    path: Path,
    columns: Sequence[str],
    *,
    filled: Collection[str] = (),
    nested: Collection[str] = (),
    optional: Collection[str] = (),
    form: TextFormat = TextFormat(),  # noqa: B008 - it is frozen
) -> Table:
    """The named columns of a file.

    Args:
        path: A csv, tsv, jsonl or json file, possibly gzipped, a parquet file, or the folder of a saved data set.
        columns: Names of columns; the others are not looked at.
        filled: Those of them in which an empty cell is refused.
        nested: Those of them whose lists and objects are read as JSON.
        optional: Those of them that may be missing, in the file or in a row; their cells are empty then.
        form: Spelling of text files.

    Raises:
        DataError: if the file is missing, of another kind, unreadable or empty, lacks a column, or a cell has no
            text or must be filled and is not.
    """
    _check_there(path)
    names = list(dict.fromkeys(columns))
    lacking = _lacking(path, optional, form) if optional else ()
    read = [
        _Column(name, filled=name in filled, nested=name in nested, optional=name in optional)
        for name in names
        if name not in lacking
    ]
    rows = _rows(path, [column.name for column in read], form, optional=optional)
    table = _collected(path, read, rows)
    if not len(table):
        raise empty(path)
    if not lacking:
        return table
    return Table(path, {**table.columns, **{name: [""] * len(table) for name in lacking}}, table.lines)


def column_names(path: Path, *, form: TextFormat = TextFormat()) -> list[str]:  # noqa: B008 - it is frozen
    """Names of a file's columns; of a jsonl or json file those of its first row.

    Raises:
        DataError: if the file is missing, of another kind, unreadable or empty.
    """
    _check_there(path)
    match _kind(path):
        case ".jsonl" | ".json":
            return json_names(path, encoding=form.encoding)
        case ".csv" | ".tsv" as kind:
            return csv_names(path, tabs=kind == ".tsv", form=form)
        case ".parquet":
            return parquet_names(path)
        case "folder":
            return saved_names(path)
        case _:
            raise _of_no_kind(path)


def every_row(path: Path, *, form: TextFormat = TextFormat()) -> Iterator[tuple[str, ...]]:  # noqa: B008 - it is frozen
    """All columns of a file, row by row; a cell that has no text is empty, a list or an object its JSON.

    Raises:
        DataError: if the file is missing, of another kind, unreadable or empty.
    """
    names = list(dict.fromkeys(column_names(path, form=form)))
    for _, cells in _rows(path, names, form, optional=names):
        yield tuple(_any_text(cell) for cell in cells)


def _any_text(cell: Cell) -> str:
    try:
        return text_of(cell, filled=False, nested=True, optional=True)
    except NoText:
        return ""


def _check_there(path: Path) -> None:
    if path.is_dir():
        check_saved_set(path)
    elif not path.is_file():
        raise DataError(
            f"there is no data file {path}",
            hint=f"download the data set and put the file's path into {PLACES}",
        )


def _of_no_kind(path: Path) -> DataError:
    return DataError(
        f"{path} is no data file",
        hint=f"known kinds are {', '.join(SUFFIXES)}, and folders that datasets saved with save_to_disk",
    )


def _lacking(path: Path, optional: Collection[str], form: TextFormat) -> tuple[str, ...]:
    """Optional columns that no row of a file has; a jsonl or json file tells row by row."""
    if _kind(path) in (".jsonl", ".json"):
        return ()
    there = column_names(path, form=form)
    return tuple(name for name in optional if name not in there)


def _rows(
    path: Path, columns: Sequence[str], form: TextFormat, *, optional: Collection[str]
) -> Iterator[tuple[int, Sequence[Cell]]]:
    match _kind(path):
        case ".jsonl" | ".json":
            return json_rows(path, columns, encoding=form.encoding, optional=optional)
        case ".csv" | ".tsv" as kind:
            return csv_rows(path, columns, tabs=kind == ".tsv", form=form)
        case ".parquet":
            return parquet_rows(path, columns)
        case "folder":
            return saved_rows(path, columns)
        case _:
            raise _of_no_kind(path)


def _kind(path: Path) -> str:
    """The suffix that decides, in small letters, empty for one that is not known; ``folder`` for a folder."""
    if path.is_dir():
        return "folder"
    suffix = path.suffix.lower()
    inner = Path(path.stem).suffix.lower()
    if suffix == ".gz":
        return inner if inner in TEXT_KINDS else ""
    return suffix


def _collected(path: Path, columns: Sequence[_Column], rows: Iterator[tuple[int, Sequence[Cell]]]) -> Table:
    lines = array("q")
    for line, cells in rows:
        lines.append(line)
        for column, cell in zip(columns, cells, strict=True):
            try:
                column.add(cell)
            except NoText as what:
                raise DataError(
                    f"there is {what} in column '{column.name}'",
                    where=place_of(path, row=len(lines), line=line),
                    hint="mend or remove the row",
                ) from None
    return Table(path, {column.name: column.texts for column in columns}, lines)


class _Column:
    """A column while it is read.

    Attributes:
        name: Its name.
        texts: Its cells so far.
    """

    __slots__ = ("_filled", "_known", "_nested", "_optional", "name", "texts")

    def __init__(self, name: str, *, filled: bool, nested: bool, optional: bool) -> None:
        self.name = name
        self.texts: list[str] = []
        self._filled = filled
        self._nested = nested
        self._optional = optional
        # A column that must be filled repeats few values: each is checked and kept once.
        self._known: dict[Cell, str] = {}

    def add(self, cell: Cell) -> None:
        """Appends the text of a cell.

        Raises:
            NoText: if it has none.
        """
        if not self._filled:
            self.texts.append(text_of(cell, filled=False, nested=self._nested, optional=self._optional))
            return
        if cell not in self._known:
            self._known[cell] = text_of(cell, filled=True)
        self.texts.append(self._known[cell])
