"""Figures of recipes beside each other, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import mean

from securefl.bench.quality.paired import Difference
from securefl.bench.quality.rates import RateTable
from securefl.bench.quality.recipe_bars import RecipeBar
from securefl.bench.quality.recipe_figures import Entry, Which, less_default, spread
from securefl.bench.quality.suite import LEFT_OUT
from securefl.bench.quality.targets import SHARE


def recipes_json(
    entries: Sequence[Entry], bars: Sequence[RecipeBar], *, unknown: Sequence[str], searched: RateTable | None
) -> dict[str, object]:
    """Every recipe at every place, the bars between them, and the search of their rates.

    Args:
        entries: Recipes at places.
        bars: Between them.
        unknown: Recipes of the suite that this version does not have.
        searched: The search that their rates come from.
    """
    return {
        "target_share": SHARE,
        "recipes": [_entry_json(entry, entries) for entry in entries],
        "recipe_bars": [asdict(bar) for bar in bars],
        "unknown_recipes": list(unknown),
        "left_out_recipes": dict(LEFT_OUT),
        "rates": None if searched is None else searched.model_dump(mode="json"),
    }


def _entry_json(entry: Entry, entries: Sequence[Entry]) -> dict[str, object]:
    return {
        "place": entry.place,
        "clients": entry.clients,
        "recipe": entry.recipe,
        "ranks": list(entry.ranks),
        "seeds": [cell.job.seed for cell in entry.cells],
        "overrides": list(entry.cells[0].job.overrides),
        "end": entry.end,
        "rounds": entry.rounds,
        "end_figure": _figures_json(entry, "end"),
        "global_figure": _figures_json(entry, "global"),
        "less_default": _difference_json(less_default(entry, entries)),
        "target": [
            {"target": each.target, "round": each.round_number, "rounds": each.rounds}
            for each in entry.reached
        ],
        "up_bytes": entry.up_bytes,
        "cpu_seconds": entry.cpu_s,
    }


def _figures_json(entry: Entry, which: Which) -> dict[str, object] | None:
    values = entry.values(which)
    if values is None:
        return None
    return {"mean": mean(values), "spread": spread(values), "seeds": list(values)}


def _difference_json(found: Difference | None) -> dict[str, float] | None:
    return None if found is None else {"mean": found.mean, "standard_error": found.error}
