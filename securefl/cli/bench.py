"""``securefl bench``: costs beside doing without them and beside what others offer."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securefl.errors import ConfigError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from securefl.cli.quality import QualityOptions

PEERS = ("nvflare", "flower")
JsonPath = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="PATH",
        help="Also write the result as JSON here, a table (.md) and a plot (.png) beside it; - is stdout.",
    ),
]

app = typer.Typer(name="bench", invoke_without_command=True, rich_markup_mode="markdown")


@app.callback(
    epilog="Example: `securefl bench aggregation --cohort 16` measures every way of adding updates."
)
def bench(context: typer.Context) -> None:
    """Measure what things cost, beside doing without them and beside what others offer."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("aggregation")
def aggregation(
    values: Annotated[
        int, typer.Option(min=1, metavar="N", help="Values of one client's update.")
    ] = 1_000_000,
    cohort: Annotated[int, typer.Option(min=3, max=1000, metavar="N", help="How many clients.")] = 4,
    precision_bits: Annotated[
        int, typer.Option(min=8, max=24, metavar="BITS", help="Width of a value on securefl's grid.")
    ] = 16,
    repeats: Annotated[int, typer.Option(min=1, metavar="N", help="Rounds of each path.")] = 3,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PYTHON",
            help="Also measure nvflare or flower, by an interpreter that has it; make peers builds both.",
        ),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this path; say it again for another one. All, if not given."),
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=1, metavar="SECONDS", help="For one round of one path.")
    ] = 1800.0,
    json_path: JsonPath = None,
) -> None:
    """Measure every way of adding a cohort's updates, in turn, on one core: seconds, bytes, errors, memory.

    Beside securefl: plain float32, securefl's own integers without a cipher, CKKS as TenSEAL's tutorial has it, and
    peers' real code in their own environments.

    **Example:** securefl bench aggregation --cohort 16 --json out.json --peer nvflare=.venvs/nvflare/bin/python
    """
    from securefl.bench.aggregation.benchmark import Request, run_aggregation
    from securefl.bench.aggregation.plot import draw
    from securefl.bench.aggregation.report import Report
    from securefl.bench.aggregation.tables import BAR_COLUMNS, COLUMNS, bar_rows, markdown, notes, path_tables
    from securefl.bench.host import this_machine
    from securefl.cli.output import check_json_path, progress_console, write_json
    from securefl.results.formats import stamped

    check_json_path(json_path)
    _check_companions(json_path)
    request = Request(
        values=values,
        cohort=cohort,
        precision_bits=precision_bits,
        repeats=repeats,
        timeout_s=timeout_s,
        peers=_peers(peer or ()),
        paths=tuple(path or ()),
    )
    machine = this_machine()
    console = progress_console()
    outcomes = run_aggregation(request, line_sink=lambda line: console.print(line, markup=False))
    report = Report(request, machine, outcomes)
    paths = [(heading, COLUMNS, rows) for heading, rows in path_tables(report)]
    _show((*paths, ("bars", BAR_COLUMNS, bar_rows(report))), notes(report), json_path)
    write_json(stamped(report.to_json()), json_path)
    _write_companions(markdown(report), partial(draw, report) if report.figures() else None, json_path)
    failed = [outcome.name for outcome in outcomes if outcome.failure]
    if failed:
        raise RunError(f"{', '.join(failed)} could not be measured", hint="the reasons stand above")


@app.command("overhead")
def overhead(
    federation: Annotated[
        Path, typer.Argument(metavar="FED.toml", help="What the federation is; its scheme is not used.")
    ],
    rounds: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Rounds of each run, if not the federation's.")
    ] = None,
    repeats: Annotated[int, typer.Option("--repeat", min=1, metavar="K", help="Runs of each variant.")] = 3,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=1, metavar="SECONDS", help="For one run of one variant.")
    ] = 3600.0,
    json_path: JsonPath = None,
) -> None:
    """Run one federation in float32, as integers without a cipher, and encrypted, in turn, on one core.

    Reports seconds by phase, bytes, memory and accuracy, and how many times float32 the other two take.

    **Example:** securefl bench overhead benchmarks/overhead.toml --repeat 3 --json overhead.json
    """
    from securefl.bench.host import this_machine
    from securefl.bench.overhead.benchmark import OverheadRequest, run_overhead
    from securefl.bench.overhead.plot import draw
    from securefl.bench.overhead.report import OverheadReport
    from securefl.bench.overhead.tables import markdown, notes, tables
    from securefl.cli.output import check_json_path, progress_console, write_json
    from securefl.config import load_federation
    from securefl.results.formats import stamped

    check_json_path(json_path)
    _check_companions(json_path)
    config = load_federation(federation)
    request = OverheadRequest(
        federation=federation,
        name=config.federation.name,
        rounds=config.federation.rounds if rounds is None else rounds,
        repeats=repeats,
        timeout_s=timeout_s,
    )
    machine = this_machine()
    console = progress_console()
    measured = run_overhead(request, line_sink=lambda line: console.print(line, markup=False))
    report = OverheadReport(request, machine, measured)
    _show(tables(report), notes(report), json_path)
    write_json(stamped(report.to_json()), json_path)
    _write_companions(markdown(report), partial(draw, report), json_path)
    if not report.identical:
        raise RunError(
            "the encrypted federation and its integer twin differ",
            hint="their integers' digests stand in the result",
        )


@app.command("quality")
def quality(
    suite: Annotated[str, typer.Option(metavar="NAME", help="Data sets, splits and recipes.")] = "default",
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder with a folder for each data set.")] = Path(
        "../shared/data"
    ),
    model: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Base model: a folder, a hub id, or package:NAME; else the suite's."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the report and of finished cells; else benchmarks/results/quality, or quality-SUITE.",
        ),
    ] = None,
    rates: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Learning rates that --search has found, or will find; else "
            "benchmarks/results/quality-rates.json, or quality-rates-tasks.json.",
        ),
    ] = None,
    search: Annotated[
        bool,
        typer.Option(
            "--search", help="Search the learning rate of each recipe instead, and write them to --rates."
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CELL", help="Run only these, such as banking77-iid or banking77."),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            "--recipes",
            metavar="NAME",
            help="Run only these recipes, several in one word with commas; central and local are trainings "
            "without a federation.",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Seeds of every cell, if not the suite's.")
    ] = None,
    train_rows: Annotated[
        int | None,
        typer.Option(min=10, metavar="N", help="Most training rows of a cell, all clients together."),
    ] = None,
    test_rows: Annotated[
        int | None, typer.Option(min=10, metavar="N", help="Most test rows of a cell, if not the suite's.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a key of every FED.toml, to tune it."),
    ] = None,
    validation: Annotated[
        bool, typer.Option("--validation", help="Measure on rows held out of training; open no test file.")
    ] = False,
    identity: Annotated[
        bool,
        typer.Option(
            "--identity",
            help="Run the smallest federation encrypted as well, or one of each recipe; compare.",
        ),
    ] = False,
    any_code: Annotated[
        bool, typer.Option("--any-code", help="Take finished cells of other versions of the code, too.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Cells at a time, one thread each.")] = 1,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=1, metavar="SECONDS", help="For one cell.")
    ] = 7200.0,
) -> None:
    """Measure what the adapters of federations are worth, beside training alone and training centrally.

    Every cell is a whole federation in a process of its own. A finished cell is kept and not run again unless its
    options, its data or the code have changed. Suites: default, recipes, clients, tasks.

    **Example:** securefl bench quality --only hwu64-dirichlet --jobs 2
    """
    from securefl.cli.quality import QualityOptions

    options = QualityOptions(
        suite=suite,
        data=data,
        model=model,
        out=out,
        rates=rates,
        only=tuple(only or ()),
        recipes=_words(recipe),
        seeds=seeds,
        train_rows=train_rows,
        test_rows=test_rows,
        overrides=tuple(settings or ()),
        validation=validation,
        identity=identity,
        any_code=any_code,
        jobs=jobs,
        timeout_s=timeout_s,
    )
    if search:
        _search(options)
    else:
        _measure(options)


def _words(given: Sequence[str] | None) -> tuple[str, ...]:
    """Names that were given one by one, or several with commas."""
    return tuple(name for text in given or () for name in text.split(",") if name)


def _search(options: QualityOptions) -> None:
    from securefl.bench.quality.recipe_tables import rate_tables
    from securefl.cli.quality import search_quality

    table, failures = search_quality(options)
    _show(rate_tables(table), [f"Written to {options.rates_file}; later cells read it there."], None)
    _refuse_failures(failures)


def _measure(options: QualityOptions) -> None:
    from securefl.bench.quality.tables import notes, tables
    from securefl.cli.quality import measure_quality

    report = measure_quality(options)
    _show(tables(report), notes(report), None)
    _refuse_failures(report.finished.failures)
    if report.identical is False:
        raise RunError("an encrypted federation and its integer twin differ", hint="their files tell where")


def _refuse_failures(failures: Mapping[str, str]) -> None:
    if failures:
        raise RunError(
            f"{len(failures)} cells could not be measured: {', '.join(failures)}",
            hint="the reasons stand above; the same command runs them again",
        )


def _peers(given: Sequence[str]) -> dict[str, Path]:
    """The interpreters of the peers that are to run."""
    peers: dict[str, Path] = {}
    for text in given:
        name, separator, python = text.partition("=")
        if not separator or name not in PEERS:
            raise ConfigError(
                f"'{text}' names no peer and its interpreter",
                where="--peer",
                hint=f"give {' or '.join(f'{peer}=PYTHON' for peer in PEERS)}",
            )
        found = shutil.which(python)
        if found is None:
            raise ConfigError(
                f"{python} cannot be run", where=f"--peer {name}", hint="make peers builds the environments"
            )
        # Made absolute without following links: an environment's interpreter is a link to another one's.
        peers[name] = Path(os.path.abspath(found))  # noqa: PTH100 - Path.resolve would follow it
    return peers


def _companions(json_path: str | None) -> tuple[Path, Path] | None:
    """Paths of table and plot, if the result goes to a file."""
    from securefl.cli.output import STDOUT

    if json_path is None or json_path == STDOUT:
        return None
    return Path(json_path).with_suffix(".md"), Path(json_path).with_suffix(".png")


def _check_companions(json_path: str | None) -> None:
    if json_path is not None and Path(json_path) in (_companions(json_path) or ()):
        raise ConfigError(
            f"{json_path} would be overwritten by the table or the plot",
            where="--json",
            hint="name it *.json",
        )


def _write_companions(text: str, draw: Callable[[Path], None] | None, json_path: str | None) -> None:
    """Writes the table, and the plot if there is one, beside the result."""
    from securefl.bench.aggregation.plot import can_plot
    from securefl.cli.output import progress_console
    from securefl.storage.whole import write_atomically

    companions = _companions(json_path)
    if companions is None:
        return
    table, plot = companions
    write_atomically(table, text)
    if draw is None:
        return
    if can_plot():
        draw(plot)
    else:
        progress_console().print("No plot: pip install 'securefl[bench]' brings matplotlib.", markup=False)


def _show(
    tables: Iterable[tuple[str, Sequence[str], list[list[str]]]], notes: Iterable[str], json_path: str | None
) -> None:
    """Prints tables (heading, columns, rows), those without rows left out, and the notes below them."""
    from securefl.cli.output import result_console
    from securefl.cli.tables import figures_table

    console = result_console(json_path)
    for heading, columns, rows in tables:
        if not rows:
            continue
        # A narrow terminal has room for the figures if the unit stands on a line of its own.
        headings = [columns[0], *(column.replace(" ", "\n") for column in columns[1:])]
        console.print()
        console.print(figures_table(heading, headings, rows))
    console.print()
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)
