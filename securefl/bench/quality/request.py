"""Request of a run of the benchmark: its cells, and everything that they have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from securefl.bench.quality.measurement import CellJob, Scheme
from securefl.bench.quality.suite import BASELINES, Cell, Suite

RATE_KEY = "training.learning_rate"
"""The key whose value is searched for every recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRequest:
    """Request of a benchmark.

    Attributes:
        suite: Places and recipes.
        suite_name: The suite's name.
        cells: What the report is about, in order.
        run: What of it is run where it is not finished.
        data: Folder of the data sets.
        model: Base model.
        model_digest: Digest of its files, hexadecimal.
        out: Folder of the report and of the cells' files.
        validation: Rows held out of training stand for test rows.
        overrides: ``section.key=value`` each.
        rates: Learning rates by recipe, as a search has found them; a recipe that is not in it keeps its own.
        identity: Run federations once more, encrypted, see ``identity_cells``.
        any_code: Take finished cells of other versions of the code, too.
        jobs: Cells at a time.
        timeout_s: How long one cell may take.
    """

    suite: Suite
    suite_name: str
    cells: tuple[Cell, ...]
    run: tuple[Cell, ...]
    data: Path
    model: str
    model_digest: str
    out: Path
    validation: bool = False
    overrides: tuple[str, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    identity: bool = False
    any_code: bool = False
    jobs: int = 1
    timeout_s: float = 7200.0

    def job(self, cell: Cell, *, scheme: Scheme = "none") -> CellJob:
        """A cell's options."""
        data, limits = cell.data, cell.limits
        rate = self.rates.get(cell.recipe)
        return CellJob(
            data=data.name,
            text=data.text,
            label=data.label,
            max_length=data.max_length,
            split=cell.split,
            recipe=cell.recipe,
            seed=cell.seed,
            ranks=cell.ranks,
            train_rows=limits.train,
            test_rows=limits.test,
            validation=self.validation,
            scheme=scheme,
            overrides=(*data.settings, *([] if rate is None else [f"{RATE_KEY}={rate!r}"]), *self.overrides),
            own_test=data.own_test,
            personal_for_all=self.suite.compares == "adapters",
        )

    @property
    def identity_cells(self) -> tuple[Cell, ...]:
        """The federations that are run encrypted as well, at the last place, which is a suite's smallest.

        Where recipes are compared, the first of each recipe; else the first.
        """
        federations = [cell for cell in self.run if cell.recipe not in BASELINES]
        if not self.identity or not federations:
            return ()
        last = [cell for cell in federations if cell.place == federations[-1].place]
        first = {cell.recipe: cell for cell in reversed(last)}
        return tuple(first[name] for name in dict.fromkeys(cell.recipe for cell in last))[: self._proofs]

    @property
    def _proofs(self) -> int | None:
        return None if self.suite.compares == "recipes" else 1
