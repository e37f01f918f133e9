"""Learning rates of recipes as a search has found them, in a file that later cells read.

The rule kept here: the file holds what the search was (place, seed, factors, rows), so that a report can state it; a
recipe that is not in it keeps its own rate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from securefl.bench.quality.measurement import Digest, Figure
from securefl.config.recipes.catalogue import ROWS
from securefl.config.training import TrainingSection
from securefl.errors import ConfigError
from securefl.results.formats import current, stamped
from securefl.storage.whole import write_json_file


class FoundRate(BaseModel):
    """One recipe's.

    Attributes:
        learning_rate: The best one.
        factor: Times its own, as a file without the key has it.
        figures: By factor, the mean over clients of its end's metric on rows held out of training; a factor whose
            cell failed is missing.
        at_edge: The best factor is the smallest or the largest one that was tried.
        code: Version of the code of the cells.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    learning_rate: Figure
    factor: Figure
    figures: dict[str, Figure]
    at_edge: bool
    code: Digest


class RateTable(BaseModel):
    """A search's file.

    Attributes:
        key: The key that was searched.
        place: Data set and split.
        seed: Of the cells.
        rows: The rows that chose, in words.
        factors: That were tried for every recipe.
        recipes: By name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key: str
    place: str
    seed: int
    rows: str
    factors: tuple[Figure, ...]
    recipes: dict[str, FoundRate]

    @property
    def rates(self) -> Mapping[str, float]:
        """Learning rates by recipe."""
        return {name: found.learning_rate for name, found in self.recipes.items()}


def own_rate(recipe: str) -> float:
    """The learning rate of a recipe without a search: its row's, or the one of a file that names none."""
    row = ROWS.get(recipe)
    section = None if row is None else row.others.get("training")
    given = section if isinstance(section, TrainingSection) else TrainingSection()
    return given.learning_rate


def load_rates(path: Path) -> RateTable | None:
    """A search's file; None where there is none.

    Raises:
        ConfigError: if the file is no search's.
        StateError: if it is of a later format.
    """
    if not path.is_file():
        return None
    try:
        values = current(json.loads(path.read_text(encoding="utf-8")), where=str(path))
        return RateTable.model_validate_json(json.dumps(values))
    except (OSError, ValueError, RecursionError, ValidationError):
        raise ConfigError(
            f"{path} holds no learning rates", where="--rates", hint="make it again with --search"
        ) from None


def save_rates(path: Path, table: RateTable) -> None:
    """Write a search's file.

    Raises:
        ConfigError: if the file cannot be written.
    """
    write_json_file(path, stamped(table.model_dump(mode="json")))
