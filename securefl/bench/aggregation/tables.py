"""A benchmark's report for people: the same rows on a terminal and in Markdown.

The rule kept here: seconds are those for a million values, so that runs of different sizes can be compared; a path
without figures has a row that says why.
"""

from __future__ import annotations

from collections.abc import Sequence

from securefl.bench.aggregation.benchmark import Outcome
from securefl.bench.aggregation.report import (
    BAR_BITS,
    BAR_COHORT,
    BUSY,
    MILLION,
    Bar,
    Figures,
    Report,
    Times,
    key_round_of,
)
from securefl.bench.host import Machine

MIB = 1 << 20
COLUMNS = ("path", "client s", "server ms", "cold s", "warm s", "up B", "down B", "max error", "MiB")
"""Seconds of one client; milliseconds of the server for one contribution; decryption, with nothing done beforehand
and with seeds expanded; bytes a value; largest error of a value of the mean; peak memory."""
BAR_COLUMNS = ("bar", "at most", "measured", "CPU", "")


def path_tables(report: Report) -> list[tuple[str, list[list[str]]]]:
    """Headings, and rows under ``COLUMNS``, one a measured path; in CPU seconds too if the core was shared."""
    figures = report.figures()
    tables = [
        (title(report), [_cells(name, each, each.per_million_values) for name, each in figures.items()])
    ]
    if report.busy > BUSY:
        scale = MILLION / report.request.values
        rows = [_cells(name, each, each.cpu.times(scale)) for name, each in figures.items()]
        tables.append(("the same in CPU seconds, which other programs disturb less", rows))
    return tables


def bar_rows(report: Report) -> list[list[str]]:
    """One row a bar, under ``BAR_COLUMNS``."""
    return [bar_cells(bar) for bar in report.bars()]


def title(report: Report) -> str:
    """Title of the tables: the thing that was measured."""
    request = report.request
    return (
        f"{request.cohort} clients, {request.values:,} values each, {request.precision_bits} bits; "
        "seconds a million values"
    )


def notes(report: Report) -> list[str]:
    """Notes that a reader of the tables has to know, one sentence or two each."""
    return [
        *map(_absence, _without_figures(report.outcomes)),
        *_remarks(report),
        *_key_rounds(report.outcomes),
    ]


def markdown(report: Report) -> str:
    """The whole report."""
    parts = [
        "# Aggregation on one core",
        *(part for heading, rows in path_tables(report) for part in (heading, markdown_table(COLUMNS, rows))),
        *notes(report),
        markdown_table(BAR_COLUMNS, bar_rows(report)) if report.bars() else "",
        f"{measured_on(report.machine, repeats=report.request.repeats)} "
        "`benchmarks/README.md` says what each path includes.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def bar_cells(bar: Bar) -> list[str]:
    """A bar's row, under ``BAR_COLUMNS``."""
    cpu = "" if bar.cpu is None else _number(bar.cpu)
    return [
        f"{bar.what}, {bar.unit}",
        f"{bar.limit:g}",
        _number(bar.measured),
        cpu,
        "met" if bar.met else "not met",
    ]


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column holds names, and the others figures."""
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (columns, rule, *rows))


def measured_on(machine: Machine, *, repeats: int) -> str:
    """Place, time and number of runs, in one sentence."""
    return (
        f"Measured on {machine.cpu}, {machine.cores} cores, {machine.memory_bytes / (1 << 30):.0f} GiB, "
        f"{machine.system}, Python {machine.python}; load before the start {machine.load_before:g}; "
        f"median of {repeats}."
    )


def _cells(name: str, figures: Figures, seconds: Times) -> list[str]:
    server_ms = 1000 * seconds.server_s_per_contribution
    return [
        name,
        f"{seconds.client_s:.3f}",
        f"{server_ms:.1f}" if server_ms < 100 else f"{server_ms:.0f}",
        f"{seconds.decrypt_s:.3f}",
        f"{seconds.decrypt_warm_s:.3f}",
        f"{figures.up_bytes_per_value:.2f}",
        f"{figures.down_bytes_per_value:.2f}",
        f"{figures.max_error:.1e}",
        f"{figures.peak_memory_bytes / MIB:,.0f}",
    ]


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _without_figures(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if not outcome.measured]


def _absence(outcome: Outcome) -> str:
    if outcome.not_run:
        return f"{outcome.name}: not run, {outcome.not_run}."
    return f"{outcome.name}: failed, {outcome.failure}."


def _key_rounds(outcomes: Sequence[Outcome]) -> list[str]:
    """Costs of one-time keys, one sentence or two a path that has them."""
    return [
        f"{outcome.name}, one-time keys, a member and round, beside these figures: "
        f"{1000 * keys.deal_s:.1f} ms to share and seal, {1000 * keys.open_s:.1f} ms to open the others' packets, "
        f"{1000 * keys.reveal_s:.1f} ms to reveal, {1000 * keys.combine_s:.1f} ms to combine {keys.reveals} reveals. "
        f"It sends packets of {keys.packets_bytes:,} bytes and gets as many; "
        f"its acknowledgement has {keys.acknowledgement_bytes:,} bytes, the certificate "
        f"{keys.certificate_bytes:,}, a reveal {keys.reveal_bytes:,}."
        for outcome in outcomes
        if outcome.measured and (keys := key_round_of(outcome)) is not None
    ]


def _remarks(report: Report) -> list[str]:
    exact = [name for name, figures in report.figures().items() if figures.max_integer_error == 0]
    remarks = []
    if exact:
        remarks.append(
            f"Sums of {' and '.join(exact)} equal those of the integers that were put in, bit for bit: "
            "their max error is the grid's rounding, beforehand."
        )
    if report.busy > BUSY:
        remarks.append(
            f"Other programs used this core: wall time was up to {report.busy:.1f} times CPU time. "
            "Take the seconds again on an idle machine."
        )
    request = report.request
    if report.bars() and (request.cohort, request.precision_bits) != (BAR_COHORT, BAR_BITS):
        remarks.append(
            f"The bars are stated for {BAR_COHORT} clients at {BAR_BITS} bits (upload also at 12 bits)."
        )
    return remarks
