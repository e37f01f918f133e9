"""Work of ``securefl bench quality``: from its options to the report and its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.errors import ConfigError

if TYPE_CHECKING:
    from securefl.bench.quality.benchmark import QualityRequest
    from securefl.bench.quality.report import QualityReport


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityOptions:
    """Options of the command, as they were given; see its help."""

    suite: str
    data: Path
    model: str
    out: Path
    only: tuple[str, ...]
    recipes: tuple[str, ...]
    seeds: int
    overrides: tuple[str, ...]
    validation: bool
    identity: bool
    any_code: bool
    jobs: int
    timeout_s: float


def measure_quality(options: QualityOptions) -> QualityReport:
    """Run what is not finished, and write the report: JSON, table and plot.

    Raises:
        ConfigError: if an option names nothing, or the report cannot be written.
        DataError, ModelError: if a data set or the base model is missing.
    """
    from securefl.bench.host import this_machine
    from securefl.bench.quality.benchmark import run_quality
    from securefl.bench.quality.report import QualityReport
    from securefl.cli.output import progress_console

    request = _request(options)
    machine = this_machine()
    _make_folder(options.out)
    console = progress_console()
    finished = run_quality(
        request, machine=machine, line_sink=lambda line: console.print(line, markup=False, soft_wrap=True)
    )
    report = QualityReport(request, machine, finished)
    _write(report, options.out / ("quality-validation" if options.validation else "quality"))
    return report


def _request(options: QualityOptions) -> QualityRequest:
    from securefl.bench.quality.benchmark import QualityRequest
    from securefl.bench.quality.cell_options import overridden
    from securefl.bench.quality.suite import cells_of, suite_named
    from securefl.training.model_files import model_digest

    suite = suite_named(options.suite)
    run = cells_of(suite, seeds=options.seeds, only=options.only, recipes=options.recipes)
    # A key that is none shows before the first cell runs.
    overridden({}, options.overrides)
    model = str(Path(options.model).resolve()) if Path(options.model).is_dir() else options.model
    return QualityRequest(
        suite=suite,
        suite_name=options.suite,
        cells=tuple(dict.fromkeys((*cells_of(suite, seeds=options.seeds), *run))),
        run=run,
        data=options.data,
        model=model,
        model_digest=model_digest(model).hex(),
        out=options.out,
        validation=options.validation,
        overrides=options.overrides,
        identity=options.identity,
        any_code=options.any_code,
        jobs=options.jobs,
        timeout_s=options.timeout_s,
    )


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
