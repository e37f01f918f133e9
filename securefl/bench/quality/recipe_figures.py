"""Figures of recipes beside each other: all seeds of a recipe at a place, and paired differences of two recipes.

Terms: the *end* of a recipe is the adapter that its clients use: the fused one where it has one, else the global one,
of the training alone the local one, of the central training the central one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev
from typing import Literal

from securefl.bench.quality.cell_figures import check_rows, where_of
from securefl.bench.quality.cell_files import FinishedCell
from securefl.bench.quality.measurement import CellMeasurement, Column
from securefl.bench.quality.paired import Difference, Scores, difference, joint
from securefl.bench.quality.suite import BASELINES, CENTRAL, LOCAL, place_name
from securefl.bench.quality.targets import Reached, reached, target_of
from securefl.config.recipes.choices import DEFAULT

Which = Literal["end", "global"]
ENDS: tuple[Column, ...] = ("fused", "global", "local", "central")
"""Columns, the first of which that a cell has is its end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A recipe at a place.

    Attributes:
        recipe: Its name, or a baseline's.
        data: The data set's.
        split: The split's.
        clients: How many.
        cells: One a seed.
        reached: One a seed: the round that reached the target.
    """

    recipe: str
    data: str
    split: str
    clients: int
    cells: tuple[FinishedCell, ...]
    reached: tuple[Reached, ...]

    @property
    def place(self) -> str:
        """The place's name."""
        return place_name(self.data, self.split, clients=self.clients)

    @property
    def is_baseline(self) -> bool:
        """True for a training without a federation."""
        return self.recipe in BASELINES

    @property
    def ranks(self) -> tuple[int, ...]:
        """Ranks of its clients."""
        return self.cells[0].job.ranks

    @property
    def end(self) -> Column:
        """The column of its end."""
        return next(column for column in ENDS if all(column in _columns(cell) for cell in self.cells))

    def values(self, which: Which) -> tuple[float, ...] | None:
        """By seed, the mean over clients; None where there is no such adapter."""
        column = self._column(which)
        if not all(column in _columns(cell) for cell in self.cells):
            return None
        return tuple(
            mean(client.values[column] for client in cell.measured.clients.values()) for cell in self.cells
        )

    def scores(self, which: Which) -> dict[int, tuple[FinishedCell, list[Scores]]]:
        """By seed, its cell and by client what each test row counts; seeds without such an adapter are left out."""
        column = self._column(which)
        return {
            cell.job.seed: (cell, [client.scores[column] for client in cell.measured.clients.values()])
            for cell in self.cells
            if column in _columns(cell)
        }

    @property
    def up_bytes(self) -> float:
        """Bytes that a client uploads in all rounds and openings, mean over clients and seeds; 0 for a baseline."""
        clients = [client for cell in self.cells for client in cell.measured.clients.values()]
        return mean(sum(client.up_bytes) + client.opening_bytes for client in clients)

    @property
    def cpu_s(self) -> float:
        """Processor seconds of a cell, all clients together; the mean over seeds."""
        return mean(cell.measured.cpu_s for cell in self.cells)

    @property
    def rounds(self) -> int:
        """Most rounds of a seed."""
        return max(cell.measured.rounds for cell in self.cells)

    def _column(self, which: Which) -> Column:
        return self.end if which == "end" else "global"


def entries_of(cells: Iterable[FinishedCell]) -> tuple[Entry, ...]:
    """Finished cells by place and recipe, in the order of the cells."""
    finished = tuple(cells)
    at = {(where_of(cell), cell.job.recipe): cell for cell in finished}
    groups: dict[tuple[str, str, int, str], list[FinishedCell]] = {}
    for cell in finished:
        data, split, clients, _ = where_of(cell)
        groups.setdefault((data, split, clients, cell.job.recipe), []).append(cell)

    def beside(cell: FinishedCell, recipe: str) -> CellMeasurement | None:
        found = at.get((where_of(cell), recipe))
        return None if found is None else found.measured

    def answer(cell: FinishedCell) -> Reached:
        target = target_of(local=beside(cell, LOCAL), central=beside(cell, CENTRAL))
        return reached(cell.measured, target=target)

    return tuple(
        Entry(recipe, data, split, clients, tuple(held), tuple(map(answer, held)))
        for (data, split, clients, recipe), held in groups.items()
    )


def paired(ours: Entry, theirs: Entry, *, which: Which = "end") -> Difference | None:
    """The mean over the seeds of both of the difference of two recipes, on the same test rows.

    Its error is that of the rows, taken to go together between seeds, or that of the seeds (their spread over the root
    of their number), whichever is larger. None where no seed has both.

    Raises:
        StateError: if two cells of a place and seed had different test rows.
    """
    one, other = ours.scores(which), theirs.scores(which)
    found = []
    for seed in sorted(one.keys() & other.keys()):
        check_rows(one[seed][0], other[seed][0])
        found.append(difference(one[seed][1], other[seed][1]))
    return over_seeds(found) if found else None


def over_seeds(found: Sequence[Difference]) -> Difference:
    """The mean over seeds, with the larger of both errors; see ``paired``."""
    rows = joint([found])
    seeds = stdev(each.mean for each in found) / sqrt(len(found)) if len(found) > 1 else 0.0
    return Difference(rows.mean, max(rows.error, seeds))


def spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation over seeds; None for a single one."""
    return stdev(values) if len(values) > 1 else None


def _columns(cell: FinishedCell) -> set[Column]:
    """The columns that every client has."""
    return set.intersection(*(set(client.scores) for client in cell.measured.clients.values()))


def less_default(entry: Entry, entries: Sequence[Entry]) -> Difference | None:
    """A recipe's end less that of the product's own recipe at the same place; None for that one, and without it."""
    default = next((each for each in entries if each.recipe == DEFAULT and each.place == entry.place), None)
    return None if default is None or default is entry else paired(entry, default)
