"""Recipes beside each other as one picture: a panel a place, a row a recipe.

The rule kept here: a figure over several seeds is drawn with its spread, one seed's with none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from securefl.bench.aggregation.plot import INK, OURS, THEIRS, blank_picture, plain, save
from securefl.bench.quality.recipe_figures import Entry, less_default, spread
from securefl.bench.quality.recipe_tables import MEGABYTE
from securefl.bench.quality.report import QualityReport
from securefl.bench.quality.tables import title
from securefl.config.recipes.choices import DEFAULT

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_recipes(report: QualityReport, path: Path) -> None:
    """Draw the report into a PNG file.

    Raises:
        UsageError: if matplotlib is not installed, or the file cannot be written.
    """
    places: dict[str, list[Entry]] = {}
    for entry in report.entries:
        places.setdefault(entry.place, []).append(entry)
    most = max(map(len, places.values()))
    picture = blank_picture(title(report), height=(1.2 + 0.3 * most) * len(places))
    panels = picture.subplots(len(places), 3, squeeze=False)
    for row, (place, entries) in zip(panels, places.items(), strict=True):
        _ends(row[0], place, entries)
        _differences(row[1], entries)
        _bytes(row[2], entries)
    save(picture, path)


def _ends(axes: Axes, place: str, entries: Sequence[Entry]) -> None:
    for row, entry in enumerate(entries):
        values = entry.values("end")
        if values is not None:
            _dot(axes, row, mean(values), spread(values), colour=_colour(entry))
    axes.set_yticks(range(len(entries)), [entry.recipe for entry in entries])
    _finish(axes, f"{place}: {entries[0].cells[0].measured.metric}, mean ± spread", rows=len(entries))


def _differences(axes: Axes, entries: Sequence[Entry]) -> None:
    for row, entry in enumerate(entries):
        found = less_default(entry, entries)
        if found is not None:
            _dot(axes, row, 100 * found.mean, 200 * found.error, colour=_colour(entry))
    axes.axvline(0, color=INK, linewidth=1, linestyle="--", zorder=2)
    axes.set_yticks(range(len(entries)), [""] * len(entries))
    _finish(axes, "less default, points ± 2 SE", rows=len(entries))


def _bytes(axes: Axes, entries: Sequence[Entry]) -> None:
    for row, entry in enumerate(entries):
        if not entry.is_baseline:
            axes.scatter(entry.up_bytes / MEGABYTE, row, s=40, color=_colour(entry), zorder=3)
    axes.set_yticks(range(len(entries)), [""] * len(entries))
    axes.set_xlim(left=0)
    _finish(axes, "MB up a client", rows=len(entries))


def _dot(axes: Axes, row: int, value: float, error: float | None, *, colour: str) -> None:
    axes.errorbar(value, row, xerr=error, fmt="o", color=colour, markersize=5, capsize=3, zorder=3)


def _finish(axes: Axes, heading: str, *, rows: int) -> None:
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_title(heading, loc="left", color=INK, fontsize=9)
    plain(axes)


def _colour(entry: Entry) -> str:
    if entry.is_baseline:
        return INK
    return OURS if entry.recipe == DEFAULT else THEIRS
