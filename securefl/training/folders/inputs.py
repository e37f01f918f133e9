"""Rows for a saved folder: labelled ones to measure it on, texts to ask it about.

The rule kept here: rows are read as a member's are, and all of them before the model is loaded, so that a wrong column
or an unknown label shows at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from securefl.config.data import DataSection
from securefl.errors import DataError
from securefl.training.folders.task_file import FolderRecord
from securefl.training.rows.client_rows import read_columns
from securefl.training.rows.examples import Examples
from securefl.training.rows.row_errors import check_names, no_form
from securefl.training.rows.tables import column_names, read_table
from securefl.training.rows.text_file import TextFormat
from securefl.training.tasks.table import recorded_terms, row_task_of


def labelled_rows(record: FolderRecord, data: Path, *, section: DataSection, where: str) -> Examples:
    """All rows of a file, as the folder's task measures them.

    Args:
        record: The folder's.
        data: A data file, of a kind that ``rows.tables`` reads.
        section: Names of columns, and the file's spelling.
        where: The folder.

    Raises:
        DataError: if the file or a column is not there, or a row does not fit the task.
        ModelError: if the folder does not say its task.
    """
    task = row_task_of(recorded_terms(record, where=where), section)
    columns = task.columns
    _check_there(data)
    there = column_names(data, form=_form(section))
    if not columns.forms:
        check_names(
            data, [*columns.texts, *columns.filled], there, hint="name others with --text and --label"
        )
    elif not any(form.fits(there) for form in columns.forms):
        forms = [form.required for form in columns.forms]
        raise no_form(data, forms, there, remedy="name the right ones, such as --column prompt=question")
    table = read_columns(data, columns, filled=columns.filled, form=_form(section))
    return task.examples(table, np.arange(len(table)))


def texts_of_file(data: Path, *, section: DataSection) -> list[tuple[str, ...]]:
    """The texts of all rows of a file; no label is read.

    Raises:
        DataError: if the file or a column is not there, or a cell is no text.
    """
    _check_there(data)
    check_names(data, section.text, column_names(data, form=_form(section)), hint="name others with --text")
    table = read_table(data, section.text, form=_form(section))
    return list(zip(*(table.columns[name] for name in section.text), strict=True))


def texts_of_lines(text: str) -> list[tuple[str, ...]]:
    """One text a line; blank lines are passed over."""
    return [(line,) for line in text.splitlines() if line.strip()]


def columns(text: Sequence[str], label: str = "label", **others: str) -> DataSection:
    """Names of columns, in the words of ``[data]``.

    Args:
        text: Columns of texts.
        label: Column of labels.
        others: Columns of a language model's rows by their keys, such as ``prompt``.

    Raises:
        ValueError: if there are more than two columns of texts, or ``[data]`` has no such key.
    """
    return DataSection.model_validate({"text": tuple(text), "label": label, **others})


def _check_there(data: Path) -> None:
    """Refuse a path of nothing, in words for who gives it to a command."""
    if not data.exists():
        raise DataError(
            f"there is no data file {data}",
            hint="give the path of a csv, tsv, jsonl, json or parquet file, as seen from the current folder",
        )


def _form(section: DataSection) -> TextFormat:
    return TextFormat(encoding=section.encoding, delimiter=section.delimiter, quotes=section.quotes)
