"""Ranks of a cell's clients: mixed ones, or a single one for a recipe that refuses them.

The rule kept here: whether a recipe takes mixed ranks is asked of the configuration, by a file that a user could have
written; and the single rank is the mean of the mixed ones, so that all clients together have as many parameters.
"""

from __future__ import annotations

from math import floor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import tomli_w

from securefl.config import load_federation
from securefl.config.encryption import EncryptionSection
from securefl.config.recipes.catalogue import ROWS
from securefl.config.recipes.row import Row
from securefl.errors import ConfigError

RANKS: Final = (2, 4, 8, 16)
"""Of four clients; more of them take these in turn."""


def ranks_of(clients: int) -> tuple[int, ...]:
    """Ranks of so many clients."""
    return tuple(RANKS[place % len(RANKS)] for place in range(clients))


def ranks_for(recipe: str, ranks: tuple[int, ...]) -> tuple[int, ...]:
    """The ranks at which a recipe runs where others run at ``ranks``.

    Args:
        recipe: A row of the catalogue.
        ranks: Mixed or not.

    Returns:
        The same ranks, or their mean (halves up) for every client where the recipe takes no mixed ranks.
    """
    single = (floor(sum(ranks) / len(ranks) + 0.5),) * len(ranks)
    return single if not _loads(recipe, ranks) and _loads(recipe, single) else ranks


def consent(row: Row | None) -> dict[str, bool]:
    """Keys of ``[encryption]`` that a file needs for a row that leaves values plain, which only a file may accept."""
    section = None if row is None else row.others.get("encryption")
    selects = isinstance(section, EncryptionSection) and section.select.share < 1
    return {"allow_plaintext": True} if selects else {}


def _loads(recipe: str, ranks: tuple[int, ...]) -> bool:
    table = {
        "federation": {"name": "ranks"},
        "model": {"path": "model"},
        "data": {"train": "train.jsonl", "text": "text", "label": "label"},
        "recipe": {"name": recipe},
        "encryption": consent(ROWS.get(recipe)),
        "cohort": {"clients": [{"r": rank} for rank in ranks]},
    }
    with TemporaryDirectory(prefix="securefl-bench-") as folder:
        path = Path(folder) / "FED.toml"
        path.write_text(tomli_w.dumps(table), encoding="utf-8")
        try:
            load_federation(path)
        except ConfigError:
            return False
    return True
