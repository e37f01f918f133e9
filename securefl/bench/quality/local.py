"""The training alone: each client's own adapter on its own rows, one client after another.

The rule kept here: it is the personal adapter of a federation, with its own rank, its tuned rates and the best of as
many epochs as the federation has rounds; only one client's model is held at a time.
"""

from __future__ import annotations

from pathlib import Path

from securefl.bench.quality.cell import settings_of
from securefl.bench.quality.measurement import CellMeasurement, ClientOutcome
from securefl.bench.quality.sites import client_data, provisioned, rows_digest, site_of
from securefl.config import FederationConfig
from securefl_client.folder import ClientFolder


def run_local(config: FederationConfig, folder: Path) -> CellMeasurement:
    """Train each client alone, and measure on its own test rows.

    Args:
        config: What the federation would be.
        folder: Where the members' folders are made.
    """
    owns = provisioned(config, folder)
    rounds = config.federation.rounds
    outcomes = {member: _outcome(own, rounds=rounds) for member, own in owns.items()}
    first = next(iter(owns.values()))
    return CellMeasurement(
        metric=next(iter(outcomes.values()))[0],
        rounds=rounds,
        clients={member: outcome for member, (_, outcome) in outcomes.items()},
        integers_sha256=(),
        seconds={},
        wall_s=0.0,
        cpu_s=0.0,
        settings=settings_of(first.federation),
    )


def _outcome(own: ClientFolder, *, rounds: int) -> tuple[str, ClientOutcome]:
    """One client's training: the name of its figures, and its outcome."""
    trainer, data = site_of(own).trainer, client_data(own)
    for number in range(1, rounds + 1):
        trainer.train_personal(number)
    trainer.keep_best_personal()
    base, local = trainer.baseline(), trainer.measure("personal")
    validation = {
        "base": trainer.baseline(part="validation"),
        "local": trainer.measure("personal", part="validation"),
    }
    return local.name, ClientOutcome(
        rank=own.rank,
        train_rows=len(data.train),
        validation_rows=len(data.validation),
        test_sha256=rows_digest(data.test),
        scores={"base": tuple(base.scores.tolist()), "local": tuple(local.scores.tolist())},
        values={"base": base.value, "local": local.value},
        validation={"base": validation["base"].value, "local": validation["local"].value},
        float32_bytes=own.federation.layout.float32_bytes(own.rank),
        adapters_sha256={"personal": trainer.adapter("personal").digest.hex()},
    )
