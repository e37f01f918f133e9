"""Tables and notes of a suite that compares recipes.

The rule kept here: whatever a reader needs to judge a row stands beside it or in a note: ranks, rates, target, errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean

from securefl.bench.quality.bars import points
from securefl.bench.quality.rates import RateTable
from securefl.bench.quality.recipe_bars import RecipeBar
from securefl.bench.quality.recipe_figures import Entry, Which, less_default, spread
from securefl.bench.quality.report import QualityReport
from securefl.bench.quality.suite import LEFT_OUT
from securefl.bench.quality.targets import SHARE, words
from securefl.training.figure_order import SMALLER_IS_BETTER

MEGABYTE = 1_000_000
BAR_COLUMNS = ("bar", "verdict", "plainly met", "decided by, points ± SE")
RECIPE_COLUMNS = (
    "recipe",
    "seeds",
    "end ± spread",
    "global",
    "less default ± SE, points",
    "rounds",
    "to target",
    "MB up a client",
    "CPU s",
)
RATE_COLUMNS = ("recipe", "learning rate", "times its own", "tried: figure", "note")
Table = tuple[str, Sequence[str], list[list[str]]]
"""Heading, columns, rows."""


def recipe_tables(report: QualityReport) -> list[Table]:
    """Bars, then a table a place with a row a recipe, then the learning rates."""
    entries = report.entries
    places = dict.fromkeys(entry.place for entry in entries)
    return [
        *_bar_tables(report.recipe_bars),
        *(
            (f"{place}, {_metric(entries, place)}, mean over clients", RECIPE_COLUMNS, _rows(entries, place))
            for place in places
        ),
        *rate_tables(report.searched),
    ]


def recipe_notes(report: QualityReport) -> list[str]:
    """Notes on recipes beside each other."""
    return [
        "Each federation is its recipe as the catalogue has it. 'end' is the adapter that its clients use: fused where "
        "they fuse, else global; of the training alone the tuned local one, of the central training the central one.",
        "A spread is the sample standard deviation over seeds. A standard error of a paired difference is that of the "
        "test rows, or that of the seeds where it is larger.",
        f"'to target' is the first round whose global adapter has {100 * SHARE:.0f} % of central's gain over base, all "
        "three on the clients' validation rows, the mean over seeds; the share was fixed before anything was measured.",
        "Bytes are those of encrypted uploads of all rounds and openings, the mean over clients; seconds are processor "
        "seconds of a whole cell as integer twin, all clients one after the other, measuring included.",
        *_losses_note(report.entries),
        *_ranks_note(report.entries),
        _rates_note(report.searched),
        *_left_out(report),
    ]


def _bar_tables(bars: Sequence[RecipeBar]) -> list[Table]:
    return [
        (
            f"bars with {clients} clients",
            BAR_COLUMNS,
            [_bar_row(bar) for bar in bars if bar.clients == clients],
        )
        for clients in dict.fromkeys(bar.clients for bar in bars)
    ]


def _bar_row(bar: RecipeBar) -> list[str]:
    return [bar.what, bar.verdict, f"{bar.plainly} of {bar.pairs}", bar.deciding]


def _rows(entries: Sequence[Entry], place: str) -> list[list[str]]:
    return [_row(entry, entries) for entry in entries if entry.place == place]


def _row(entry: Entry, entries: Sequence[Entry]) -> list[str]:
    found = less_default(entry, entries)
    return [
        _name(entry),
        str(len(entry.cells)),
        f"{entry.end} {_figure(entry, 'end')}",
        _figure(entry, "global"),
        "" if found is None else points(found),
        str(entry.rounds),
        "" if entry.is_baseline else words(entry.reached),
        "" if entry.is_baseline else f"{entry.up_bytes / MEGABYTE:.2f}",
        f"{entry.cpu_s:.0f}",
    ]


def _figure(entry: Entry, which: Which) -> str:
    values = entry.values(which)
    if values is None:
        return ""
    deviation = spread(values)
    return f"{mean(values):.3f}" + ("" if deviation is None else f" ± {deviation:.3f}")


def _name(entry: Entry) -> str:
    """A recipe's name, and its rank where it has a single one."""
    single = len(set(entry.ranks)) == 1
    return f"{entry.recipe} (rank {entry.ranks[0]})" if single else entry.recipe


def _metric(entries: Iterable[Entry], place: str) -> str:
    return next(entry.cells[0].measured.metric for entry in entries if entry.place == place)


def rate_tables(searched: RateTable | None) -> list[Table]:
    """The learning rates of a search; nothing without one."""
    if searched is None:
        return []
    rows = [
        [
            name,
            f"{found.learning_rate:g}",
            f"{found.factor:g}",
            ", ".join(f"{factor}: {figure:.3f}" for factor, figure in found.figures.items()),
            "at the edge of what was tried" if found.at_edge else "",
        ]
        for name, found in searched.recipes.items()
    ]
    return [("learning rates", RATE_COLUMNS, rows)]


def _losses_note(entries: Sequence[Entry]) -> list[str]:
    metrics = {entry.cells[0].measured.metric for entry in entries} & SMALLER_IS_BETTER
    if not metrics:
        return []
    return [
        f"Of {', '.join(sorted(metrics))} less is better; differences are of what each row counts, more is better, and "
        "a point is a hundredth of it."
    ]


def _ranks_note(entries: Sequence[Entry]) -> list[str]:
    single = {entry.recipe: entry.ranks[0] for entry in entries if len(set(entry.ranks)) == 1}
    if not single:
        return []
    listed = ", ".join(f"{name} (rank {rank})" for name, rank in single.items())
    return [
        f"At one rank, because they refuse mixed ones: {listed}. It is the mean of the others' ranks, halves rounded "
        "up, so that all clients together train about as many parameters."
    ]


def _rates_note(searched: RateTable | None) -> str:
    if searched is None:
        return "No learning rates were searched: every recipe has its own."
    factors = ", ".join(f"{factor:g}" for factor in searched.factors)
    return (
        f"Learning rates: {searched.key} at {factors} times a recipe's own, one cell each on {searched.place}, seed "
        f"{searched.seed}, chosen on {searched.rows}; then fixed everywhere. A recipe that is not in the table has its "
        "own."
    )


def _left_out(report: QualityReport) -> list[str]:
    unknown = report.request.suite.unknown
    said = [f"Recipes that this version does not have: {', '.join(unknown)}."] if unknown else []
    return [
        *said,
        *(f"{name} is left out: {reason}." for name, reason in LEFT_OUT.items()),
        *(f"{name} failed: {reason.rstrip('.')}." for name, reason in report.finished.failures.items()),
    ]
