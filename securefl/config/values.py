"""Values as people write them: what has one plain meaning is converted, and what has none is shown.

The rule kept here: a conversion never guesses. A single text where a list of texts belongs, a number where a
label belongs and ``split = "iid"`` have one meaning each; ``true`` where a number belongs has none, and is
refused, although Python would count it as 1.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

SHOWN_CHARACTERS = 40
"""So much of a text is repeated in an error."""


MISFIT = "misfit"
"""Type of the errors that ``converted`` raises; their context names the ``key`` and the ``reason``."""


class MayBeEmpty:
    """Marks a key whose texts may be empty or blank, such as the values of a column, or a tab."""


MAY_BE_EMPTY: Final = MayBeEmpty()


@dataclass(frozen=True, slots=True)
class ChosenBy:
    """Marks a tagged union of one member, so that a word may stand for the table that it chooses.

    Attributes:
        key: Key of the table that holds the word: what pydantic calls a discriminator.
    """

    key: str


def shown(value: object) -> str:
    """A value of a TOML file for an error: one line, and short."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number of more than 64 bits" if _is_huge(value) else f"the number {value!r}"
        case str():
            return f"the text {quoted(value)}" if value else "an empty text"
        case datetime():
            return "a date with a time"
        case date():
            return "a date"
        case time():
            return "a time of day"
        case dict():
            return "a table" if value else "an empty table"
        case list() | tuple():
            tables = bool(value) and all(isinstance(entry, dict) for entry in value)
            return "a list of tables" if tables else "a list" if value else "an empty list"
        case None:
            return "nothing"
        case _:
            return f"a {type(value).__name__}"


def quoted(text: str) -> str:
    """A text in double quotes, shortened, with escapes for everything that does not print."""
    escaped = json.dumps(_short(text), ensure_ascii=False)
    return "".join(
        character if character.isprintable() else f"\\u{ord(character):04x}" for character in escaped
    )


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def _is_huge(value: float) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def dotted(parts: Sequence[str | int]) -> str:
    """A key as a person would write it: ``cohort.clients[2].id``."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = re.fullmatch(r"[A-Za-z0-9_-]{1,60}", part)
            text += ("." if text else "") + (part if plain else quoted(part))
    return text


def huge_number_in(value: object, parts: tuple[str | int, ...] = ()) -> tuple[str | int, ...] | None:
    """Place of a whole number of more than TOML's 64 bits in a file's tables; None where there is none.

    Written in base 16 such a number has no limit, and Python then refuses to print it in base 10.
    """
    if isinstance(value, int):
        return parts if _is_huge(value) else None
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    found = (huge_number_in(entry, (*parts, key)) for key, entry in entries)
    return next((place for place in found if place is not None), None)


def alternatives(annotation: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Alternatives that a key may hold, one after the other, each with what ``Annotated`` says of it.

    ``None`` is left out: TOML has no such value.
    """
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        flat = [part for entry in metadata for part in _flat(entry)]
        for option, more in alternatives(inner):
            yield option, (*more, *flat)
    elif get_origin(annotation) in (Union, UnionType):
        for option in get_args(annotation):
            yield from alternatives(option)
    elif annotation is not NoneType:
        yield annotation, ()


def _flat(metadata: object) -> list[object]:
    return list(metadata.metadata) if isinstance(metadata, FieldInfo) else [metadata]


def is_list(option: object) -> bool:
    """Say if an alternative is ``tuple[X, ...]`` or ``list[X]``."""
    return get_origin(option) in (tuple, list)


def _is_text(option: object) -> bool:
    return option in (str, Path) or (
        get_origin(option) is Literal and any(isinstance(choice, str) for choice in get_args(option))
    )


def converted(fields: Mapping[str, FieldInfo], table: object) -> object:
    """A section with plain intent carried out, before it is checked.

    Args:
        fields: What its keys may hold.
        table: What stands in the file; anything but a table is left as it is.

    Raises:
        PydanticCustomError: of type ``MISFIT`` with the key, for a truth value in a number's place, and for texts
            and lists that are empty.
    """
    if not isinstance(table, Mapping):
        return table
    return {
        key: _converted_at(key, fields[key], value) if key in fields else value
        for key, value in table.items()
    }


def _converted_at(key: str, field: FieldInfo, value: object) -> object:
    try:
        return _converted(field, value)
    except ValueError as error:
        raise PydanticCustomError(MISFIT, "{reason}", {"key": key, "reason": str(error)}) from None


def _converted(field: FieldInfo, value: object) -> object:
    options = [option for option, _ in alternatives(field.annotation)]
    if isinstance(value, bool) and bool not in options and (int in options or float in options):
        raise ValueError(f"it is {shown(value)}, which is no number")
    if any(map(_is_list_of_numbers, options)) and isinstance(value, list | tuple):
        _check_numbers(value)
    if isinstance(value, str):
        return _converted_text(field, value, options)
    if any(map(_is_list_of_texts, options)):
        return _converted_texts(field, value, alone=not any(map(_is_text, options)))
    return value


def _may_be_empty(field: FieldInfo) -> bool:
    return any(isinstance(mark, MayBeEmpty) for mark in field.metadata)


def chooser_of(field: FieldInfo) -> str | None:
    """Key that chooses between the tables of a tagged union; None for any other field."""
    if isinstance(field.discriminator, str):
        return field.discriminator
    return next((mark.key for mark in field.metadata if isinstance(mark, ChosenBy)), None)


def _is_list_of_texts(option: object) -> bool:
    return is_list(option) and get_args(option)[0] is str


def _is_list_of_numbers(option: object) -> bool:
    return is_list(option) and any(kind in (int, float) for kind, _ in alternatives(get_args(option)[0]))


def _check_numbers(value: Sequence[object]) -> None:
    """A truth value among numbers, which Python takes for 0 or 1, is refused."""
    truths = [entry for entry in value if isinstance(entry, bool)]
    if truths:
        raise ValueError(f"it is a list with {shown(truths[0])}, which is no number")


def _converted_text(field: FieldInfo, value: str, options: list[Any]) -> object:
    if any(map(_is_text, options)):
        _check_text(value, may_be_empty=_may_be_empty(field))
        return value
    chooser = chooser_of(field)
    if chooser is not None:
        return {chooser: value}
    return _converted_texts(field, [value], alone=True) if any(map(_is_list_of_texts, options)) else value


def _converted_texts(field: FieldInfo, value: object, *, alone: bool) -> object:
    """A list of texts; a number in it, or ``alone`` in its place, is the text of its digits."""
    if alone and _is_number(value):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    if not value:
        raise ValueError("it is an empty list")
    texts = [str(entry) if _is_number(entry) or type(entry) is date else entry for entry in value]
    for entry in texts:
        if isinstance(entry, str):
            _check_text(entry, may_be_empty=_may_be_empty(field))
    return texts


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else not _is_huge(value)


def _check_text(text: str, *, may_be_empty: bool) -> None:
    if not text.strip() and not may_be_empty:
        raise ValueError("it is an empty text" if not text else "it is a text of blanks only")
    if "\x00" in text:
        raise ValueError("it is a text with the character U+0000")
