"""Keys of earlier versions, each with its place of today, or with the reason why it has none.

The rule kept here: an old key is refused, never read; a file means one thing only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from securefl.config.values import shown
from securefl.errors import ConfigError

MOVED: Final[Mapping[str, str]] = {
    "model.task": "task.name",
    "model.pooling": "task.pooling",
    "recipe.payload": "payload.name",
    "sketch.rank": "payload.rank",
    "sketch": "payload",
    "recipe.outer_learning_rate": "outer.learning_rate",
    "recipe.fusion.space": "fusion.space",
    "recipe.fusion.max_samples": "fusion.max_samples",
    "recipe.fusion": "fusion",
    "encryption.precision_bits": "grid.precision_bits",
    "encryption.adapter_bound": "grid.adapter_bound",
    "encryption.head_bound": "grid.head_bound",
}
"""Old key to new key; a section of its own stands after its keys."""
_NOTHING: Final = object()
_NO_SEARCH: Final = "the candidates of a fusion are fixed"
GONE: Final[Mapping[str, str]] = {
    "recipe.fusion.budget": _NO_SEARCH,
    "recipe.fusion.l1": _NO_SEARCH,
    "fusion.budget": _NO_SEARCH,
    "fusion.l1": _NO_SEARCH,
}
"""Old key to the reason why nothing stands in its place."""

RENAMED: Final[Mapping[str, Mapping[object, str]]] = {
    "recipe.personal": {True: '"alone"', False: '"none"'},
}
"""Key to its old values, each with what says the same today."""


def refuse_moved(table: Mapping[str, object], *, where: str) -> None:
    """Refuse a ``FED.toml`` that has keys or values of an earlier version.

    Raises:
        ConfigError: with the new place of every old key in the file, or the reason why it has none; else with the new
            word for an old value.
    """
    found = list(_found(table))
    if found:
        said = ", ".join(
            f"'{old}' is now '{MOVED[old]}'" if old in MOVED else f"'{old}' is gone, because {GONE[old]}"
            for old in found
        )
        raise ConfigError(said, where=where, hint=_remedy(found))
    for key, words in RENAMED.items():
        _refuse_renamed(key, words, table, where=where)


def _refuse_renamed(
    key: str, words: Mapping[object, str], table: Mapping[str, object], *, where: str
) -> None:
    value = _found_at(table, key)
    # Not by equality alone: 1 equals True, and is no word of an earlier version.
    new = next((word for old, word in words.items() if old is value), None)
    if new is not None:
        raise ConfigError(
            f"'{key}' is {shown(value)}, which is now {new}",
            where=where,
            hint=f"write {key.rpartition('.')[2]} = {new}",
        )


def _remedy(found: Sequence[str]) -> str:
    gone = [old for old in found if old in GONE]
    if not gone:
        return f"move {'it' if len(found) == 1 else 'each of them'} there"
    if len(gone) == len(found):
        return f"take {'it' if len(found) == 1 else 'each of them'} out"
    return "move what has a new place, and take out what is gone"


def _found(table: Mapping[str, object]) -> Iterator[str]:
    """Old keys in a file; a section only where none of its keys is named already."""
    named: list[str] = []
    for key in (*GONE, *MOVED):
        if _stands(table, key) and not any(other.startswith(f"{key}.") for other in named):
            named.append(key)
    yield from named


def _stands(table: object, key: str) -> bool:
    return _found_at(table, key) is not _NOTHING


def _found_at(table: object, key: str) -> object:
    """Value of a key in a file; ``_NOTHING`` where it is silent."""
    for part in key.split("."):
        if not isinstance(table, Mapping) or part not in table:
            return _NOTHING
        table = table[part]
    return table
