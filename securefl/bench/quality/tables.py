"""The report of quality for people: the same rows on a terminal and in Markdown.

The rule kept here: the bars stand first, missed ones included; and the notes say on which rows everything was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

from securefl.bench.aggregation.tables import markdown_table
from securefl.bench.quality.bars import COMPARED, Bar, Compared, points
from securefl.bench.quality.cell_figures import Adapter, Place, uploads
from securefl.bench.quality.recipe_tables import Table, recipe_notes, recipe_tables
from securefl.bench.quality.report import SHOWN, QualityReport
from securefl.bench.quality.suite import CENTRAL, DataSet
from securefl.bench.quality.where_measured import sentence

KILOBYTE = 1000
MOST_NAMES = 6
BAR_COLUMNS = ("bar", "verdict", "plainly met", "worst", "mean ± SE, points")
VALUE_COLUMNS = ("place", "rounds", "base", "tuned local", "global", "fused", "better", "central", "seconds")
GAP_COLUMNS = (
    "difference ± SE, points",
    "global - base",
    "global - local",
    "fused - best",
    "fused - base",
    "fused - local",
    "global - central",
)
GAPS: tuple[tuple[Adapter, Adapter], ...] = (
    ("global", "base"),
    ("global", "local"),
    ("fused", "best"),
    ("fused", "base"),
    ("fused", "local"),
    ("global", "central"),
)
UPLOAD_COLUMNS = ("rank", "kB up a round", "kB own float32", "times", "kB openings")


def title(report: QualityReport) -> str:
    """Title of the tables: the thing that was measured."""
    settings = report.request.suite.settings
    rows = "validation" if report.request.validation else "test"
    cohorts = dict.fromkeys(setting.ranks for setting in settings)
    limits = settings[0].limits
    return (
        f"{' or '.join(_cohort(ranks) for ranks in cohorts)}; at most {limits.train:,} training and "
        f"{limits.test:,} {rows} rows in all"
    )


def _cohort(ranks: Sequence[int]) -> str:
    return f"{len(ranks)} clients of ranks {', '.join(map(str, dict.fromkeys(ranks)))}"


def tables(report: QualityReport) -> list[Table]:
    """Bars, metrics, differences and bytes, for every recipe; or recipes beside each other, where the suite says so."""
    if report.request.suite.compares == "recipes":
        return recipe_tables(report)
    parts: list[Table] = []
    for recipe, places in report.recipes.items():
        bars = [bar for bar in report.bars if bar.recipe == recipe]
        parts += [
            (f"bars of recipe {recipe}", BAR_COLUMNS, [_bar_cells(bar) for bar in bars]),
            (
                f"recipe {recipe}, {places[0].metric}, mean over clients",
                VALUE_COLUMNS,
                [_value_cells(place) for place in places],
            ),
            (
                f"recipe {recipe}, paired differences",
                GAP_COLUMNS,
                [[place.name, *(_gap(place, *gap) for gap in GAPS)] for place in places],
            ),
            *_baselines(recipe, places),
            (f"recipe {recipe}, bytes of one client", UPLOAD_COLUMNS, _upload_rows(places)),
        ]
    return parts


def notes(report: QualityReport) -> list[str]:
    """Notes that a reader of the tables has to know, one sentence or two each."""
    beside = recipe_notes(report) if report.request.suite.compares == "recipes" else _adapter_notes()
    return [*_method(report), *beside, *_identity(report), *_gaps_of_the_run(report)]


def markdown(report: QualityReport) -> str:
    """The whole report."""
    parts = [
        "# Quality: what the adapters of a federation are worth",
        f"{title(report)}.",
        *(
            part
            for heading, columns, rows in tables(report)
            if rows
            for part in (f"**{heading}**", markdown_table(columns, rows))
        ),
        "\n".join(f"- {note}" for note in notes(report)),
        f"{sentence(report.grounds)} `benchmarks/README.md` says how the figures are made.",
    ]
    return "\n\n".join(parts) + "\n"


def _method(report: QualityReport) -> list[str]:
    rows = (
        "Test rows are rows held out of training (the set's validation rows, then training rows that were not drawn); "
        "no test file was opened."
        if report.request.validation
        else judged_rows([*dict.fromkeys(setting.data for setting in report.request.suite.settings)])
    )
    return [
        rows,
        "Chosen on validation rows alone (15 % of each client's training rows): the personal adapter's settings, the "
        "fusion, 'better' (the one of local and global that they prefer), and the central training's rates (pooled).",
        f"Seeds: {', '.join(map(str, sorted({cell.seed for cell in report.request.cells})))}.",
    ]


def judged_rows(sets: Sequence[DataSet]) -> str:
    """A sentence on the rows that adapters are judged on, of data sets with a test file and of those without one."""
    spare = [data.name for data in sets if not data.own_test]
    own = "Test rows are the set's own, dealt to the clients by the proportions of their training rows"
    if not spare:
        return f"{own}."
    without = f"{', '.join(spare)}, which has no test file: training rows that nobody trains on"
    return f"Test rows of {without}." if len(spare) == len(sets) else f"{own}; of {without}."


def _adapter_notes() -> list[str]:
    """Notes on the adapters of one federation beside each other."""
    return [
        "base, tuned local and fused know a client's mix of labels, because they are trained or fitted on its rows; "
        "central is one model for all clients. global is the same adapter at every client, cut to its rank; its head "
        "differs in the rows of labels that stay at home, and by two numbers that calibration fits to a client, where "
        "its recipe has them.",
        "'best' is the one of tuned local and global whose mean over clients is higher on these same rows: a yardstick "
        "that nobody could have chosen beforehand.",
        "A standard error is that of the mean over clients of paired differences, each client weighing the same; it "
        "covers the choice of the rows, not another seed's training. 'met within 2 SE' means: below the bar, by no "
        "more than two of them. Means over data sets take splits and seeds of one set to err together.",
    ]


def _identity(report: QualityReport) -> list[str]:
    proofs = report.proofs
    if not proofs:
        return ["Every cell ran as the integer twin, without a cipher; none ran encrypted."]
    same = [name for name, equal in proofs.items() if equal]
    said = (
        f"Cells ran as integer twins; also encrypted, with the same integers in every round and the same adapters at "
        f"every client, bit for bit: {', '.join(same) or 'none'}."
    )
    differing = [name for name in proofs if name not in same]
    return [said, *([f"NOT the same integers and adapters: {', '.join(differing)}."] if differing else [])]


def _gaps_of_the_run(report: QualityReport) -> list[str]:
    said = []
    if report.request.overrides:
        said.append(f"Keys set beside the recipes: {', '.join(report.request.overrides)}.")
    if report.missing:
        said.append(f"Cells without figures: {_few(report.missing)}.")
    if len(report.codes) > 1:
        said.append("Cells were run by different versions of the code; each file names its own.")
    central = {cell.job.seed for cell in report.finished.cells.values() if cell.job.recipe == CENTRAL}
    if not central:
        said.append("There is no central training to compare with.")
    return said


def _few(names: Sequence[str]) -> str:
    """The names, or the first ones and how many more there are."""
    rest = len(names) - MOST_NAMES
    return ", ".join(names) if rest <= 1 else f"{', '.join(names[:MOST_NAMES])} and {rest} more"


def _bar_cells(bar: Bar) -> list[str]:
    return [
        bar.what,
        "not measured" if bar.verdict is None else bar.verdict.words,
        f"{bar.plainly} of {bar.places}",
        bar.worst,
        "" if bar.mean is None else points(bar.mean),
    ]


def _value_cells(place: Place) -> list[str]:
    return [
        place.name,
        str(place.rounds),
        *(_number(place.value(adapter)) for adapter in SHOWN),
        f"{sum(run.measured.wall_s for run in place.runs):.0f}",
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _gap(place: Place, ours: Adapter, theirs: Adapter) -> str:
    found = place.difference(ours, theirs)
    if found is None:
        return ""
    bars = [bar for bar in COMPARED if _is_about(bar, place, ours, theirs)]
    return f"{points(found)}{''.join(f' ({bar.verdict(found).words})' for bar in bars)}"


def _is_about(bar: Compared, place: Place, ours: Adapter, theirs: Adapter) -> bool:
    return (bar.ours, bar.theirs) == (ours, theirs) and bar.holds_at(place.split)


def _baselines(recipe: str, places: Sequence[Place]) -> list[Table]:
    """Figures that the members report beside their columns, where they do."""
    names = list(dict.fromkeys(name for place in places for name in place.baselines))
    if not names:
        return []
    columns = ("place", "fused", *(name.replace("_", " ") for name in names))
    rows = [
        [place.name, _number(place.value("fused")), *(_number(place.baselines.get(name)) for name in names)]
        for place in places
    ]
    return [(f"recipe {recipe}, baselines of the fusion", columns, rows)]


def _upload_rows(places: Sequence[Place]) -> list[list[str]]:
    return [
        [
            str(rank),
            f"{up / KILOBYTE:,.0f}",
            f"{own / KILOBYTE:,.0f}",
            f"{ratio:.2f}",
            f"{opening / KILOBYTE:,.0f}",
        ]
        for rank, (up, own, ratio, opening) in uploads(places).items()
    ]
