"""Work of ``securefl bench quality``: from its options to the report and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.errors import ConfigError

if TYPE_CHECKING:
    from securefl.bench.host import Machine
    from securefl.bench.quality.rates import RateTable
    from securefl.bench.quality.report import QualityReport
    from securefl.bench.quality.request import QualityRequest

DEFAULT_SUITE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityOptions:
    """Options of the command, as they were given; see its help."""

    suite: str
    data: Path
    model: str | None
    out: Path | None
    rates: Path | None
    only: tuple[str, ...]
    recipes: tuple[str, ...]
    seeds: int | None
    train_rows: int | None
    test_rows: int | None
    overrides: tuple[str, ...]
    validation: bool
    identity: bool
    any_code: bool
    jobs: int
    timeout_s: float

    @property
    def folder(self) -> Path:
        """Folder of the report: a suite has its own."""
        name = "quality" if self.suite == DEFAULT_SUITE else f"quality-{self.suite}"
        return self.out or Path("benchmarks/results") / name

    @property
    def rates_file(self) -> Path:
        """File of learning rates: a suite that has its own place for the search has its own."""
        from securefl.bench.quality.suites import suite_named

        own = suite_named(self.suite).searched is not None
        return (
            self.rates or Path("benchmarks/results") / f"quality-rates{f'-{self.suite}' if own else ''}.json"
        )


def measure_quality(options: QualityOptions) -> QualityReport:
    """Run what is not finished, and write the report: JSON, table and plot.

    Raises:
        ConfigError: if an option names nothing, or the report cannot be written.
        DataError, ModelError: if a data set or the base model is missing.
    """
    from securefl.bench.host import this_machine
    from securefl.bench.quality.benchmark import run_quality
    from securefl.bench.quality.report import QualityReport

    request, searched = _request(options)
    machine = this_machine()
    _make_folder(request.out)
    finished = run_quality(request, machine=machine, line_sink=_say)
    report = QualityReport(request, machine, finished, searched)
    _write(report, request.out / ("quality-validation" if options.validation else "quality"))
    return report


def search_quality(options: QualityOptions) -> tuple[RateTable, Mapping[str, str]]:
    """Search the learning rates of a suite's recipes, and write them where later cells read them.

    Returns:
        What the file holds now; and by name, the reason of each cell that failed.

    Raises:
        ConfigError: if an option names nothing, or the file cannot be written.
        DataError, ModelError: if the data set or the base model is missing.
    """
    from securefl.bench.host import this_machine
    from securefl.bench.quality.rate_search import search_rates
    from securefl.bench.quality.rates import load_rates, save_rates

    request = _search_request(options)
    former = load_rates(options.rates_file)
    machine: Machine = this_machine()
    _make_folder(request.out)
    _make_folder(options.rates_file.parent)
    table, failures = search_rates(request, machine=machine, line_sink=_say, former=former)
    save_rates(options.rates_file, table)
    return table, failures


def _say(line: str) -> None:
    from securefl.cli.output import progress_console

    progress_console().print(line, markup=False, soft_wrap=True)


def _request(options: QualityOptions) -> tuple[QualityRequest, RateTable | None]:
    """The request, and the search that its rates come from where the suite compares recipes."""
    from securefl.bench.quality.cell_options import overridden
    from securefl.bench.quality.rates import load_rates
    from securefl.bench.quality.request import QualityRequest
    from securefl.bench.quality.suite import cells_of
    from securefl.bench.quality.suites import suite_named
    from securefl.training.model_files import model_digest

    suite = suite_named(options.suite).with_rows(train=options.train_rows, test=options.test_rows)
    run = cells_of(suite, seeds=options.seeds, only=options.only, recipes=options.recipes)
    # A key that is none shows before the first cell runs.
    overridden({}, options.overrides)
    searched = load_rates(options.rates_file) if suite.compares == "recipes" else None
    model = _model(options.model or suite.model)
    request = QualityRequest(
        suite=suite,
        suite_name=options.suite,
        cells=tuple(dict.fromkeys((*cells_of(suite, seeds=options.seeds), *run))),
        run=run,
        data=options.data,
        model=model,
        model_digest=model_digest(model).hex(),
        out=options.folder,
        validation=options.validation,
        overrides=options.overrides,
        rates={} if searched is None else searched.rates,
        identity=options.identity,
        any_code=options.any_code,
        jobs=options.jobs,
        timeout_s=options.timeout_s,
    )
    return request, searched


def _search_request(options: QualityOptions) -> QualityRequest:
    """One cell a recipe, of the place on which rates are searched; the files of the search lie below the rates'."""
    from securefl.bench.quality.suite import cells_of
    from securefl.bench.quality.suites import SEARCHED

    for name, given in (
        ("--only", options.only),
        ("--seeds", options.seeds),
        ("--identity", options.identity),
    ):
        if given:
            raise ConfigError(
                "a search has one place, one seed and no encrypted run", where=name, hint="leave it out"
            )
    request, _ = _request(replace(options, rates=Path()))
    searched = request.suite.searched or SEARCHED
    place = replace(request.suite, settings=(searched,), compares="recipes")
    suite = place.with_rows(train=options.train_rows, test=options.test_rows)
    cells = cells_of(suite, seeds=1, recipes=options.recipes)
    return replace(request, suite=suite, cells=cells, run=cells, out=options.rates_file.with_suffix(""))


def _model(given: str) -> str:
    return str(Path(given).resolve()) if Path(given).is_dir() else given


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made", where="--out", hint=str(error.strerror)) from None


def _write(report: QualityReport, stem: Path) -> None:
    from securefl.bench.aggregation.plot import can_plot
    from securefl.bench.quality.plot import draw
    from securefl.bench.quality.tables import markdown
    from securefl.cli.output import progress_console
    from securefl.results.formats import stamped
    from securefl.storage.whole import write_atomically, write_json_file

    write_json_file(stem.with_name(f"{stem.name}.json"), stamped(report.to_json()))
    write_atomically(stem.with_name(f"{stem.name}.md"), markdown(report))
    if not report.places:
        return
    if can_plot():
        draw(report, stem.with_name(f"{stem.name}.png"))
    else:
        progress_console().print("No plot: pip install 'securefl[bench]' brings matplotlib.", markup=False)
