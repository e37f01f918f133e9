"""One cell, run and measured: what runs in a process of its own.

The rule kept here: the figures are those that the product reports; they are measured again only for what each row
counts, and a difference between the two is an error. All of a cell's clients work one after the other, on one thread.

    python -m securefl.bench.quality.cell < order.json        the measurement is the last line of stdout
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from securefl.bench.answering import answer
from securefl.bench.quality import suite
from securefl.bench.quality.cell_options import federation_of
from securefl.bench.quality.drawn_rows import draw_rows
from securefl.bench.quality.measurement import (
    COLUMNS,
    COMPUTE,
    CellJob,
    CellMeasurement,
    CellOrder,
    ClientOutcome,
    Column,
)
from securefl.bench.quality.sites import (
    RoundSums,
    SideTransport,
    Site,
    client_data,
    provisioned,
    rows_digest,
    signing_keys_of,
    site_of,
)
from securefl.bench.quality.suite import Cell, DataSet, Limits
from securefl.config import FederationConfig
from securefl.errors import TrainingError
from securefl.planning.sizes import sizes_of
from securefl.protocol.federation import Federation
from securefl.results.client import MetricReport
from securefl.simulation.federation import SimulatedFederation
from securefl.training.devices import choose_compute
from securefl.training.tasks.base import Metric
from securefl.training.trainer import Which
from securefl_client.side import FIRST_ROUND, Measured

_ADAPTERS: Mapping[Column, Which] = {"local": "personal", "global": "global", "fused": "fused"}
"""Columns of a client's own adapters, with their names at the trainer."""
WITHOUT_LABELS = {"task", "model"}
"""Terms that a record of settings leaves out: they are long, and follow from the data."""


def run_cell(order: CellOrder, folder: Path) -> CellMeasurement:
    """Draw the rows of a cell, run its federation or the training that stands for one, and measure.

    Args:
        order: What to run.
        folder: Empty; rows and the members' folders are made in it, keys included.

    Raises:
        SecureFLError: whatever the federation refuses.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    measured = _measured(order, folder)
    return measured.model_copy(
        update={"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    )


def _measured(order: CellOrder, folder: Path) -> CellMeasurement:
    config = _config(order, folder)
    measured = _ended(order.job, config, folder)
    compute = choose_compute(config.training, max_length=config.model.max_length)
    return measured.model_copy(update={"settings": {**measured.settings, COMPUTE: {**compute.words}}})


def _ended(job: CellJob, config: FederationConfig, folder: Path) -> CellMeasurement:
    members = folder / "members"
    match job.recipe:
        case suite.CENTRAL:
            from securefl.bench.quality.central import run_central

            return run_central(config, members)
        case suite.LOCAL:
            from securefl.bench.quality.local import run_local

            return run_local(config, members)
        case _:
            return run_federation(config, members, out=folder / "out")


def _config(order: CellOrder, folder: Path) -> FederationConfig:
    job = order.job
    cell = _cell(job)
    rows = draw_rows(
        Path(order.data_folder),
        cell.data,
        limits=cell.limits,
        seed=job.seed,
        validation=job.validation,
        into=folder,
    )
    return federation_of(
        cell,
        rows,
        model=order.model,
        scheme=job.scheme,
        overrides=job.overrides,
        personal_for_all=job.personal_for_all,
        folder=folder,
    )


def _cell(job: CellJob) -> Cell:
    """The cell of a job; what its data set sets stands among the job's overrides."""
    return Cell(
        data=DataSet(
            name=job.data, text=job.text, label=job.label, max_length=job.max_length, own_test=job.own_test
        ),
        split=job.split,
        recipe=job.recipe,
        seed=job.seed,
        ranks=job.ranks,
        limits=Limits(train=job.train_rows, test=job.test_rows),
    )


def run_federation(config: FederationConfig, folder: Path, *, out: Path) -> CellMeasurement:
    """Run all rounds of a cell's federation, and every client's work beside them.

    Args:
        config: What the federation is.
        folder: Where the members' folders are made.
        out: Where their adapters are saved.
    """
    sites = {member: site_of(own) for member, own in provisioned(config, folder).items()}
    federation = next(iter(sites.values())).own.federation
    for site in sites.values():
        site.side.begin(site.aggregation.start())
    sums = RoundSums()

    def applied(member: str, number: int) -> None:
        sites[member].apply(number)
        sums.take(simulated.traffic[number], member=member, round_number=number)

    simulated = SimulatedFederation(
        {member: site.aggregation for member, site in sites.items()},
        {member: site.side.learner for member, site in sites.items()},
        signing_keys=signing_keys_of(sites),
        transport=SideTransport(sites),
        applied=applied,
    )
    simulated.run()
    numbers = sorted(sums.digests)
    reports = {member: site.side.finish(out / member, numbers[-1]) for member, site in sites.items()}
    return CellMeasurement(
        metric=next(iter(reports.values())).metric.name,
        rounds=numbers[-1],
        clients={member: _outcome(site, reports[member], numbers) for member, site in sites.items()},
        integers_sha256=tuple(sums.digests[number] for number in numbers),
        seconds=_seconds(sites.values(), numbers),
        wall_s=0.0,
        cpu_s=0.0,
        settings=settings_of(federation),
    )


def settings_of(federation: Federation) -> dict[str, JsonValue]:
    """Choices that all members of a federation share, as plain values."""
    settings: dict[str, JsonValue] = federation.terms.model_dump(mode="json", exclude=WITHOUT_LABELS)
    return settings


def _outcome(site: Site, report: Measured, numbers: Iterable[int]) -> ClientOutcome:
    trainer, data = site.trainer, client_data(site.own)
    reported = _reported(report.metric)
    adapters = {column: which for column, which in _ADAPTERS.items() if column in reported}
    metrics: dict[Column, Metric] = {"base": trainer.baseline()}
    metrics |= {column: trainer.measure(which) for column, which in adapters.items()}
    _check_reported(reported, metrics, member=site.own.member)
    up = _uploads(site.own.federation, site.own.member, numbers)
    return ClientOutcome(
        rank=site.own.rank,
        train_rows=len(data.train),
        validation_rows=len(data.validation),
        test_sha256=rows_digest(data.test),
        scores={column: tuple(metric.scores.tolist()) for column, metric in metrics.items()},
        values={column: metric.value for column, metric in metrics.items()},
        validation=_chosen_by(report.metric),
        curve=dict(site.curve.values),
        baselines=_baselines(report.metric),
        fusion={} if report.fusion is None else report.fusion.model_dump(mode="json"),
        up_bytes=tuple(size for number, size in up.items() if number >= FIRST_ROUND),
        opening_bytes=sum(size for number, size in up.items() if number < FIRST_ROUND),
        float32_bytes=site.own.federation.layout.float32_bytes(site.own.rank),
        adapters_sha256={which: trainer.adapter(which).digest.hex() for which in adapters.values()},
    )


def _chosen_by(report: MetricReport) -> dict[Column, float]:
    """Figures of the validation rows, by column."""
    found = {} if report.worth is None else report.worth.validation
    return {column: found[column] for column in COLUMNS if column in found}


def _reported(report: MetricReport) -> dict[Column, float]:
    """Figures that the product reports, by column; a recipe need not have every adapter."""
    figures: dict[Column, float | None] = {
        "base": report.base,
        "local": report.local,
        "global": report.global_,
        "fused": report.fused,
    }
    return {column: figure for column, figure in figures.items() if figure is not None}


def _check_reported(
    reported: Mapping[Column, float], metrics: Mapping[Column, Metric], *, member: str
) -> None:
    """The rows' scores belong to the figures that the product reports."""
    for column, metric in metrics.items():
        if metric.value != reported[column]:
            raise TrainingError(
                f"{member}'s '{column}' was measured twice with two results",
                hint="a metric must depend on model and rows alone",
            )


def _baselines(report: MetricReport) -> dict[str, float]:
    """Baselines of the fusion, where the member's side reports some."""
    reported = report.model_dump().get("baselines")
    if not isinstance(reported, Mapping):
        return {}
    return {name: float(value) for name, value in reported.items() if isinstance(value, int | float)}


def _uploads(federation: Federation, member: str, numbers: Iterable[int]) -> dict[int, int]:
    """Bytes of every round's upload, encrypted, whatever the cell ran with."""
    encryption = federation.terms.encryption.model_copy(update={"scheme": "kahe"})
    encrypted = replace(federation, terms=federation.terms.model_copy(update={"encryption": encryption}))
    return {number: sizes_of(encrypted, number).up[member] for number in numbers}


def _seconds(sites: Iterable[Site], numbers: Iterable[int]) -> dict[str, float]:
    """Wall seconds by phase of all clients; round 0 holds what comes before the first."""
    totals: dict[str, float] = {}
    rounds = {0, *numbers}
    for site in sites:
        for number in rounds:
            for phase, seconds in site.clock.seconds(number).items():
                totals[phase] = totals.get(phase, 0.0) + seconds
    return {phase: round(seconds, 3) for phase, seconds in sorted(totals.items())}


if __name__ == "__main__":
    sys.exit(answer(CellOrder, run_cell))
