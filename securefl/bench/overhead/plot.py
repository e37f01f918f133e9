"""The report of the overhead as one picture: totals beside each other, and every phase of every variant.

The rule kept here: totals stand on an axis that begins at zero, phases on a logarithmic one, because they differ by
factors of thousands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from securefl.bench.aggregation.plot import INK, OURS, SMALLEST, THEIRS, blank_picture, plain, save
from securefl.bench.overhead.measurement import Variant
from securefl.bench.overhead.report import (
    BASELINE,
    EXCHANGE,
    INSIDE,
    RATIO_BAR,
    SUBJECT,
    OverheadReport,
    VariantFigures,
)
from securefl.bench.overhead.tables import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: dict[Variant, str] = {"float32": THEIRS, "integer_twin": "#c9a227", "encrypted": OURS}


def draw(report: OverheadReport, path: Path) -> None:
    """Draw the report into a PNG file.

    Raises:
        UsageError: if matplotlib is not installed, or the file cannot be written.
    """
    figures = report.figures()
    picture = blank_picture(title(report), height=5.2)
    totals, phases = picture.subplots(1, 2, width_ratios=[1, 1.4])
    _totals(totals, figures, ratio=report.ratios()[SUBJECT].total)
    _phases(phases, figures)
    save(picture, path)


def _totals(axes: Axes, figures: dict[Variant, VariantFigures], *, ratio: float) -> None:
    """One bar a variant, with the span of its runs and the promise as a line."""
    names = list(figures)
    axes.bar(
        names,
        [each.wall.total for each in figures.values()],
        color=[COLOURS[name] for name in names],
        yerr=(
            [each.wall.total - each.lowest_total for each in figures.values()],
            [each.highest_total - each.wall.total for each in figures.values()],
        ),
        ecolor=INK,
        capsize=4,
        width=0.55,
        zorder=3,
    )
    bar = RATIO_BAR * figures[BASELINE].wall.total
    axes.axhline(bar, color=INK, linewidth=1, linestyle="--", zorder=4)
    # To the right of the last bar there is nothing that the words could cover.
    axes.set_xlim(-0.5, len(names) - 0.1)
    axes.annotate(
        f"{RATIO_BAR:g} x",
        (len(names) - 0.65, bar),
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=8,
        color=INK,
    )
    axes.set_ylim(0, 1.15 * max(bar, *(each.highest_total for each in figures.values())))
    heading = f"wall seconds in all; {SUBJECT} is {ratio:.3f} times {BASELINE}"
    axes.set_title(heading, loc="left", color=INK, fontsize=10)
    plain(axes)


def _phases(axes: Axes, figures: dict[Variant, VariantFigures]) -> None:
    """A row a phase, a dot a variant, model's work on top."""
    order = [*(phase for phase in INSIDE if phase not in EXCHANGE), *EXCHANGE]
    for variant, each in figures.items():
        seconds = [max(each.wall.phases[phase], SMALLEST) for phase in order]
        axes.scatter(
            seconds, range(len(order)), s=50, color=COLOURS[variant], label=variant, zorder=3, alpha=0.85
        )
    axes.set_yticks(range(len(order)), order)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_title("wall seconds of all roles, by phase", loc="left", color=INK, fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    plain(axes)
