"""Report of the benchmark of quality, for programs: every figure, every bar, and every cell's file.

The rule kept here: a report is made of cells' files alone, so that it can be made again from what is committed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from securefl.bench.host import Machine
from securefl.bench.quality.bars import Bar, bars_of
from securefl.bench.quality.benchmark import Finished
from securefl.bench.quality.cell_figures import Adapter, Place, identical, places_of, uploads
from securefl.bench.quality.cell_files import FinishedCell, file_name
from securefl.bench.quality.paired import Difference
from securefl.bench.quality.rates import RateTable
from securefl.bench.quality.recipe_bars import RecipeBar, recipe_bars
from securefl.bench.quality.recipe_figures import Entry, entries_of
from securefl.bench.quality.recipe_json import recipes_json
from securefl.bench.quality.request import QualityRequest
from securefl.bench.quality.suite import Setting
from securefl.bench.quality.where_measured import Ground, grounds_of

SHOWN: tuple[Adapter, ...] = ("base", "local", "global", "fused", "better", "central")
PAIRS: tuple[tuple[Adapter, Adapter], ...] = (
    ("global", "base"),
    ("global", "local"),
    ("fused", "base"),
    ("fused", "local"),
    ("fused", "best"),
    ("fused", "better"),
    ("global", "central"),
)
"""Differences that the report holds, the bars' among them."""


@dataclass(frozen=True, slots=True)
class QualityReport:
    """A whole run of the benchmark.

    Attributes:
        request: What was asked for.
        machine: On which the report was made; ``grounds`` are those of its cells.
        finished: What there is.
        searched: The search that the request's learning rates come from, if they come from one.
    """

    request: QualityRequest
    machine: Machine
    finished: Finished
    searched: RateTable | None = None

    @property
    def places(self) -> tuple[Place, ...]:
        """Finished federations, by recipe and place."""
        return places_of(self.finished.cells.values())

    @property
    def recipes(self) -> dict[str, list[Place]]:
        """The places of every recipe."""
        found: dict[str, list[Place]] = {}
        for place in self.places:
            found.setdefault(place.recipe, []).append(place)
        return found

    @property
    def bars(self) -> list[Bar]:
        """Those of all recipes."""
        return [bar for recipe, places in self.recipes.items() for bar in bars_of(recipe, places)]

    @property
    def missing(self) -> list[str]:
        """Cells that were asked for and have no figures."""
        return [cell.name for cell in self.request.cells if cell.name not in self.finished.cells]

    @property
    def codes(self) -> set[str]:
        """Versions of the code that cells ran with."""
        return {cell.code for cell in self._cells}

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Finished cells by place and recipe."""
        return entries_of(self.finished.cells.values())

    @property
    def recipe_bars(self) -> list[RecipeBar]:
        """Those between recipes."""
        return recipe_bars(self.entries)

    @property
    def proofs(self) -> dict[str, bool]:
        """By name of each cell that also ran encrypted: whether it ended as its twin, bit for bit."""
        return {
            name: identical(self.finished.cells[name], encrypted)
            for name, encrypted in self.finished.encrypted.items()
            if name in self.finished.cells
        }

    @property
    def identical(self) -> bool | None:
        """True where every encrypted run ended as its twin; None where there was none."""
        return all(self.proofs.values()) if self.proofs else None

    @property
    def grounds(self) -> tuple[Ground, ...]:
        """Machines that the cells ran on."""
        return grounds_of(self._cells)

    @property
    def _cells(self) -> tuple[FinishedCell, ...]:
        return (*self.finished.cells.values(), *self.finished.encrypted.values())

    def to_json(self) -> dict[str, object]:
        """Everything, for programs."""
        request = self.request
        return {
            "benchmark": "quality",
            "suite": request.suite_name,
            "rows": "validation" if request.validation else "test",
            "overrides": list(request.overrides),
            # Those of the first place; all places stand below.
            "ranks": list(request.suite.settings[0].ranks),
            "limits": asdict(request.suite.settings[0].limits),
            "settings": [_setting_json(setting) for setting in request.suite.settings],
            "model": request.model,
            "model_sha256": request.model_digest,
            "machine": asdict(self.machine),
            "measured_on": {each.words: list(each.cells) for each in self.grounds},
            "code_versions": sorted(self.codes),
            "places": [_place_json(place) for place in self.places],
            "bars": [_bar_json(bar) for bar in self.bars],
            "upload": {recipe: _upload_json(places) for recipe, places in self.recipes.items()},
            "identical": self.identical,
            "encrypted_cell": next(iter(self.proofs), None),
            "encrypted_cells": self.proofs,
            "cells": {cell.name: file_name(cell.name, cell.job) for cell in self._cells},
            "missing": self.missing,
            "failures": dict(self.finished.failures),
            **self._recipes_json(),
        }

    def _recipes_json(self) -> dict[str, object]:
        """Sections of a suite that compares recipes, which the others have not."""
        if self.request.suite.compares != "recipes":
            return {}
        return recipes_json(
            self.entries, self.recipe_bars, unknown=self.request.suite.unknown, searched=self.searched
        )


def _setting_json(setting: Setting) -> dict[str, object]:
    return {"place": setting.name, "ranks": list(setting.ranks), **asdict(setting.limits)}


def _place_json(place: Place) -> dict[str, object]:
    return {
        "place": place.name,
        "recipe": place.recipe,
        "metric": place.metric,
        "rounds": place.rounds,
        "values": {adapter: place.value(adapter) for adapter in SHOWN},
        "baselines": place.baselines,
        "differences": {
            f"{ours} - {theirs}": _difference_json(place.difference(ours, theirs)) for ours, theirs in PAIRS
        },
        "seeds": {str(run.federation.job.seed): _clients_json(run.federation) for run in place.runs},
        "seconds": sum(run.measured.wall_s for run in place.runs),
        "cpu_seconds": sum(run.measured.cpu_s for run in place.runs),
    }


def _clients_json(cell: FinishedCell) -> dict[str, object]:
    return {
        name: {
            "rank": client.rank,
            "train_rows": client.train_rows,
            "validation_rows": client.validation_rows,
            "test_rows": client.test_rows,
            "values": dict(client.values),
            "validation": dict(client.validation),
            "curve": dict(client.curve),
            "baselines": dict(client.baselines),
            "fusion": dict(client.fusion),
        }
        for name, client in cell.measured.clients.items()
    }


def _difference_json(found: Difference | None) -> dict[str, float] | None:
    return None if found is None else {"mean": found.mean, "standard_error": found.error}


def _bar_json(bar: Bar) -> dict[str, object]:
    return {
        "recipe": bar.recipe,
        "bar": bar.what,
        "verdict": "not measured" if bar.verdict is None else bar.verdict.words,
        "places": bar.places,
        "plainly_met": bar.plainly,
        "worst": bar.worst,
        "mean_over_data_sets": _difference_json(bar.mean),
    }


def _upload_json(places: list[Place]) -> dict[str, object]:
    return {
        str(rank): {"up_bytes": up, "float32_bytes": own, "ratio": ratio, "opening_bytes": opening}
        for rank, (up, own, ratio, opening) in uploads(places).items()
    }
