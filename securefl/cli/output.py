"""Where a command's words go: results to stdout, everything on the way to stderr.

The rule kept here: with ``--json -`` nothing but the JSON reaches stdout, so that it can be piped.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

STDOUT = "-"


def progress_console() -> Console:
    """Where a command tells what it is doing: stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def result_console(json_path: str | None) -> Console:
    """Where a command's result is shown to people: stdout, or stderr where stdout belongs to the JSON."""
    from rich.console import Console

    return Console(stderr=json_path == STDOUT, highlight=False)


def write_json(result: Mapping[str, object], json_path: str | None) -> None:
    """Writes a result to a file, or to stdout for ``-``; does nothing without a path.

    Raises:
        ConfigError: if the file cannot be written.
    """
    if json_path is None:
        return
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    if json_path == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    write_atomically(Path(json_path), text)


def check_json_path(json_path: str | None) -> None:
    """Refuses a path that could not be written, before hours of work.

    Raises:
        ConfigError: if the path's folder does not exist, or the path is a folder.
    """
    if json_path is None or json_path == STDOUT:
        return
    path = Path(json_path)
    if path.is_dir() or not path.parent.is_dir():
        what = f"{path} is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise ConfigError(what, where="--json", hint="give the path of a file, or - for stdout")


def write_atomically(path: Path, text: str) -> None:
    """Writes a file so that a reader sees all of it or nothing.

    Raises:
        ConfigError: if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written", hint=str(error.strerror)) from None
