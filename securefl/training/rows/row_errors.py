"""Sentences about a data file: which row it is, which column, and what to do.

The rule kept here: a sentence names files, rows, lines and columns, never the content of a cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from securefl.errors import DataError

SHOWN_NAMES = 20
_NAME_ANOTHER = 'name the right one in the federation\'s file, such as text = "sentence" in [data]'
NO_LINE = 0
"""In the place of a line's number: the file has no lines, or its rows share them."""


def place_of(path: Path, *, row: int, line: int) -> str:
    """Place of a row.

    Args:
        path: The file.
        row: Number of the row, from 1; a header is no row.
        line: Number of the line that it begins on, from 1; 0 where the file has no lines.
    """
    return f"{path}, row {row}" if line in (NO_LINE, row) else f"{path}, line {line}, row {row}"


def unreadable(path: Path, *, hint: str, where: str = "") -> DataError:
    """The error for a file whose content is not what its name says."""
    return DataError(f"{path} cannot be read", where=where, hint=hint)


def empty(path: Path) -> DataError:
    """The error for a file without a row."""
    return DataError(f"{path} is empty", hint="give a file with at least a few rows")


def check_names(path: Path, wanted: Sequence[str], there: Sequence[str], *, hint: str = "") -> None:
    """Checks that every wanted column is there, and that no name stands twice.

    Args:
        path: The file.
        wanted: Names of the columns that are read.
        there: Names of the file's columns.
        hint: What to do if a column is missing, after the list of those that are there; else to name another one.

    Raises:
        DataError: with the first column that is missing or stands twice.
    """
    for name, count in Counter(there).items():
        if count > 1:
            raise DataError(
                f"{count} columns are called '{name}'", where=str(path), hint="give every column its own name"
            )
    for name in wanted:
        if name not in there:
            listed = f"the columns are {_listed(there)}" if there else "no column has a name"
            advice = f"{listed}; {hint or _NAME_ANOTHER}" if there else listed
            raise DataError(f"there is no column '{name}'", where=str(path), hint=advice)


def no_strata(path: Path, column: str, there: Sequence[str], *, key: str) -> DataError:
    """The error for a file without the column by whose values its rows are dealt out.

    Args:
        path: The file.
        column: Its name.
        there: Names of the file's columns.
        key: The key of ``[data]`` that names the column.
    """
    return DataError(
        f"there is no column '{column}', by whose values the split deals rows out",
        where=str(path),
        hint=f'the columns are {_listed(there)}; name one of them in {key}, or write split = "iid"',
    )


def no_form(path: Path, forms: Sequence[Sequence[str]], there: Sequence[str], *, remedy: str) -> DataError:
    """The error for a file whose columns are those of no form that the task reads.

    Args:
        path: The file.
        forms: The columns of each form.
        there: Names of the file's columns.
        remedy: What to do where the right columns have other names.
    """
    wanted = ", or ".join(" with ".join(f"'{name}'" for name in form) for form in forms)
    listed = f"the columns are {_listed(there)}" if there else "no column has a name"
    return DataError(
        f"there is no column {wanted}",
        where=str(path),
        hint=f"{listed}; {remedy}",
    )


def _listed(names: Sequence[str]) -> str:
    # Quotes show the spaces of a name that is right but for them.
    shown = [name if name == name.strip() else f"'{name}'" for name in names[:SHOWN_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
