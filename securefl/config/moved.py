"""Keys of earlier versions, each with its place of today.

The rule kept here: an old key is refused with its new place, never read; a file means one thing only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from securefl.errors import ConfigError

MOVED: Final[Mapping[str, str]] = {
    "model.task": "task.name",
    "model.pooling": "task.pooling",
    "recipe.payload": "payload.name",
    "sketch.rank": "payload.rank",
    "sketch": "payload",
    "recipe.outer_learning_rate": "outer.learning_rate",
    "recipe.fusion.space": "fusion.space",
    "recipe.fusion.budget": "fusion.budget",
    "recipe.fusion.l1": "fusion.l1",
    "recipe.fusion.max_samples": "fusion.max_samples",
    "recipe.fusion": "fusion",
    "encryption.precision_bits": "grid.precision_bits",
    "encryption.adapter_bound": "grid.adapter_bound",
    "encryption.head_bound": "grid.head_bound",
}
"""Old key to new key; a section of its own stands after its keys."""


def refuse_moved(table: Mapping[str, object], *, where: str) -> None:
    """Refuse a ``FED.toml`` that has keys of an earlier version.

    Raises:
        ConfigError: with the new place of every old key in the file.
    """
    moved = list(_found(table))
    if moved:
        said = ", ".join(f"'{old}' is now '{MOVED[old]}'" for old in moved)
        raise ConfigError(said, where=where, hint=f"move {'it' if len(moved) == 1 else 'each of them'} there")


def _found(table: Mapping[str, object]) -> Iterator[str]:
    """Old keys in a file; a section only where none of its keys is named already."""
    named: list[str] = []
    for key in MOVED:
        if _stands(table, key) and not any(other.startswith(f"{key}.") for other in named):
            named.append(key)
    yield from named


def _stands(table: object, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(table, Mapping) or part not in table:
            return False
        table = table[part]
    return True
