"""Suites: data sets, splits and recipes, each combination of which is one cell of the tables.

The rule kept here: a cell names options of a ``FED.toml`` and rows, and nothing of a method; what a recipe is, and
every key that a cell does not name, the configuration says.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from securefl.config.data import ColumnSplit, DirichletSplit, IidSplit, Split
from securefl.config.recipes.catalogue import BASELINES, ROWS
from securefl.errors import ConfigError

CENTRAL: Final = "central"
"""Stands for a recipe: no federation, one adapter on the rows of all clients together."""
LOCAL: Final = "local"
"""Stands for a recipe: no federation, a personal adapter of each client on its own rows."""
FIRST_SEED: Final = 7
"""That of a federation whose file names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A public data set: a folder of gzipped JSON lines, ``train``, ``test`` and perhaps ``validation``.

    Attributes:
        name: The folder's.
        text: Its column of texts, or two for sentence pairs.
        label: Its column of labels.
        max_length: Most tokens of a text.
    """

    name: str
    text: tuple[str, ...]
    label: str
    max_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Numbers of rows of a cell, of all clients together.

    Attributes:
        train: Most training rows, validation rows included.
        test: Most test rows.
    """

    train: int = 4000
    test: int = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One federation, or one training without any, whose adapters are measured.

    Attributes:
        data: What is learnt.
        split: Name of the way in which rows are dealt out: ``iid``, ``dirichlet``, or the name of a column.
        recipe: A row of ``config.recipes.catalogue``, or one of its baselines, ``local`` and ``central``.
        seed: The federation's.
    """

    data: DataSet
    split: str
    recipe: str
    seed: int

    @property
    def place(self) -> str:
        """Data set and split: what the cells of all recipes and seeds share."""
        return f"{self.data.name}-{self.split}"

    @property
    def name(self) -> str:
        """A name that no other cell of a suite has."""
        return f"{self.place}-{self.recipe}-{self.seed}"

    @property
    def dealt(self) -> Split:
        """``[data] split``."""
        match self.split:
            case "iid":
                return IidSplit(by="iid")
            case "dirichlet":
                return DirichletSplit(by="dirichlet", alpha=0.5)
            case column:
                return ColumnSplit(by="column", column=column)

    @property
    def federated(self) -> bool:
        """True where a federation is run."""
        return self.recipe not in BASELINES

    @property
    def central(self) -> Cell:
        """The central training on the same rows."""
        return replace(self, recipe=CENTRAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Data sets with their splits, and what all cells have in common.

    Attributes:
        places: Data sets, each with a split.
        recipes: Recipes, where they exist in this version.
        ranks: Ranks of the clients.
        limits: Rows of a cell.
    """

    places: tuple[tuple[DataSet, str], ...]
    recipes: tuple[str, ...]
    ranks: tuple[int, ...]
    limits: Limits


BANKING77 = DataSet(name="banking77", text=("text",), label="label_name", max_length=64)
HWU64 = DataSet(name="hwu64", text=("text",), label="label_name", max_length=64)
SST2 = DataSet(name="sst2", text=("sentence",), label="label", max_length=64)
MRPC = DataSet(name="mrpc", text=("sentence1", "sentence2"), label="label", max_length=128)

SUITES: Final[Mapping[str, Suite]] = {
    "default": Suite(
        places=(
            (BANKING77, "dirichlet"),
            (BANKING77, "iid"),
            (HWU64, "dirichlet"),
            (HWU64, "iid"),
            (HWU64, "domain"),
            (SST2, "dirichlet"),
            (SST2, "iid"),
            (MRPC, "dirichlet"),
            (MRPC, "iid"),
        ),
        recipes=("default", "lean"),
        ranks=(2, 4, 8, 16),
        limits=Limits(),
    )
}
"""By name."""


def suite_named(name: str) -> Suite:
    """The suite of this name.

    Raises:
        ConfigError: if there is none.
    """
    if name not in SUITES:
        raise ConfigError(f"there is no suite '{name}'", where="--suite", hint=f"there is {_listed(SUITES)}")
    return SUITES[name]


def cells_of(
    suite: Suite, *, seeds: int, only: Sequence[str] = (), recipes: Sequence[str] = ()
) -> tuple[Cell, ...]:
    """The cells of a suite, those of one place after another, its central training first.

    Args:
        suite: Its places and recipes.
        seeds: How many seeds; they count from ``FIRST_SEED``.
        only: Places such as ``banking77-iid``, or data sets; all without it.
        recipes: Recipes, ``local`` and ``central`` among them; without it the suite's own that exist, and ``central``.

    Raises:
        ConfigError: if a place or a recipe is unknown.
    """
    chosen = tuple(recipes) or (CENTRAL, *(name for name in suite.recipes if name in ROWS))
    _check_known(chosen, (*BASELINES, *ROWS), where="--recipe", what="recipe")
    names = [name for data, split in suite.places for name in (f"{data.name}-{split}", data.name)]
    _check_known(only, names, where="--only", what="cell")
    return tuple(
        Cell(data=data, split=split, recipe=recipe, seed=FIRST_SEED + number)
        for data, split in suite.places
        if not only or {data.name, f"{data.name}-{split}"} & {*only}
        for number in range(seeds)
        for recipe in chosen
    )


def _check_known(given: Iterable[str], known: Iterable[str], *, where: str, what: str) -> None:
    known = tuple(dict.fromkeys(known))
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'" if near else f"there is {_listed(known)}"
            raise ConfigError(f"there is no {what} '{name}'", where=where, hint=hint)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
