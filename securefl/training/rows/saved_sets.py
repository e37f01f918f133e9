"""Rows of a data set that Hugging Face's ``datasets`` saved with ``save_to_disk``: a folder of Arrow files.

The rule kept here: the folder is read as it lies there. ``state.json`` names its files in order, each a stream of
record batches; nothing outside of the folder is opened, and no cache is made. Values become texts as in parquet files.

Reference: ``datasets.Dataset.save_to_disk`` of datasets 2.0 and newer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from securefl.errors import DataError
from securefl.training.rows.cells import Cell
from securefl.training.rows.parquet_rows import batch_rows
from securefl.training.rows.row_errors import check_names, empty, unreadable

if TYPE_CHECKING:
    import pyarrow as pa

_STATE: Final = "state.json"
_PARTS: Final = "dataset_dict.json"
_HINT: Final = "it is no data set that datasets saved with save_to_disk, or damaged: save it again"


def saved_rows(folder: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[Cell]]]:
    """Reads the rows of a saved data set.

    Args:
        folder: The folder.
        columns: Names of the columns that are wanted.

    Yields:
        0, for a file without lines, and the values of the wanted columns; None for a null.

    Raises:
        DataError: if the folder is unreadable or empty, or lacks a column.
    """
    rows = 0
    for file in _files(folder):
        with _stream(file, folder) as stream:
            check_names(folder, columns, stream.schema.names)
            for batch in stream:
                rows += batch.num_rows
                yield from batch_rows(batch, columns)
    if rows == 0:
        raise empty(folder)


def saved_names(folder: Path) -> list[str]:
    """Names of the columns.

    Raises:
        DataError: if the folder is unreadable, or has no file.
    """
    for file in _files(folder):
        with _stream(file, folder) as stream:
            return list(stream.schema.names)
    raise empty(folder)


def check_saved_set(folder: Path) -> None:
    """Refuse a folder that is not one saved data set.

    Raises:
        DataError: saying what to name in its place.
    """
    if (folder / _STATE).is_file():
        return
    if (folder / _PARTS).is_file():
        parts = sorted(entry.name for entry in folder.iterdir() if (entry / _STATE).is_file())
        raise DataError(
            f"{folder} holds {len(parts)} data sets",
            hint=f"name one of them, such as {folder / parts[0]}" if parts else "save it again",
        )
    raise DataError(
        f"{folder} is a folder, and no data set that datasets saved with save_to_disk",
        hint="name a file in it; several files of one data set have to be joined first",
    )


def _files(folder: Path) -> list[Path]:
    """Files of a data set, in order."""
    try:
        entries = json.loads((folder / _STATE).read_text(encoding="utf-8"))["_data_files"]
        # Plain names alone: a path would lead out of the folder.
        return [folder / Path(entry["filename"]).name for entry in entries]
    except (OSError, ValueError, KeyError, TypeError):
        raise unreadable(folder, where=_STATE, hint=_HINT) from None


@contextmanager
def _stream(file: Path, folder: Path) -> Iterator[pa.RecordBatchStreamReader]:
    # Imported here because it costs a tenth of a second, and most data is text.
    import pyarrow as pa

    try:
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
            yield stream
    except (pa.ArrowException, OSError):
        raise unreadable(folder, where=file.name, hint=_HINT) from None
