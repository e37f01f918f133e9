"""Rows of csv and tsv files: a header, then one cell for every name in it.

The rule kept here: a cell is the text between its delimiters, and nothing moves to another column. A row with more
or fewer cells than the header is refused; an empty last cell (of rows or of the header) and columns without a name
are passed over, and so are blank lines in a file of several columns. In a file of one column a blank line is a row
with an empty cell.

The delimiter is ``data.delimiter`` where that is set, a tab in a ``.tsv`` file, and otherwise a comma. A single
exception: where the header, read with commas, lacks a column that is needed, and read with semicolons has all of
them, the delimiter is the semicolon.

Quoted cells are those of RFC 4180, read strictly, so that a quote that is never closed cannot swallow rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.errors import DataError
from securefl.training.rows.row_errors import check_names, empty, place_of, unreadable
from securefl.training.rows.text_file import TextFormat, open_text

if TYPE_CHECKING:
    from _csv import Reader

COMMA, SEMICOLON, TAB = ",", ";", "\t"
LONGEST_CELL = 2**31 - 1
"""Characters; the most that the csv module can be told on every system."""
_QUOTES_HINT = (
    "a quoted cell is not closed, or text follows its closing quote: write quotes inside a quoted cell twice, or set "
    "data.quotes = false if quotes are ordinary characters here"
)


def csv_rows(
    path: Path, columns: Sequence[str], *, tabs: bool, form: TextFormat
) -> Iterator[tuple[int, list[str]]]:
    """Read the rows below the header.

    Args:
        path: The file.
        columns: Names of the columns that are wanted.
        tabs: The file is a tsv file.
        form: Its encoding, delimiter and quotes.

    Yields:
        The line that the row begins on (from 1), and its cells of the wanted columns.

    Raises:
        DataError: if the file is unreadable or empty, lacks a column, or a row has not the header's cells.
    """
    delimiter = form.delimiter or (TAB if tabs else _comma_or_semicolon(path, columns, form))
    # The limit belongs to the whole process. It is left raised: put back, it could stop a read in another thread.
    csv.field_size_limit(LONGEST_CELL)
    row = line = 0
    with open_text(path, encoding=form.encoding, newline="") as file:
        reader = _reader(file, delimiter, form)
        try:
            header = _header(reader)
            if header is None:
                raise empty(path)
            check_names(path, columns, _named(header), hint=_other_delimiter(header))
            places = [header.index(name) for name in columns]
            line = reader.line_num + 1
            for cells in reader:
                if cells or len(header) == 1:
                    row += 1
                    if len(cells) != len(header):
                        cells = _fitted(cells, header, place_of(path, row=row, line=line))
                    yield line, [cells[place] for place in places]
                line = reader.line_num + 1
        except csv.Error:
            where = f"line {line}, row {row + 1}" if row or line else "the header"
            raise unreadable(path, where=where, hint=_QUOTES_HINT) from None


def csv_names(path: Path, *, tabs: bool, form: TextFormat) -> list[str]:
    """Names in the header; without a delimiter that is set, by semicolons where these give more names than commas.

    Raises:
        DataError: if the file is unreadable or empty.
    """
    signs = (form.delimiter,) if form.delimiter else (TAB,) if tabs else (COMMA, SEMICOLON)
    headers = [_header_by(path, sign, form) for sign in signs]
    found = max((header for header in headers if header is not None), key=len, default=None)
    if found is None:
        raise empty(path)
    return _named(found)


def _header_by(path: Path, delimiter: str, form: TextFormat) -> list[str] | None:
    with open_text(path, encoding=form.encoding, newline="") as file:
        try:
            return _header(_reader(file, delimiter, form))
        except csv.Error:
            return []


def _reader(file: Iterator[str], delimiter: str, form: TextFormat) -> Reader:
    if form.quotes:
        return csv.reader(file, delimiter=delimiter, strict=True)
    return csv.reader(file, delimiter=delimiter, strict=True, quoting=csv.QUOTE_NONE)


def _header(reader: Reader) -> list[str] | None:
    """The first line that is not blank, in cells; nothing in a file without one."""
    return next((cells for cells in reader if any(cells)), None)


def _named(header: Sequence[str]) -> list[str]:
    return [name for name in header if name.strip()]


def _comma_or_semicolon(path: Path, columns: Sequence[str], form: TextFormat) -> str:
    if _has_all(path, columns, COMMA, form) or not _has_all(path, columns, SEMICOLON, form):
        return COMMA
    return SEMICOLON


def _has_all(path: Path, columns: Sequence[str], delimiter: str, form: TextFormat) -> bool:
    return set(columns) <= set(_header_by(path, delimiter, form) or [])


def _other_delimiter(header: Sequence[str]) -> str:
    """Hint for where a header seems to be one long name."""
    if len(header) == 1 and any(sign in header[0] for sign in (COMMA, SEMICOLON, TAB, "|")):
        return "if another sign stands between them, name it in data.delimiter"
    return ""


def _fitted(cells: list[str], header: Sequence[str], where: str) -> list[str]:
    """The row with as many cells as the header, where only an empty last cell makes the difference."""
    if len(cells) == len(header) + 1 and not cells[-1]:
        return cells[:-1]
    # A blank line comes here only where there is a single column: its one cell is empty.
    if len(cells) == len(header) - 1 and (not header[-1] or not cells):
        return [*cells, ""]
    count = f"{len(cells)} cell" if len(cells) == 1 else f"{len(cells)} cells"
    raise DataError(
        f"the row has {count} where the header has {len(header)}",
        where=where,
        hint="mend or remove the row; a cell with the delimiter in it needs quotes around it",
    )
