"""Options of a cell's federation: the ``FED.toml`` that a user would write for it, with keys that tuning sets.

The rule kept here: a cell writes what a user must (model, data, ranks) and nothing that a recipe decides; the one
exception is a personal adapter for everybody, where the tables of a suite compare the adapters of one federation.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from securefl.bench.quality.cohorts import consent
from securefl.bench.quality.drawn_rows import DrawnRows
from securefl.bench.quality.suite import BASELINES, OWN_MODELS, Cell
from securefl.config import FederationConfig, load_federation
from securefl.config.recipes.catalogue import ROWS
from securefl.config.recipes.choices import DEFAULT
from securefl.errors import ConfigError

Table = dict[str, Any]
PERSONAL = {"personal": "alone"}
"""Keys of ``[recipe]`` that give every client a personal adapter, trained alone."""


def federation_of(
    cell: Cell,
    rows: DrawnRows,
    *,
    model: str,
    scheme: str,
    overrides: Sequence[str],
    personal_for_all: bool = True,
    folder: Path,
) -> FederationConfig:
    """Write a cell's ``FED.toml`` and read it.

    Args:
        cell: Which.
        rows: Its files.
        model: ``[model] path``.
        scheme: ``[encryption] scheme``.
        overrides: ``KEY=VALUE`` each, see ``overridden``.
        personal_for_all: Give every client a personal adapter, whatever the recipe says.
        folder: Where the file is written.

    Raises:
        ConfigError: if an override is none, the file does not hold together with it, or no cell runs its recipe.
    """
    table = _table(cell, rows, model=model, scheme=scheme, personal=personal_for_all)
    path = folder / "FED.toml"
    path.write_text(tomli_w.dumps(overridden(table, overrides)), encoding="utf-8")
    config = load_federation(path)
    if config.recipe.own_backbones:
        raise ConfigError(
            f"no cell runs the recipe '{config.recipe.name}': {OWN_MODELS}",
            where="--set",
            hint="run its federation file with 'securefl run'",
        )
    return config


def _table(cell: Cell, rows: DrawnRows, *, model: str, scheme: str, personal: bool) -> Table:
    baseline = cell.recipe in BASELINES
    # No federation is made for a baseline; the recipe only lends it what all have in common.
    name = DEFAULT if baseline else cell.recipe
    lacks = (baseline or personal) and ROWS[name].recipe.personal == "none"
    labels = {"labels": list(rows.labels)} if rows.labels else {}
    return {
        "federation": {"name": cell.place, "seed": cell.seed, **labels},
        "model": {"path": model, "max_length": cell.data.max_length},
        "data": {
            "train": str(rows.train),
            "test": str(rows.test),
            **_columns(cell),
            "split": cell.dealt.model_dump(),
        },
        "recipe": {"name": name, **(PERSONAL if lacks else {})},
        "encryption": {"scheme": scheme, **consent(None if baseline else ROWS.get(cell.recipe))},
        "cohort": {"clients": [{"r": rank} for rank in cell.ranks]},
    }


def _columns(cell: Cell) -> Table:
    """Columns of a classification's data set; one for another task has them in its ``settings``."""
    named = {"text": list(cell.data.text), "label": cell.data.label}
    return {key: value for key, value in named.items() if value}


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
