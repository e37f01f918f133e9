"""A federation of a language model: sites of different tasks and ranks, under encryption and as the integer twin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from securefl.bench.quality.sites import Site, provisioned, signing_keys_of, site_of
from securefl.config.federation import FederationConfig
from securefl.simulation.federation import SimulatedFederation

SHARED = Path(__file__).resolve().parents[3] / "shared"
MODEL, ROWS = SHARED / "models" / "stories260K", SHARED / "data" / "t0_16tasks" / "train.jsonl.gz"
TASKS = ("rotten_tomatoes", "common_gen", "commonsense_qa")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (MODEL.is_dir() and ROWS.is_file()), reason="shared models and data are not here"),
]


def run(scheme: str, folder: Path, **sections: object) -> tuple[SimulatedFederation, dict[str, Site]]:
    config = FederationConfig.model_validate(
        {
            "federation": {"name": "tasks", "rounds": 2},
            "model": {"path": str(MODEL), "max_length": 128},
            "task": {"name": "causal-lm"},
            "data": {
                "train": str(ROWS),
                "split": {"by": "column", "column": "task"},
                "max_samples": 24,
                "test_fraction": 0.05,
            },
            "training": {
                "learning_rate": 5e-3,
                "per_device_train_batch_size": 8,
                "device": "cpu",
                "precision": "float32",
            },
            "recipe": {"name": "default", "personal": "none"},
            "encryption": {"scheme": scheme},
            "cohort": {
                "samples_cap": 20,
                "clients": [
                    {"id": task.replace("_", "-"), "r": rank, "column_values": [task]}
                    for task, rank in zip(TASKS, (1, 2, 4), strict=True)
                ],
            },
        }
        | sections
    )
    sites = {member: site_of(own) for member, own in provisioned(config, folder).items()}
    simulated = SimulatedFederation(
        {member: site.aggregation for member, site in sites.items()},
        {member: site.side.learner for member, site in sites.items()},
        signing_keys=signing_keys_of(sites),
    )
    simulated.run()
    return simulated, sites


def test_under_encryption_sites_of_different_tasks_learn_what_the_integer_twin_learns(tmp_path: Path) -> None:
    encrypted, sites = run("kahe", tmp_path / "encrypted")
    twin, twins = run("none", tmp_path / "twin")
    assert sorted(encrypted.traffic) == [1, 2]
    for number, traffic in encrypted.traffic.items():
        for member, integers in traffic.sums.items():
            np.testing.assert_array_equal(integers, twin.traffic[number].sums[member])
    for member, site in sites.items():
        assert site.aggregation.start().digest == twins[member].aggregation.start().digest
        trainer = site.side.learner
        trainer.install_global(site.aggregation.start())
        assert trainer.measure("global").value < trainer.baseline().value


@pytest.mark.parametrize("source", ["principal", "gradient"])
def test_rounds_of_a_language_model_may_begin_from_its_weights_or_a_summed_gradient(
    tmp_path: Path, source: str
) -> None:
    """Such a model has no head of zeros, whatever the first gradient is of."""
    simulated, sites = run("none", tmp_path, payload={"name": "core", "frozen_from": source})
    assert sorted(simulated.traffic) == ([0, 1, 2] if source == "gradient" else [1, 2])
    begun = [site.aggregation.state.learned for site in sites.values()]
    for name, pair in begun[0].items():
        np.testing.assert_array_equal(pair.A, begun[1][name].A)
        np.testing.assert_allclose(pair.A @ pair.A.T, np.eye(len(pair.A)), atol=1e-9)
    assert len(begun[0]) == len(sites["common-gen"].aggregation.federation.layout.adapted)
