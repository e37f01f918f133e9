"""Rows of parquet files, through pyarrow: typed values as the text that stands for them alone.

The rule kept here: texts stay as they are; whole numbers, decimals (with all digits of their scale), dates, times
and truth values have one usual text; a float is the shortest decimal that gives the same number back, with a point
(``1.0``). Timestamps have all digits of their unit. Values of other types (lists, bytes, durations) have no text
and are refused where their column is wanted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from securefl.training.rows.cells import Cell, NotFinite, Structure
from securefl.training.rows.row_errors import NO_LINE, check_names, empty, unreadable

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 16_384


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[Cell]]]:
    """Reads the rows of a file.

    Args:
        path: The file.
        columns: Names of the columns that are wanted; the others are not read.

    Yields:
        0, for a file without lines, and the values of the wanted columns; None for a null.

    Raises:
        DataError: if the file is unreadable or empty, or lacks a column.
    """
    # Imported here because it costs a tenth of a second, and most data is text.
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            check_names(path, columns, file.schema_arrow.names)
            if file.metadata.num_rows == 0:
                raise empty(path)
            for batch in file.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False):
                yield from batch_rows(batch, columns)
    except (pa.ArrowException, OSError):
        raise unreadable(path, hint="it is no parquet file, or damaged: get it again") from None


def batch_rows(batch: pa.RecordBatch, columns: Sequence[str]) -> Iterator[tuple[int, list[Cell]]]:
    """The rows of a batch, as ``parquet_rows`` gives them."""
    for cells in zip(*(_cells(batch.column(name)) for name in columns), strict=True):
        yield NO_LINE, list(cells)


def _cells(column: pa.Array) -> list[Cell]:
    import pyarrow as pa

    kind = pa.types
    if kind.is_dictionary(column.type):
        return _cells(column.dictionary_decode())
    if _is_text(column.type):
        return _texts(column)
    if kind.is_boolean(column.type) or kind.is_null(column.type):
        return _each(column, lambda value: value)
    if kind.is_integer(column.type):
        return _each(column, str)
    if kind.is_decimal(column.type):
        return _each(column, lambda value: format(value, "f"))
    if kind.is_floating(column.type):
        return _each(column, _float_text(column.type))
    if kind.is_date(column.type) or kind.is_time(column.type) or kind.is_timestamp(column.type):
        return _moments(column)
    return _each(column, _structure)


def parquet_names(path: Path) -> list[str]:
    """Names of the columns.

    Raises:
        DataError: if the file is unreadable.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            return list(file.schema_arrow.names)
    except (pa.ArrowException, OSError):
        raise unreadable(path, hint="it is no parquet file, or damaged: get it again") from None


def _structure(value: object) -> Cell:
    """A list or an object with its JSON; anything else without."""
    if not isinstance(value, list | dict):
        return Structure()
    return Structure(json=json.dumps(value, ensure_ascii=False, default=str))


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _texts(column: pa.Array) -> list[Cell]:
    """Texts; writers of parquet do not all check that the bytes of a text are UTF-8."""
    import pyarrow as pa

    try:
        return _each(column, lambda value: value)
    except UnicodeDecodeError:
        return _each(column.cast(pa.large_binary()), _decoded)


def _decoded(value: bytes) -> Cell:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Structure("text that is no UTF-8")


def _each(column: pa.Array, text: Callable[[Any], Cell]) -> list[Cell]:
    return [None if value is None else text(value) for value in column.to_pylist()]


def _float_text(kind: pa.DataType) -> Callable[[float], Cell]:
    """The shortest text of a float of this width."""
    narrow = kind.to_pandas_dtype()

    def text(value: float) -> Cell:
        if math.isfinite(value):
            return str(narrow(value))
        return NotFinite("NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")

    return text


def _moments(column: pa.Array) -> list[Cell]:
    import pyarrow as pa

    try:
        texts = column.cast(pa.string())
    except pa.ArrowInvalid:
        return _each(
            column.is_valid(), lambda valid: Structure("a time of an unknown zone") if valid else None
        )
    return _each(texts, _moment)


def _moment(text: str) -> Cell:
    # pyarrow writes a sentence in angle brackets where a year is outside of its calendar.
    return Structure() if text.startswith("<") else text
