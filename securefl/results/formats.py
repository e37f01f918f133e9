"""The format of what runs leave: the number that each JSON file names first, and the way from the former one.

The rule kept here: every result, of a client, a server, a run, a plan or a benchmark, names its format as its first
key; a reader takes files of both formats and knows one, and refuses later ones. Within a format keys may be added,
and a reader keeps those that it does not know; a key that is renamed or means something else is a new format.

Format 1, of securefl 0.1.0, names no format; its rounds are numbered by ``round``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from pydantic import JsonValue

from securefl.errors import StateError

FORMAT: Final = 2
FORMAT_KEY: Final = "format"
Json = dict[str, JsonValue]
Value = TypeVar("Value")

_ENTRIES: Final = ("rounds_log", "predicted_and_measured", "laps", "transfers")
"""Lists of format 1 whose entries have a number of a round."""


def stamped(values: Mapping[str, Value]) -> dict[str, Value | int]:
    """A file's values behind its format."""
    return {FORMAT_KEY: FORMAT, **values}


def current(value: object, *, where: str) -> Json:
    """A file's values in this format, without its number.

    Args:
        value: What the file holds, of any format.
        where: The file.

    Raises:
        StateError: if it is no table, or of a later format.
    """
    if not isinstance(value, Mapping):
        raise StateError(f"{where} is no result", hint="it holds no table")
    written = value.get(FORMAT_KEY, 1)
    if isinstance(written, bool) or not isinstance(written, int) or written < 1:
        raise StateError(f"{where} is no result", hint=f"its '{FORMAT_KEY}' is no number of a format")
    if written > FORMAT:
        raise StateError(
            f"{where} was written by a newer version of securefl, in format {written}",
            hint=f"this version reads 1 to {FORMAT}; read it with that version",
        )
    values: Json = {key: item for key, item in value.items() if key != FORMAT_KEY}
    return values if written == FORMAT else _from_format_1(values)


def _from_format_1(values: Json) -> Json:
    """Renames keys; of runs, of clients, of servers, of plans and of benchmarks."""
    renamed: Json = {}
    for key, item in values.items():
        if key in _ENTRIES and isinstance(item, list):
            renamed[key] = [_renamed(entry, "round", "round_number") for entry in item]
        elif key == "plan" and isinstance(item, dict):
            renamed[key] = _from_format_1(item)
        elif key == "speed":
            renamed[key] = _renamed(item, "seal", "encrypt")
        elif key == "variants" and isinstance(item, dict):
            renamed[key] = {name: _variant(variant) for name, variant in item.items()}
        else:
            renamed[key] = item
    return renamed


def _variant(variant: JsonValue) -> JsonValue:
    """One way of a benchmark of overhead, with the laps of its repeats."""
    repeats = variant.get("repeats") if isinstance(variant, dict) else None
    if not isinstance(variant, dict) or not isinstance(repeats, list):
        return variant
    return {
        **variant,
        "repeats": [_from_format_1(repeat) if isinstance(repeat, dict) else repeat for repeat in repeats],
    }


def _renamed(entry: JsonValue, old: str, new: str) -> JsonValue:
    """A table with one key under another name, in the same place; anything else as it is."""
    if not isinstance(entry, dict):
        return entry
    return {(new if key == old else key): item for key, item in entry.items()}
