"""The report of the overhead for people: the same rows on a terminal and in Markdown.

The rule kept here: the headline stands first, with its spread, and beside it what no noise of the training touches.
"""

from __future__ import annotations

from collections.abc import Sequence

from securefl.bench.aggregation.report import BUSY
from securefl.bench.aggregation.tables import BAR_COLUMNS, MIB, bar_cells, markdown_table, measured_on
from securefl.bench.overhead.measurement import PHASES, Variant
from securefl.bench.overhead.report import (
    BASELINE,
    OUTSIDE,
    SUBJECT,
    OverheadReport,
    Ratios,
    Seconds,
    VariantFigures,
)

MEGABYTE = 1_000_000
RATIO_COLUMNS = (
    "times float32",
    "total",
    "lowest",
    "highest",
    "CPU",
    "equal training",
    "as federation",
    "exchange",
)
"""Wall seconds but for CPU; the total of the pairs' median, lowest and highest; had training and evaluation taken as
long as in float32; every client on a machine of its own; all but training and evaluation."""
COST_COLUMNS = (
    "variant",
    "total s",
    "CPU s",
    "exchange s",
    "federation s",
    "MB up",
    "MB down",
    "MiB",
    "accuracy",
)
"""All roles one after the other; the same in CPU seconds; all but training and evaluation; every client on a machine
of its own; bytes of one client in the whole run; peak memory; mean on the clients' test rows."""
Table = tuple[str, Sequence[str], list[list[str]]]
"""Heading, columns, rows."""


def title(report: OverheadReport) -> str:
    """Title of the tables: the thing that was measured."""
    request, run = report.request, report.measured[SUBJECT][0]
    rounds = "1 round" if request.rounds == 1 else f"{request.rounds} rounds"
    return (
        f"{request.name}: {report.clients} clients, {rounds}, payload {run.settings['payload']}, "
        f"training in {run.precision} on one core"
    )


def tables(report: OverheadReport) -> list[Table]:
    """Ratios, costs, seconds by phase, the bar."""
    figures = report.figures()
    parts: list[Table] = [
        (
            title(report),
            RATIO_COLUMNS,
            [_ratio_cells(variant, ratios) for variant, ratios in report.ratios().items()],
        ),
        ("what it took", COST_COLUMNS, [_cost_cells(variant, each) for variant, each in figures.items()]),
        (
            "wall seconds of all roles, by phase",
            ("phase", *figures),
            _phase_rows([each.wall for each in figures.values()]),
        ),
    ]
    if report.busy > BUSY:
        rows = _phase_rows([each.cpu for each in figures.values()])
        parts.append(
            ("the same in CPU seconds, which other programs disturb less", ("phase", *figures), rows)
        )
    return [*parts, ("bar", BAR_COLUMNS, [bar_cells(bar) for bar in report.bars()])]


def notes(report: OverheadReport) -> list[str]:
    """Notes that a reader of the tables has to know, one sentence or two each."""
    ratios = report.ratios()[SUBJECT]
    base = report.figures()[BASELINE]
    spread = (base.highest_total / base.lowest_total - 1) * 100
    said = [
        "Integers and final adapters of the encrypted federation and of its twin are the same, bit for bit."
        if report.identical
        else "The encrypted federation and its twin did NOT end in the same integers and adapters.",
        f"The whole exchange (all but training and evaluation) takes {100 * ratios.exchange_share:.2f} % of float32's "
        f"total; float32's own runs differ from each other by {spread:.1f} %.",
        "prepare and test are in no total; nobody trains a personal adapter.",
        "The bar is stated for four clients of rank 8 with a quarter of BANKING77 each: benchmarks/overhead.toml.",
    ]
    if not report.reproducible:
        said.append(
            "Runs of the same variant ended in different adapters: training is not reproducible here."
        )
    if report.busy > BUSY:
        said.append(
            f"Other programs used this core: wall time was up to {report.busy:.1f} times CPU time. "
            "Take the seconds again on an idle machine."
        )
    return said


def markdown(report: OverheadReport) -> str:
    """The whole report."""
    parts = [
        "# The overhead of an encrypted federation",
        *(
            part
            for heading, columns, rows in tables(report)
            for part in (heading, markdown_table(columns, rows))
        ),
        *notes(report),
        f"{measured_on(report.machine, repeats=report.request.repeats)} "
        "`benchmarks/README.md` says what each variant and phase includes.",
    ]
    return "\n\n".join(parts) + "\n"


def _ratio_cells(variant: Variant, ratios: Ratios) -> list[str]:
    return [
        variant,
        *(
            f"{ratio:.4f}"
            for ratio in (
                ratios.total,
                ratios.lowest,
                ratios.highest,
                ratios.total_cpu,
                ratios.at_equal_training,
                ratios.as_federation,
            )
        ),
        f"{ratios.exchange:.1f}",
    ]


def _cost_cells(variant: Variant, figures: VariantFigures) -> list[str]:
    return [
        variant,
        f"{figures.wall.total:.2f}",
        f"{figures.cpu.total:.2f}",
        f"{figures.wall.exchange:.3f}",
        f"{figures.wall.as_federation:.2f}",
        f"{figures.up_bytes / MEGABYTE:.3f}",
        f"{figures.down_bytes / MEGABYTE:.3f}",
        f"{figures.peak_memory_bytes / MIB:,.0f}",
        f"{figures.accuracy:.4f}",
    ]


def _phase_rows(variants: Sequence[Seconds]) -> list[list[str]]:
    """One row a phase; those outside all totals are marked."""
    return [
        [
            f"({phase})" if phase in OUTSIDE else phase,
            *(f"{seconds.phases[phase]:.4f}" for seconds in variants),
        ]
        for phase in PHASES
    ]
