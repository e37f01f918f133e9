"""Options of a cell's federation: the ``FED.toml`` that a user would write for it, with keys that tuning sets.

The rule kept here: a cell writes what a user must (model, data, ranks) and nothing that a recipe decides; the one
exception is a personal adapter where a recipe has none, because the tables compare with it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from securefl.bench.quality.drawn_rows import DrawnRows
from securefl.bench.quality.suite import Cell
from securefl.config import FederationConfig, load_federation
from securefl.config.recipes.catalogue import ROWS
from securefl.config.recipes.choices import DEFAULT
from securefl.errors import ConfigError

Table = dict[str, Any]


def federation_of(
    cell: Cell,
    rows: DrawnRows,
    *,
    model: str,
    ranks: Sequence[int],
    scheme: str,
    overrides: Sequence[str],
    folder: Path,
) -> FederationConfig:
    """Write a cell's ``FED.toml`` and read it.

    Args:
        cell: Which.
        rows: Its files.
        model: ``[model] path``.
        ranks: Of the clients.
        scheme: ``[encryption] scheme``.
        overrides: ``KEY=VALUE`` each, see ``overridden``.
        folder: Where the file is written.

    Raises:
        ConfigError: if an override is none, or the file does not hold together with it.
    """
    table = _table(cell, rows, model=model, ranks=ranks, scheme=scheme)
    path = folder / "FED.toml"
    path.write_text(tomli_w.dumps(overridden(table, overrides)), encoding="utf-8")
    return load_federation(path)


def _table(cell: Cell, rows: DrawnRows, *, model: str, ranks: Sequence[int], scheme: str) -> Table:
    return {
        "federation": {"name": cell.place, "seed": cell.seed, "labels": list(rows.labels)},
        "model": {"path": model, "max_length": cell.data.max_length},
        "data": {
            "train": str(rows.train),
            "test": str(rows.test),
            "text": list(cell.data.text),
            "label": cell.data.label,
            "split": cell.dealt.model_dump(),
        },
        # Without a federation a recipe only lends what all have in common.
        "recipe": _recipe(cell.recipe if cell.federated else DEFAULT),
        "encryption": {"scheme": scheme},
        "cohort": {"clients": [{"r": rank} for rank in ranks]},
    }


def _recipe(name: str) -> Table:
    """A recipe, with a personal adapter by itself where the row has none."""
    return {"name": name} if ROWS[name].recipe.has_personal else {"name": name, "personal": "alone"}


def overridden(table: Table, overrides: Sequence[str]) -> Table:
    """The table with single keys set.

    Args:
        table: A whole file's.
        overrides: ``section.key=value`` each; the value is TOML, or text where it is none.

    Raises:
        ConfigError: if one has no key or no value.
    """
    changed = {name: dict(section) for name, section in table.items()}
    for override in overrides:
        keys, value = _parsed(override)
        inner: Table = changed
        for key in keys[:-1]:
            held = inner.get(key)
            inner[key] = dict(held) if isinstance(held, dict) else {}
            inner = inner[key]
        inner[keys[-1]] = value
    return changed


def _parsed(override: str) -> tuple[list[str], object]:
    key, separator, text = override.partition("=")
    keys = [part.strip() for part in key.split(".")]
    if not separator or not all(keys):
        raise ConfigError(
            f"'{override}' sets no key", where="--set", hint="write --set training.learning_rate=1e-3"
        )
    try:
        return keys, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return keys, text.strip()
