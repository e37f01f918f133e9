"""Needles that the members of a watched run write down: a file each, in a private folder, deleted with the keys.

The rule kept here: one JSON object a line, with name, hexadecimal bytes, and if they are public.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from securefl.aggregation.needles import Needle
from securefl.errors import StateError

SUFFIX: Final = ".needles"


def append_needles(path: Path, needles: Iterable[Needle]) -> None:
    """Append needles to a member's file."""
    with path.open("a", encoding="ascii") as file:
        for needle in needles:
            line = {"name": needle.name, "data": needle.data.hex(), "public": needle.public}
            file.write(json.dumps(line) + "\n")


def read_needles(folder: Path) -> tuple[Needle, ...]:
    """Read the needles of all members; a line that is just being written is left out.

    Raises:
        StateError: if a file holds something else.
    """
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        *lines, _ = path.read_text(encoding="ascii").split("\n")
        for line in lines:
            try:
                value = json.loads(line)
                found.append(Needle(value["name"], bytes.fromhex(value["data"]), value["public"]))
            except (ValueError, KeyError, TypeError):
                raise StateError("this is no file of needles", where=str(path)) from None
    return tuple(found)
