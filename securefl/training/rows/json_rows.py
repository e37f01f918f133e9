"""Rows of jsonl files, one JSON object a line, and of json files, which hold one array of objects or are jsonl.

The rule kept here: a number or truth value is the text that stands in the file (``1.50``, ``1e5``, ``-0``, integers
of any length, ``true``), a string is what it stands for, and no value is read as anything else. Blank lines are
passed over; columns that are not wanted may hold anything.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from securefl.training.rows.cells import Cell, NotFinite, Structure
from securefl.training.rows.row_errors import NO_LINE, check_names, empty, place_of, unreadable
from securefl.training.rows.text_file import open_text

_ONE_A_LINE = (
    "write one object a line, for example with: jq -c '.[]' (of an array) or jq -c . (of objects); an array of objects "
    "is read as it is where the file's name ends with .json"
)


class _Record(dict[str, object]):
    """A JSON object in which a name stands twice.

    Attributes:
        names: All of its names, as often as they stand there.
    """

    names: list[str]


def _record(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    doubled = _Record(made)
    doubled.names = [name for name, _ in pairs]
    return doubled


_DECODER = json.JSONDecoder(
    parse_float=str, parse_int=str, parse_constant=NotFinite, object_pairs_hook=_record
)


def json_rows(
    path: Path, columns: Sequence[str], *, encoding: str, optional: Collection[str] = ()
) -> Iterator[tuple[int, list[Cell]]]:
    """Reads the objects of a file.

    Args:
        path: The file.
        columns: Names of the columns that are wanted.
        encoding: The encoding of the file.
        optional: Those of them that the first object may lack.

    Yields:
        The line (from 1; 0 in an array), and the values of the wanted columns; None for one that is not there.

    Raises:
        DataError: if the file is unreadable or empty, a line is no object, or the first one lacks a column.
    """
    row = 0
    for row, (line, record) in enumerate(_records(path, encoding=encoding), start=1):
        if row == 1:
            check_names(path, [name for name in columns if name not in optional], list(record))
        yield line, [_cell(record.get(name)) for name in columns]
    if row == 0:
        raise empty(path)


def json_names(path: Path, *, encoding: str) -> list[str]:
    """Names of the first object.

    Raises:
        DataError: if the file is unreadable or empty, or what stands first is no object.
    """
    for _, record in _records(path, encoding=encoding):
        return list(record)
    raise empty(path)


def _records(path: Path, *, encoding: str) -> Iterator[tuple[int, dict[str, object]]]:
    """The objects of a file, each with its line; 0 in an array, whose objects may share lines."""
    if may_be_array(path) and _opens_an_array(path, encoding=encoding):
        yield from ((NO_LINE, record) for record in _array(path, encoding=encoding))
        return
    row = 0
    with open_text(path, encoding=encoding, newline="\n") as file:
        for line, text in enumerate(file, start=1):
            if not text.isspace():
                row += 1
                yield line, _parsed(text, path, line=line, row=row)


def may_be_array(path: Path) -> bool:
    """True for a file whose name ends with ``.json`` or ``.json.gz``, in any case."""
    return path.name.lower().endswith((".json", ".json.gz"))


def _opens_an_array(path: Path, *, encoding: str) -> bool:
    with open_text(path, encoding=encoding, newline="\n") as file:
        return next((line for line in file if not line.isspace()), "").lstrip().startswith("[")


def _array(path: Path, *, encoding: str) -> Iterator[dict[str, object]]:
    """The objects of a file that is one array; it is read as a whole."""
    with open_text(path, encoding=encoding, newline="\n") as file:
        text = file.read()
    try:
        records = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise unreadable(
            path,
            where=f"line {error.lineno}",
            hint=f"the array is no JSON ({_reason(error)}, column {error.colno}); mend it there",
        ) from None
    except RecursionError:
        raise unreadable(path, hint="the array is nested too deeply") from None
    for row, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise unreadable(path, where=f"row {row}", hint="what stands in the array is no JSON object")
        yield _named_once(record, path, line=NO_LINE, row=row)


def _parsed(text: str, path: Path, *, line: int, row: int) -> dict[str, object]:
    try:
        # Without its end, past which an error of a line that breaks off would be counted from 1 again.
        record = _DECODER.decode(text.rstrip())
    except json.JSONDecodeError as error:
        if row == 1 and (text.lstrip().startswith("[") or text.strip() == "{"):
            raise _not_by_lines(path, line) from None
        raise unreadable(
            path,
            where=f"line {line}",
            hint=f"the line is no JSON ({_reason(error)}, column {error.colno}); mend or remove it",
        ) from None
    except RecursionError:
        raise unreadable(path, where=f"line {line}", hint="the line is nested too deeply") from None
    if not isinstance(record, dict):
        raise _not_by_lines(path, line)
    return _named_once(record, path, line=line, row=row)


def _reason(error: json.JSONDecodeError) -> str:
    said = error.msg.removesuffix(" at")  # json's own message goes on with the place
    return f"{said[:1].lower()}{said[1:]}"


def _named_once(record: dict[str, object], path: Path, *, line: int, row: int) -> dict[str, object]:
    """The object, if no name stands in it twice."""
    if isinstance(record, _Record):
        check_names(Path(place_of(path, row=row, line=line)), (), record.names)
    return record


def _not_by_lines(path: Path, line: int) -> Exception:
    return unreadable(path, where=f"line {line}", hint=f"the line is no whole JSON object: {_ONE_A_LINE}")


def _cell(value: object) -> Cell:
    if isinstance(value, str | bool | None | NotFinite):
        return value
    return Structure(json=json.dumps(value, ensure_ascii=False, default=_json_of))


def _json_of(value: object) -> str:
    """Text of a value that JSON has no word for, inside of a list or an object."""
    return value.name if isinstance(value, NotFinite) else str(value)
