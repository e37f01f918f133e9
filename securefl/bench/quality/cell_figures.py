"""Figures of the finished cells: a federation beside the central training on the same rows.

Terms: a *place* is a data set with a split; all recipes and seeds of a place are told by one row of a table. ``better``
is, at each client, that of the local and the global adapter which its validation rows prefer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Literal

from securefl.bench.quality.cell_files import FinishedCell
from securefl.bench.quality.measurement import COLUMNS, CellMeasurement, ClientOutcome, Column
from securefl.bench.quality.paired import Difference, Scores, difference, joint
from securefl.bench.quality.suite import BASELINES, CENTRAL, place_name
from securefl.errors import StateError

Adapter = Literal["base", "local", "global", "fused", "central", "better", "best"]
"""A column; ``better`` by validation rows at each client; ``best``, the one of local and global whose mean over clients
is higher on the test rows: only to be measured against."""


@dataclass(frozen=True, slots=True)
class Run:
    """A federation's cell, and the central training of its place and seed where it is finished.

    Attributes:
        federation: The cell.
        central: On the same test rows.
    """

    federation: FinishedCell
    central: FinishedCell | None

    @property
    def measured(self) -> CellMeasurement:
        """The federation's."""
        return self.federation.measured

    def scores(self, adapter: Adapter) -> list[Scores] | None:
        """By client, what each test row counts; None where the cell has no such adapter."""
        if adapter == "best":
            local, shared = self.value("local"), self.value("global")
            if local is None or shared is None:
                return None
            return self.scores("local" if local > shared else "global")
        if adapter == "better":
            return _all(_better(client) for client in self._clients())
        if adapter == "central":
            return None if self.central is None else _all(_column(self.central, "central"))
        return _all(_column(self.federation, adapter))

    def value(self, adapter: Adapter) -> float | None:
        """The mean over clients of its metric."""
        if adapter in ("best", "better"):
            scores = self.scores(adapter)
            return None if scores is None else mean(map(mean, scores))
        cell = self.central if adapter == "central" else self.federation
        if cell is None:
            return None
        found = [client.values.get(_named(adapter)) for client in cell.measured.clients.values()]
        known = [value for value in found if value is not None]
        return mean(known) if len(known) == len(found) else None

    def difference(self, ours: Adapter, theirs: Adapter) -> Difference | None:
        """The mean over clients of the difference of two adapters; None where one is missing."""
        one, other = self.scores(ours), self.scores(theirs)
        return None if one is None or other is None else difference(one, other)

    def _clients(self) -> Iterable[ClientOutcome]:
        return self.measured.clients.values()


@dataclass(frozen=True, slots=True)
class Place:
    """All seeds of one place and recipe.

    Attributes:
        data: The data set's name.
        split: The split's.
        clients: How many.
        recipe: The recipe's.
        runs: One a seed.
    """

    data: str
    split: str
    clients: int
    recipe: str
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """Data set and split."""
        return place_name(self.data, self.split, clients=self.clients)

    @property
    def rounds(self) -> int:
        """Most rounds of a run."""
        return max(run.measured.rounds for run in self.runs)

    @property
    def metric(self) -> str:
        """Name of the figures."""
        return self.runs[0].measured.metric

    def value(self, adapter: Adapter) -> float | None:
        """The mean over seeds and clients; None where a run has no such adapter."""
        found = [run.value(adapter) for run in self.runs]
        known = [value for value in found if value is not None]
        return mean(known) if len(known) == len(found) else None

    @property
    def baselines(self) -> dict[str, float]:
        """The means over seeds and clients of what every client reports beside its columns, by name."""
        every = [each.baselines for run in self.runs for each in run.measured.clients.values()]
        return {
            name: mean(each[name] for each in every)
            for name in every[0]
            if all(name in each for each in every)
        }

    def difference(self, ours: Adapter, theirs: Adapter) -> Difference | None:
        """The mean over seeds, whose errors are taken to go together; None where one is missing."""
        found = [run.difference(ours, theirs) for run in self.runs]
        known = [each for each in found if each is not None]
        return joint([known]) if known and len(known) == len(found) else None


def places_of(cells: Iterable[FinishedCell]) -> tuple[Place, ...]:
    """The finished federations by recipe and place, in the order of the cells.

    Raises:
        StateError: if a central training had other test rows than its federation.
    """
    finished = tuple(cells)
    central = {where_of(cell): cell for cell in finished if cell.job.recipe == CENTRAL}
    groups: dict[tuple[str, str, str, int], list[Run]] = {}
    for cell in finished:
        if cell.job.recipe not in BASELINES:
            beside = central.get(where_of(cell))
            if beside is not None:
                check_rows(cell, beside)
            data, split, clients, _ = where_of(cell)
            groups.setdefault((cell.job.recipe, data, split, clients), []).append(Run(cell, beside))
    return tuple(
        Place(data, split, clients, recipe, tuple(runs))
        for (recipe, data, split, clients), runs in groups.items()
    )


def where_of(cell: FinishedCell) -> tuple[str, str, int, int]:
    """Data set, split, number of clients and seed: equal for cells on the same rows."""
    return cell.job.data, cell.job.split, len(cell.job.ranks), cell.job.seed


def over_places(places: Sequence[Place], ours: Adapter, theirs: Adapter) -> Difference | None:
    """The mean over data sets of a difference; splits of one set share test rows, see ``joint``."""
    groups: dict[str, list[Difference]] = {}
    for place in places:
        each = place.difference(ours, theirs)
        if each is not None:
            groups.setdefault(place.data, []).append(each)
    return joint(list(groups.values())) if groups else None


def uploads(places: Iterable[Place]) -> dict[int, tuple[int, int, float, int]]:
    """By rank: the largest upload of a round from 1 on, own float32 bytes there, their ratio, the openings' bytes."""
    largest: dict[int, tuple[int, int, float, int]] = {}
    for client in _clients_of(places):
        if client.up_bytes:
            up = max(client.up_bytes)
            found = (up, client.float32_bytes, up / client.float32_bytes, client.opening_bytes)
            held = largest.get(client.rank)
            largest[client.rank] = found if held is None or found[2] > held[2] else held
    return dict(sorted(largest.items()))


def identical(twin: FinishedCell, encrypted: FinishedCell) -> bool:
    """True where both had the same integers in every round and ended in the same adapters at every client."""
    return _ends(twin) == _ends(encrypted)


def _ends(cell: FinishedCell) -> tuple[object, ...]:
    clients = cell.measured.clients
    return cell.measured.integers_sha256, {name: each.adapters_sha256 for name, each in clients.items()}


def _clients_of(places: Iterable[Place]) -> Iterable[ClientOutcome]:
    for place in places:
        for run in place.runs:
            yield from run.measured.clients.values()


def check_rows(cell: FinishedCell, other: FinishedCell) -> None:
    """Refuse to compare cells on different rows.

    Raises:
        StateError: if they were measured on different rows.
    """
    rows = [
        {name: client.test_sha256 for name, client in each.measured.clients.items()} for each in (cell, other)
    ]
    if rows[0] != rows[1]:
        raise StateError(
            f"{cell.name} and {other.name} were measured on different rows",
            hint="run both again: delete their files",
        )


def _better(client: ClientOutcome) -> Scores | None:
    validation: Mapping[Column, float] = client.validation
    if "local" not in validation or "global" not in validation:
        return None
    # At equal figures the global one: it needs no private part.
    name: Column = "local" if validation["local"] > validation["global"] else "global"
    return client.scores.get(name)


def _named(adapter: Adapter) -> Column:
    return next(column for column in COLUMNS if column == adapter)


def _column(cell: FinishedCell, adapter: Adapter) -> list[Scores | None]:
    return [client.scores.get(_named(adapter)) for client in cell.measured.clients.values()]


def _all(scores: Iterable[Scores | None]) -> list[Scores] | None:
    found = list(scores)
    known = [each for each in found if each is not None]
    return known if len(known) == len(found) else None
