"""Table of a run's learning curve: the main figure on validation rows after every round, a row a member."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from securefl.cli.tables import figures_table
from securefl.results.curve import START, Figures, LearningCurve
from securefl.training.intervals import wilson

MOST_COLUMNS = 8
"""Rounds shown at most; with these and a name of 20 letters the table has 80 columns."""
MEAN = "mean"
SHARE = "accuracy"


def curve_table(curve: LearningCurve) -> Table:
    """A member's figures round by round, its best one in bold, and the mean over all members below."""
    shown = shown_rounds([point.round_number for point in curve.points], best=curve.best)
    rows = [
        _row(
            name, {point.round_number: point.members[name] for point in curve.points}, curve, shown, best=best
        )
        for name, best in curve.best_round.items()
    ]
    means = {point.round_number: point.mean for point in curve.points}
    return figures_table(
        f"{curve.metric} of global on validation rows, by round",
        ("client", *("start" if number == START else str(number) for number in shown), "best"),
        [*rows, _row(MEAN, means, curve, shown, best=curve.best)],
    )


def curve_notes(curve: LearningCurve) -> list[str]:
    """One line on how far a figure of so few validation rows can be trusted; none where it is no share of rows."""
    last = curve.points[-1].members.values()
    if curve.metric != SHARE or not all("samples" in figures for figures in last):
        return []
    reaches = [_reach(figures[SHARE], round(figures["samples"])) for figures in last]
    fewest, most = (choose(round(figures["samples"]) for figures in last) for choose in (min, max))
    rows = str(fewest) if fewest == most else f"{fewest} to {most}"
    mean = math.sqrt(math.fsum(reach**2 for reach in reaches)) / len(reaches)
    return [
        f"On {rows} validation rows a client's figure is known to about ±{max(reaches):.2f}, the mean to about "
        f"±{mean:.2f} (95 %)."
    ]


def _reach(share: float, rows: int) -> float:
    low, high = wilson(round(share * rows), rows)
    return (high - low) / 2


def shown_rounds(numbers: Sequence[int], *, best: int) -> list[int]:
    """At most ``MOST_COLUMNS`` of some rounds, in order: the first, the last, the best, others at equal distances."""
    if len(numbers) <= MOST_COLUMNS:
        return [*numbers]
    step = (len(numbers) - 1) / (MOST_COLUMNS - 2)
    spread = {numbers[round(position * step)] for position in range(MOST_COLUMNS - 1)}
    return sorted({*spread, best})


def _row(
    name: str, by_round: dict[int, Figures], curve: LearningCurve, shown: Sequence[int], *, best: int
) -> list[Text]:
    cells = [
        Text(f"{by_round[number][curve.metric]:.4f}", style="bold" if number == best else "")
        for number in shown
    ]
    return [Text(name), *cells, Text("start" if best == START else str(best))]
