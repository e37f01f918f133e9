"""TOML files to tables, and for a file that is no TOML the line, the column and what to write there.

The reader is the standard library's; its messages name rules of the grammar. What people do is leave out a quote
or write ``True``, so each message is looked at together with the line that it points to.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securefl.config.values import quoted
from securefl.errors import ConfigError

_WORDS = {
    "true": "write true, in lower-case letters",
    "false": "write false, in lower-case letters",
    "yes": "write true",
    "on": "write true",
    "no": "write false",
    "off": "write false",
    "none": 'TOML has no such value: leave the key out, or write "none" in quotes where a key takes that word',
    "null": "TOML has no such value: leave the key out",
    "nil": "TOML has no such value: leave the key out",
}
_TYPOGRAPHIC_QUOTES = "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"


def read_toml(path: Path) -> dict[str, Any]:
    """A file's tables.

    Raises:
        ConfigError: if the file cannot be read or is no TOML.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"there is no file {path}", hint="give the path of a federation's TOML file"
        ) from None
    except IsADirectoryError:
        raise ConfigError(f"{path} cannot be read", hint="it is a folder; name a TOML file in it") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} cannot be read", hint="it is no UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read", hint=str(error.strerror or error)) from None
    return _parsed(text, path)


def _parsed(text: str, path: Path) -> dict[str, Any]:
    what = f"{path} is no TOML"
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        slip = _slip(str(error), text)
        raise ConfigError(
            what, where=f"line {slip.line}, column {slip.column}", hint=f"{slip.excerpt}{hint_of(slip)}"
        ) from None
    except RecursionError:
        raise ConfigError(what, hint="its lists or tables lie too deep in each other") from None
    except ValueError:  # an integer of more digits than Python converts
        raise ConfigError(what, hint="a number in it has too many digits") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slip:
    """The place at which a file stops being TOML.

    Attributes:
        message: What the reader says of it.
        line: Number of the line, from 1.
        column: Number of the character in it, from 1.
        text: The line.
    """

    message: str
    line: int
    column: int
    text: str

    @property
    def rest(self) -> str:
        """The line from the place on."""
        return self.text[self.column - 1 :].strip()

    @property
    def excerpt(self) -> str:
        """The start of the line, for a person to find it; empty for an empty line."""
        return f"at {quoted(self.text.strip())}, " if self.text.strip() else ""


def _slip(message: str, text: str) -> Slip:
    lines = text.split("\n")
    found = re.search(r"\(at line (\d+), column (\d+)\)\s*$", message)
    if found is None:  # the end of the document, where the last line with something on it is to blame
        line = max((number for number, content in enumerate(lines, start=1) if content.strip()), default=1)
        return Slip(message=message, line=line, column=len(lines[line - 1]) + 1, text=lines[line - 1])
    line, column = int(found[1]), int(found[2])
    return Slip(message=message, line=line, column=column, text=lines[line - 1].rstrip("\r"))


def hint_of(slip: Slip) -> str:
    """Advice on what to write instead, as a clause."""
    for reading in (_odd_character, *(hint for words, hint in _READINGS if re.search(words, slip.message))):
        advice = reading(slip)
        if advice:
            return advice
    return "a line is a section such as [training], or a key such as rounds = 3"


def _odd_character(slip: Slip) -> str:
    for column, character in enumerate(slip.text, start=1):
        if character in _TYPOGRAPHIC_QUOTES:
            return f'there is a typographic quote at column {column}; write a straight one, "'
        if character not in " \t" and unicodedata.category(character) in ("Zs", "Cf"):
            return f"there is a blank that is no plain one at column {column}; delete it and type it anew"
    return ""


def _value(slip: Slip) -> str:
    # All of an unquoted text, up to a comment, the next entry or the end of a list or table.
    text = re.split(r"[,#\]}]", slip.rest)[0].strip(" \t\"'")
    if not text:
        return "a value is missing there, such as rounds = 3"
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if re.match(r"[+-]?\.\d", text):
        return "a number has a digit before its point, such as 0.5"
    return f"put a text in quotes, such as {quoted(text)}"


def _equals(slip: Slip) -> str:
    if ":" in slip.text:
        return "write = instead of :, such as rounds = 3"
    return "a key and its value have = between them, such as rounds = 3 (a text stands in quotes)"


def _twice(slip: Slip) -> str:
    head = slip.text.strip().split("=")[0].strip()
    name = f"{quoted(head)}" if head else "a key"
    return f"{name} stands in the file twice, or is a table and a value at once; keep one of them"


def _left_over(slip: Slip) -> str:
    if re.match(r",\d", slip.rest):
        return "a number has a point and no comma, such as 0.5"
    if re.search(r"=\s*[+-]?0\d", slip.text):
        return "a number does not begin with 0, such as 8"
    return f"{quoted(slip.rest)} is left over after the value; write one key a line, and # before a comment"


def _key_part(slip: Slip) -> str:
    if "{" in slip.text or not slip.rest or slip.rest.startswith("}"):
        return "a table in braces stands on one line and has no comma before its }, such as { r = 4 }"
    return "a key is missing or has other characters than letters, digits, - and _, such as rounds = 3"


def _says(advice: str) -> Callable[[Slip], str]:
    return lambda slip: advice


_QUOTE = _says('a quote is missing: a text ends with the quote that it begins with, such as "text"')
_READINGS: tuple[tuple[str, Callable[[Slip], str]], ...] = (
    ("overwrite|twice|mutate|[Dd]uplicate|redefine", _twice),
    ("Expected '='", _equals),
    ("Invalid value", _value),
    (
        "hex value|Unescaped|scalar",
        _says(r"write each \ in a text twice, or put the text in single quotes: 'C:\data'"),
    ),
    (r"Illegal character '\\[nr]|Unterminated|Expected (\"'\"|'\"'|\"'''\"|'\"\"\"')|Found invalid", _QUOTE),
    ("[Ii]llegal character", _says("there is a character that does not print; delete it")),
    (
        "Unclosed array",
        _says('a list lacks its ] or a comma between two entries, such as ["query", "value"]'),
    ),
    ("Unclosed inline table", _says("a table lacks its } or a comma between two keys, such as { r = 4 }")),
    ("key part", _key_part),
    ("Expected newline", _left_over),
    (r"Expected '\]", _says("a section's name stands in brackets on a line of its own, such as [training]")),
    ("[Dd]ate", _says("a date is written 2024-01-31; put a text in quotes")),
)
