"""Training alone: every member's personal adapter on its own rows, without a federation.

The rule kept here: it is the ``local`` column of a federation's cell, for the same rows and to the same bits, since a
personal adapter by itself depends on its member, the seed and the rounds only; and nothing is sent.
"""

from __future__ import annotations

from pathlib import Path

from securefl.bench.quality.cell import settings_of
from securefl.bench.quality.measurement import CellMeasurement, ClientOutcome, Column
from securefl.bench.quality.sites import client_data, provisioned, rows_digest
from securefl.config import FederationConfig
from securefl.training.tasks.base import Metric
from securefl.training.tasks.table import task_of
from securefl.training.trainer import LocalTrainer
from securefl_client.folder import ClientFolder
from securefl_client.trainer import trainer_settings


def run_alone(config: FederationConfig, folder: Path) -> CellMeasurement:
    """Train every member alone, for as many rounds as the federation would have, and measure on its test rows.

    Args:
        config: What the federation would be.
        folder: Where the members' folders are made.
    """
    owns = provisioned(config, folder)
    rounds = config.federation.rounds
    ended = {member: _alone(own, rounds=rounds) for member, own in owns.items()}
    return CellMeasurement(
        metric=next(iter(ended.values()))[0],
        rounds=rounds,
        clients={member: outcome for member, (_, outcome) in ended.items()},
        integers_sha256=(),
        seconds={},
        wall_s=0.0,
        cpu_s=0.0,
        settings=settings_of(next(iter(owns.values())).federation),
    )


def _alone(own: ClientFolder, *, rounds: int) -> tuple[str, ClientOutcome]:
    """The name of the metric, and how a member ends; its model is let go with its trainer."""
    data = client_data(own)
    trainer = LocalTrainer(trainer_settings(own, task_of(own.federation.terms.task)), data)
    for number in range(1, rounds + 1):
        trainer.train_personal(number)
    trainer.keep_best_personal()
    local = trainer.measure("personal")
    columns: dict[Column, Metric] = {"base": trainer.baseline(), "local": local}
    outcome = ClientOutcome(
        rank=own.rank,
        train_rows=len(data.train),
        validation_rows=len(data.validation),
        test_sha256=rows_digest(data.test),
        scores={column: tuple(metric.scores.tolist()) for column, metric in columns.items()},
        values={column: metric.value for column, metric in columns.items()},
        validation={"local": trainer.measure("personal", part="validation").value},
        adapters_sha256={"personal": trainer.adapter("personal").digest.hex()},
    )
    return local.name, outcome
