"""A benchmark's report as one picture: what each path costs in seconds and bytes, on logarithmic axes.

The rule kept here: matplotlib is imported when a picture is drawn and not before, without its global state.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.bench.aggregation.report import SUBJECT, Figures, Report
from securefl.bench.aggregation.tables import title
from securefl.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID, OURS, THEIRS = "#1a1a1a", "#e6e6e6", "#0b6e4f", "#8fa1ad"
SMALLEST = 1e-5
"""Value that smaller ones are drawn as: a logarithmic axis has no zero."""


def can_plot() -> bool:
    """True where matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw(report: Report, path: Path) -> None:
    """Draw the report into a PNG file.

    Raises:
        UsageError: if matplotlib is not installed, or the file cannot be written.
    """
    figures = report.figures()
    panels = _panels(list(figures.values()))
    picture = blank_picture(title(report), height=1.6 + 0.75 * len(figures))
    for axes, (heading, values, form) in zip(picture.subplots(2, 2).flat, panels, strict=True):
        _dots(axes, list(figures), values, form)
        axes.set_title(heading, loc="left", color=INK, fontsize=10)
    save(picture, path)


def blank_picture(heading: str, *, height: float) -> Figure:
    """A picture without panels, so many inches high.

    Raises:
        UsageError: if matplotlib is not installed.
    """
    if not can_plot():
        raise UsageError("matplotlib is not installed", hint="pip install 'securefl[bench]'")
    from matplotlib.figure import Figure

    picture = Figure(figsize=(11, height), layout="constrained")
    picture.suptitle(heading, color=INK, fontsize=11)
    return picture


def save(picture: Figure, path: Path) -> None:
    """Write a picture as PNG.

    Raises:
        UsageError: if the file cannot be written.
    """
    try:
        picture.savefig(path, dpi=150)
    except OSError as error:
        raise UsageError(f"{path} cannot be written", hint=str(error.strerror)) from None


def plain(axes: Axes) -> None:
    """No frame, a light grid behind what is drawn."""
    axes.tick_params(which="both", labelsize=8, labelcolor=INK, length=0)
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    axes.grid(visible=True, color=GRID)
    axes.set_axisbelow(True)


def _panels(figures: Sequence[Figures]) -> list[tuple[str, list[float], str]]:
    """Heading, values and the form of their labels, for each of the four panels."""
    times = [path.per_million_values for path in figures]
    return [
        ("client, seconds", [each.client_s for each in times], "{:.2g}"),
        ("server, seconds a contribution", [each.server_s_per_contribution for each in times], "{:.2g}"),
        ("decrypt (cold), seconds", [each.decrypt_s for each in times], "{:.2g}"),
        (
            "bytes up and down, a value",
            [path.up_bytes_per_value + path.down_bytes_per_value for path in figures],
            "{:.1f}",
        ),
    ]


def _dots(axes: Axes, names: Sequence[str], values: Sequence[float], form: str) -> None:
    """One dot a path: on a logarithmic axis, which has no zero, a bar's length would say nothing."""
    places = range(len(names))
    drawn = [max(value, SMALLEST) for value in values]
    axes.scatter(drawn, places, color=[OURS if name == SUBJECT else THEIRS for name in names], s=60, zorder=3)
    for place, (value, position) in enumerate(zip(values, drawn, strict=True)):
        axes.annotate(
            form.format(value),
            (position, place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK,
        )
    axes.set_yticks(places, names)
    axes.set_xscale("log")
    # Room for the label behind the last dot, and a left edge a little before the first.
    axes.set_xlim(min(drawn) / 3, max(drawn) * 8)
    axes.invert_yaxis()
    plain(axes)
