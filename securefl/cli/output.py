"""Outputs of a command: results to stdout, everything on the way to stderr.

The rules kept here: with ``--json -`` nothing but the JSON reaches stdout, so that it can be piped; and no terminal,
however little it can show, is a reason for a command to fail.
"""

from __future__ import annotations

import codecs
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.errors import ConfigError, IdentityError
from securefl.storage.whole import json_text, write_json_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

STDOUT = "-"
SUBSTITUTES = "securefl.substitutes"
"""The name of our way with characters that an output cannot show, as Python's codecs know it."""
_IN_ASCII = {
    "\N{HORIZONTAL ELLIPSIS}": "~",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{PLUS-MINUS SIGN}": "~",
}
"""One letter for one, so that tables keep their columns; the ellipsis is what a column that is too narrow ends with."""


def speak_what_the_terminal_can_show() -> None:
    """Let stdout and stderr replace characters that their encoding does not have, instead of raising."""
    codecs.register_error(SUBSTITUTES, _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=SUBSTITUTES)


def _substitute(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unshown = error.object[error.start : error.end]
    if all(letter in _IN_ASCII for letter in unshown):
        return "".join(_IN_ASCII[letter] for letter in unshown), error.end
    return codecs.backslashreplace_errors(error)


def progress_console() -> Console:
    """Console for what a command is doing: stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def result_console(json_path: str | None) -> Console:
    """Console for a command's result, as people read it: stdout, or stderr where stdout belongs to the JSON."""
    from rich.console import Console

    return Console(stderr=json_path == STDOUT, highlight=False)


def write_json(result: Mapping[str, object], json_path: str | None) -> None:
    """Write a result to a file, or to stdout for ``-``; do nothing without a path.

    Raises:
        ConfigError: if the file cannot be written.
    """
    if json_path is None:
        return
    if json_path == STDOUT:
        sys.stdout.write(json_text(result, encoding=sys.stdout.encoding or "ascii"))
        sys.stdout.flush()
        return
    write_json_file(Path(json_path), result)


def check_json_path(json_path: str | None) -> None:
    """Refuse a path that could not be written, before hours of work.

    Raises:
        ConfigError: if the path's folder does not exist, or the path is a folder.
    """
    if json_path is not None and json_path != STDOUT:
        check_file_path(Path(json_path), where="--json", hint="give the path of a file, or - for stdout")


def check_file_path(path: Path, *, where: str, hint: str = "give the path of a file") -> None:
    """Refuse a file that could not be written.

    Raises:
        ConfigError: if its folder does not exist, or it is a folder itself.
    """
    if path.is_dir() or not path.parent.is_dir():
        what = f"{path} is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise ConfigError(what, where=where, hint=hint)


def check_members_folder(folder: Path) -> None:
    """Refuse a folder of members that does not exist.

    Raises:
        IdentityError: if there is none.
    """
    if not folder.is_dir():
        raise IdentityError(
            f"there is no folder {folder}", hint="securefl init FED.toml DIR makes the members' folders"
        )
