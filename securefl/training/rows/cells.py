"""Values that a reader may find in a cell, and the text that it stands for.

The rule kept here: this is the only place that turns a cell into text. What is no text is an error with its row,
and nothing is filled in: a null, a missing value, NaN and infinities are refused in every column that is read. An
empty text is an ordinary cell, except in a column that must be filled (the label, the column of a split): there an
empty cell, or one in which nothing shows, is refused as well.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NotFinite:
    """NaN or an infinity.

    Attributes:
        name: The word for it: ``NaN``, ``Infinity`` or ``-Infinity``.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Structure:
    """A list, an object, bytes: what has no text of its own.

    Attributes:
        name: A noun for it.
        json: Its JSON, for columns that may hold such values; empty where it has none.
    """

    name: str = "no text"
    json: str = ""


Cell = str | bool | NotFinite | Structure | None


class NoText(Exception):  # noqa: N818 - caught by the reader of the table, which knows the row
    """A cell has no text; the message is a noun for what it has."""


def text_of(cell: Cell, *, filled: bool, nested: bool = False, optional: bool = False) -> str:
    """The text of a cell.

    Args:
        cell: What a reader found.
        filled: A text in which nothing shows is refused.
        nested: A list or an object is read as its JSON.
        optional: A missing value is an empty text.

    Raises:
        NoText: if it has no text, or must be filled and is not.
    """
    if optional and cell is None:
        return ""
    if nested and isinstance(cell, Structure) and cell.json:
        cell = cell.json
    if isinstance(cell, str):
        if filled and not _shows(cell):
            raise NoText("nothing")
        if not cell.isascii() and _has_half_a_character(cell):
            raise NoText("half of a surrogate pair")
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if cell is None:
        raise NoText("nothing")
    raise NoText(cell.name)


def _shows(text: str) -> bool:
    """True if there is a character that is neither space nor invisible (such as U+200B)."""
    return any(sign.isprintable() and not sign.isspace() for sign in text)


def _has_half_a_character(text: str) -> bool:
    # JSON may spell one as \\ud83d; it cannot be written in any encoding of Unicode.
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
