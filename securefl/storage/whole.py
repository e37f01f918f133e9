"""Files that a reader sees whole or not at all: results and tables, which are no secrets.

The rule kept here: a file gets its name only after all of it has been written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from securefl.errors import ConfigError


def write_atomically(path: Path, text: str) -> None:
    """Write a text file in UTF-8, so that a reader sees all of it or nothing.

    Raises:
        ConfigError: if it cannot be written; nothing is left of it then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written", hint=str(error.strerror)) from None


def write_json_file(path: Path, value: Mapping[str, object]) -> None:
    """Write a value as JSON, so that a reader sees all of it or nothing.

    Raises:
        ConfigError: if it cannot be written.
    """
    write_atomically(path, json_text(value, encoding="utf-8"))


def json_text(value: Mapping[str, object], *, encoding: str) -> str:
    """JSON that survives an encoding: letters that it does not have are written as escapes."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(value, indent=2) + "\n"
    return text
