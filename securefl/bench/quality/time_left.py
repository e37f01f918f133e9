"""The time that a run of many cells still needs, from processor seconds of finished cells.

The rule kept here: a cell is taken to need what finished cells of its own place needed, of its own kind where there are
any (a federation, or a training without one); only a place without a finished cell takes the mean of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean

from securefl.bench.quality.suite import BASELINES, Cell


@dataclass(frozen=True, slots=True)
class _Took:
    place: str
    federation: bool
    cpu_s: float


@dataclass(slots=True)
class TimeLeft:
    """Processor seconds of finished cells.

    Attributes:
        took: One entry a cell, of this run and of former ones.
        pace: Wall seconds a processor second, of each cell of this run.
    """

    took: list[_Took] = field(default_factory=list)
    pace: list[float] = field(default_factory=list)

    def note(self, cell: Cell, *, cpu_s: float, wall_s: float | None = None) -> None:
        """Take a finished cell.

        Args:
            cell: Which.
            cpu_s: Its processor seconds.
            wall_s: Its wall seconds, if it ran in this run: another run may have had another machine to itself.
        """
        self.took.append(_Took(cell.place, _is_federation(cell), cpu_s))
        if wall_s is not None and cpu_s > 0:
            self.pace.append(wall_s / cpu_s)

    def seconds(self, cells: Iterable[Cell], *, jobs: int) -> float | None:
        """Wall seconds for these cells, so many at a time; None before any cell has finished."""
        if not self.took:
            return None
        pace = mean(self.pace) if self.pace else 1.0
        return pace * sum(self._cpu_s(cell) for cell in cells) / jobs

    def _cpu_s(self, cell: Cell) -> float:
        there = [each for each in self.took if each.place == cell.place]
        alike = [each for each in there if each.federation == _is_federation(cell)]
        return mean(each.cpu_s for each in _first_of(alike, there, self.took))


def _first_of(*choices: Sequence[_Took]) -> Sequence[_Took]:
    return next(each for each in choices if each)


def _is_federation(cell: Cell) -> bool:
    return cell.recipe not in BASELINES
