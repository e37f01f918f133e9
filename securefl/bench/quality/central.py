"""The central training: one adapter of the largest rank on the training rows of all clients together.

The rule kept here: it has what the federation has (rows, epochs, batch sizes, validation rows that choose) and what a
federation cannot have (everybody's rows in one place). It is trained as a personal adapter is; its rates are tried at
two scales over all epochs, and the pooled validation rows choose the scale and the epoch, before a test row is looked
at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from securefl.bench.quality.cell import settings_of
from securefl.bench.quality.measurement import CellMeasurement, ClientOutcome
from securefl.bench.quality.sites import client_data, provisioned, rows_digest
from securefl.config import FederationConfig
from securefl.training.pretrained import load_tokenizer
from securefl.training.rows.examples import ClientData, Examples
from securefl.training.settings import TrainerSettings
from securefl.training.tasks.base import Metric
from securefl.training.tasks.table import task_of
from securefl.training.trainer import LocalTrainer
from securefl_client.folder import ClientFolder
from securefl_client.trainer import trainer_settings

RATE_SCALES = (1.0, 0.3)
"""Factors of the personal adapter's learning rates that are tried."""
MEMBER = "central"
"""Stands for a client's id where batches are drawn."""


def run_central(config: FederationConfig, folder: Path) -> CellMeasurement:
    """Train centrally, and measure on each client's own test rows.

    Args:
        config: What the federation would be.
        folder: Where the members' folders are made.
    """
    owns = provisioned(config, folder)
    data = {member: client_data(own) for member, own in owns.items()}
    first = next(iter(owns.values()))
    settings = _settings(first, ranks=config.ranks)
    trainer, scale, validation = _best(
        settings, pooled(tuple(data.values())), rounds=config.federation.rounds
    )
    metric = trainer.measure("personal")
    chosen_on = trainer.measure("personal", part="validation")
    return CellMeasurement(
        metric=metric.name,
        rounds=config.federation.rounds,
        clients=_outcomes(owns, data, metric, validation=chosen_on, counted=partial(_counted, settings)),
        integers_sha256=(),
        seconds={},
        wall_s=0.0,
        cpu_s=0.0,
        settings={
            **settings_of(first.federation),
            "rate_scales": {str(tried): figure for tried, figure in validation.items()},
            "rate_scale": scale,
        },
    )


def _settings(first: ClientFolder, *, ranks: Mapping[str, int]) -> TrainerSettings:
    largest = max(ranks.values())
    return replace(
        trainer_settings(first, task_of(first.federation.terms.task)),
        rank=largest,
        update_rank=largest,
        personal_rank=largest,
        core_heads=1,
        member=MEMBER,
    )


def _best(
    settings: TrainerSettings, data: ClientData, *, rounds: int
) -> tuple[LocalTrainer, float, dict[float, float]]:
    """The trainer that is best on the validation rows, its scale, and every scale's figure there."""
    tried: list[tuple[Metric, float, LocalTrainer]] = []
    for scale in RATE_SCALES:
        trainer = LocalTrainer(_scaled(settings, scale), data)
        for number in range(1, rounds + 1):
            trainer.train_personal(number)
        trainer.keep_best_personal()
        tried.append((trainer.measure("personal", part="validation"), scale, trainer))
    _, scale, trainer = max(tried, key=lambda each: each[0].merit)
    return trainer, scale, {each: metric.value for metric, each, _ in tried}


def _scaled(settings: TrainerSettings, scale: float) -> TrainerSettings:
    """The settings with a single scale: over all epochs, and not the first one alone, two are compared here."""
    return replace(settings, personal=settings.personal.model_copy(update={"rate_scales": (scale,)}))


def pooled(clients: Sequence[ClientData]) -> ClientData:
    """The rows of all clients, those of one after those of another."""
    return ClientData(
        train=_joined([each.train for each in clients]),
        validation=_joined([each.validation for each in clients]),
        test=_joined([each.test for each in clients]),
    )


def _joined(parts: Sequence[Examples]) -> Examples:
    return Examples(
        texts=tuple(texts for part in parts for texts in part.texts),
        targets=np.concatenate([part.targets for part in parts]),
        form=parts[0].form,
    )


def _counted(settings: TrainerSettings, rows: Examples) -> int:
    """The number of rows that a metric counts: a language model leaves out those whose answers are cut away."""
    tokenizer = load_tokenizer(settings.model_path)
    return len(settings.task.tokenise(rows, tokenizer, max_length=settings.max_length))


def _outcomes(
    owns: Mapping[str, ClientFolder],
    data: Mapping[str, ClientData],
    metric: Metric,
    *,
    validation: Metric,
    counted: Callable[[Examples], int],
) -> dict[str, ClientOutcome]:
    """Each client's part of the pooled test and validation rows, of those that were counted."""
    tests = _parts([counted(rows.test) for rows in data.values()])
    chosen_on = _parts([counted(rows.validation) for rows in data.values()])
    return {
        member: ClientOutcome(
            rank=own.rank,
            train_rows=len(data[member].train),
            validation_rows=len(data[member].validation),
            test_sha256=rows_digest(data[member].test),
            scores={"central": tuple(metric.scores[test].tolist())},
            values={"central": _figure(metric, test)},
            validation={"central": _figure(validation, held)} if len(held) else {},
        )
        for (member, own), test, held in zip(owns.items(), tests, chosen_on, strict=True)
    }


def _parts(sizes: Sequence[int]) -> list[NDArray[np.int64]]:
    """Places of each client's rows among the pooled ones."""
    return np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])


def _figure(metric: Metric, rows: NDArray[np.int64]) -> float:
    """The metric of some of its rows."""
    if metric.resampled is None:
        return float(metric.scores[rows].mean())
    return metric.resampled(rows)[metric.name]
