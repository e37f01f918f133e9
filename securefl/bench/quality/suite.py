"""Suites: places and recipes, each combination of which is one cell of the tables.

The rule kept here: a cell names options of a ``FED.toml`` and rows, and nothing of a method; what a recipe is, and
every key that a cell does not name, the configuration says.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from securefl.bench.quality.cohorts import ranks_for
from securefl.config.data import ColumnSplit, DirichletSplit, IidSplit, Split
from securefl.config.recipes.catalogue import ROWS
from securefl.errors import ConfigError

CENTRAL: Final = "central"
"""Stands for a recipe: no federation, one adapter on the rows of all clients together."""
LOCAL: Final = "local"
"""Stands for a recipe: no federation, each client's own adapter on its own rows."""
BASELINES: Final = (CENTRAL, LOCAL)
OWN_MODELS: Final = "its clients have base models of their own, and a cell has one model"
LEFT_OUT: Final[Mapping[str, str]] = {
    name: OWN_MODELS for name, row in ROWS.items() if row.recipe.own_backbones
}
"""Recipes of the catalogue that no cell runs, each with the reason."""
FEDERATIONS: Final = tuple(name for name in ROWS if name not in LEFT_OUT)
"""Recipes of the catalogue that cells run."""
FIRST_SEED: Final = 7
"""That of a federation whose file names none."""
DIRICHLET: Final = "dirichlet-"
"""Stands before another alpha than 0.5."""
UNNAMED_CLIENTS: Final = 4
"""Most clients of a cohort whose number is no part of a place's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A public data set: a folder of gzipped JSON lines, ``train``, ``test`` and perhaps ``validation``.

    Attributes:
        name: The folder's.
        text: Its column of texts, or two for sentence pairs; empty where ``settings`` name the columns.
        label: Its column of labels; empty where it has none.
        max_length: Most tokens of a text.
        settings: ``section.key=value`` each, for the ``FED.toml`` of every cell on it: the task that it is for.
        own_test: False where it has no test file: training rows that nobody trains on stand for test rows.
    """

    name: str
    text: tuple[str, ...]
    label: str
    max_length: int
    settings: tuple[str, ...] = ()
    own_test: bool = True


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
class Setting:
    """A place: a data set, how its rows are dealt out, and to whom.

    Attributes:
        data: What is learnt.
        split: Name of the way in which rows are dealt out: ``iid``, ``dirichlet``, that with an alpha, such as
            ``dirichlet-1``, or the name of a column.
        ranks: Ranks of the clients.
        limits: Rows.
        seeds: How many seeds, unless the command says otherwise.
    """

    data: DataSet
    split: str
    ranks: tuple[int, ...]
    limits: Limits = field(default_factory=Limits)
    seeds: int = 1

    @property
    def name(self) -> str:
        """The place's name."""
        return place_name(self.data.name, self.split, clients=len(self.ranks))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One federation, or one training without any, whose adapters are measured.

    Attributes:
        data: What is learnt.
        split: As in its setting.
        recipe: A row of ``config.recipes.catalogue``, ``central`` or ``local``.
        seed: The federation's.
        ranks: Ranks of the clients.
        limits: Rows.
    """

    data: DataSet
    split: str
    recipe: str
    seed: int
    ranks: tuple[int, ...]
    limits: Limits

    @property
    def place(self) -> str:
        """The name that the cells of all recipes and seeds share."""
        return place_name(self.data.name, self.split, clients=len(self.ranks))

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
            case text if text.startswith(DIRICHLET):
                return DirichletSplit(by="dirichlet", alpha=float(text.removeprefix(DIRICHLET)))
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
    """Places and recipes.

    Attributes:
        settings: Places.
        recipes: Recipes, baselines among them; those that this version does not have are left out.
        compares: ``adapters``: those of one federation with each other, for which every client has a personal one;
            ``recipes``: recipes with each other, each as it is, at learning rates of one search.
        model: Base model of all cells, unless the command says otherwise.
        searched: Place on whose validation rows learning rates are searched; None for the one that most suites share.
            A suite with another kind of model has its own: rates of an encoder say nothing of a language model.
    """

    settings: tuple[Setting, ...]
    recipes: tuple[str, ...]
    compares: Literal["adapters", "recipes"]
    model: str
    searched: Setting | None = None

    def with_rows(self, *, train: int | None, test: int | None) -> Suite:
        """The suite with other numbers of rows, where they are given."""
        given = {key: rows for key, rows in (("train", train), ("test", test)) if rows is not None}
        settings = (replace(each, limits=replace(each.limits, **given)) for each in self.settings)
        return replace(self, settings=tuple(settings))

    @property
    def known(self) -> tuple[str, ...]:
        """Its recipes that this version has."""
        return tuple(name for name in self.recipes if name in FEDERATIONS or name in BASELINES)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Its recipes that this version does not have."""
        return tuple(name for name in self.recipes if name not in self.known)


def place_name(data: str, split: str, *, clients: int) -> str:
    """Name of a place; the number of clients is part of it beyond the usual four."""
    return f"{data}-{split}" if clients <= UNNAMED_CLIENTS else f"{data}-{split}-{clients}"


def cells_of(
    suite: Suite, *, seeds: int | None = None, only: Sequence[str] = (), recipes: Sequence[str] = ()
) -> tuple[Cell, ...]:
    """The cells of a suite, those of one place after another, its central training first.

    Args:
        suite: Its places and recipes.
        seeds: How many seeds of every place; they count from ``FIRST_SEED``. Without it, as many as the place has.
        only: Places such as ``banking77-iid``, or data sets; all without it.
        recipes: Recipes and baselines; without it the suite's own that exist.

    Raises:
        ConfigError: if a place or a recipe is unknown, or no cell runs the recipe.
    """
    chosen = tuple(recipes) or suite.known
    _check_runs(chosen)
    _check_known(chosen, (*BASELINES, *FEDERATIONS), where="--recipe", what="recipe")
    names = [name for each in suite.settings for name in (each.name, each.data.name)]
    _check_known(only, names, where="--only", what="cell")
    settings = [each for each in suite.settings if not only or {each.data.name, each.name} & {*only}]
    ranks: Mapping[str, Mapping[tuple[int, ...], tuple[int, ...]]] = {
        recipe: {each: _ranks(recipe, each) for each in {setting.ranks for setting in settings}}
        for recipe in chosen
    }
    return tuple(
        Cell(
            data=setting.data,
            split=setting.split,
            recipe=recipe,
            seed=FIRST_SEED + number,
            ranks=ranks[recipe][setting.ranks],
            limits=setting.limits,
        )
        for setting in settings
        for number in range(seeds or setting.seeds)
        for recipe in chosen
    )


def _ranks(recipe: str, ranks: tuple[int, ...]) -> tuple[int, ...]:
    return ranks if recipe in BASELINES else ranks_for(recipe, ranks)


def _check_runs(given: Iterable[str]) -> None:
    for name in given:
        if name in LEFT_OUT:
            raise ConfigError(
                f"no cell runs the recipe '{name}': {LEFT_OUT[name]}",
                where="--recipe",
                hint="leave it out, and run its federation file with 'securefl run'",
            )


def _check_known(given: Iterable[str], known: Iterable[str], *, where: str, what: str) -> None:
    known = tuple(dict.fromkeys(known))
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'" if near else f"there is {', '.join(known)}"
            raise ConfigError(f"there is no {what} '{name}'", where=where, hint=hint)
