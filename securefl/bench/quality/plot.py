"""The report of quality as one picture: every place's adapters, and the differences that the bars are about.

The rule kept here: differences are drawn with two standard errors to each side, beside the bar itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.bench.aggregation.plot import INK, OURS, THEIRS, blank_picture, plain, save
from securefl.bench.quality.cell_figures import Adapter, Place
from securefl.bench.quality.report import QualityReport
from securefl.bench.quality.tables import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: dict[Adapter, str] = {
    "base": THEIRS,
    "local": "#c9a227",
    "global": OURS,
    "fused": "#3b5b92",
    "central": INK,
}
DRAWN_GAPS: tuple[tuple[Adapter, Adapter, float], ...] = (
    ("global", "base", 0.0),
    ("global", "local", 0.0),
    ("fused", "best", -0.005),
    ("global", "central", -0.02),
)
"""One adapter, another one, and the bar of their difference."""


def draw(report: QualityReport, path: Path) -> None:
    """Draw the report into a PNG file.

    Raises:
        UsageError: if matplotlib is not installed, or the file cannot be written.
    """
    if report.request.suite.compares == "recipes":
        from securefl.bench.quality.recipe_plot import draw_recipes

        draw_recipes(report, path)
        return
    recipes = report.recipes
    most = max(len(places) for places in recipes.values())
    picture = blank_picture(title(report), height=(1.2 + 0.42 * most) * len(recipes))
    panels = picture.subplots(
        len(recipes), 1 + len(DRAWN_GAPS), width_ratios=[2.2, *[1] * len(DRAWN_GAPS)], squeeze=False
    )
    for row, (recipe, places) in zip(panels, recipes.items(), strict=True):
        _values(row[0], recipe, places)
        for axes, (ours, theirs, bar) in zip(row[1:], DRAWN_GAPS, strict=True):
            _gaps(axes, places, ours, theirs, bar=bar)
    save(picture, path)


def _values(axes: Axes, recipe: str, places: Sequence[Place]) -> None:
    """A row a place, a dot an adapter."""
    for adapter, colour in COLOURS.items():
        known = [
            (row, value) for row, place in enumerate(places) if (value := place.value(adapter)) is not None
        ]
        if known:
            rows, values = zip(*known, strict=True)
            marker = "|" if adapter == "central" else "o"
            axes.scatter(values, rows, s=55, color=colour, marker=marker, label=adapter, zorder=3, alpha=0.85)
    axes.set_yticks(range(len(places)), [place.name for place in places])
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_title(f"recipe {recipe}: {places[0].metric}", loc="left", color=INK, fontsize=10)
    axes.legend(frameon=False, fontsize=7, loc="best")
    plain(axes)


def _gaps(axes: Axes, places: Sequence[Place], ours: Adapter, theirs: Adapter, *, bar: float) -> None:
    """A row a place, its difference in points with two standard errors."""
    for row, place in enumerate(places):
        found = place.difference(ours, theirs)
        if found is not None:
            colour = OURS if found.reaches(bar) else "#b3402e"
            axes.errorbar(
                100 * found.mean,
                row,
                xerr=200 * found.error,
                fmt="o",
                color=colour,
                markersize=5,
                capsize=3,
                zorder=3,
            )
    axes.axvline(100 * bar, color=INK, linewidth=1, linestyle="--", zorder=2)
    axes.set_yticks(range(len(places)), [""] * len(places))
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_title(f"{ours} - {theirs}, points", loc="left", color=INK, fontsize=9)
    plain(axes)
