"""A federation of a language model on GSM8K: long answers to word problems, in columns that the file names."""

from __future__ import annotations

import gzip
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from securefl.bench.quality.sites import Site, provisioned, site_of
from securefl.config.coherence import refuse_misfits
from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.errors import DataError
from securefl.simulation.federation import SimulatedFederation

SHARED = Path(__file__).resolve().parents[3] / "shared"
MODEL, GSM8K = SHARED / "models" / "stories260K", SHARED / "data" / "gsm8k"
ROWS = {"train": 72, "test": 24}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (MODEL.is_dir() and GSM8K.is_dir()), reason="shared model or gsm8k is not here"),
]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first rows of both files of the set."""
    folder = tmp_path_factory.mktemp("gsm8k")
    for part, count in ROWS.items():
        with gzip.open(GSM8K / f"{part}.jsonl.gz") as whole:
            (folder / f"{part}.jsonl").write_bytes(b"".join(islice(whole, count)))
    return folder


def config_of(rows: Path, *, scheme: str, **data: object) -> FederationConfig:
    columns = {"prompt": "question", "completion": "answer"}
    table: dict[str, object] = {
        "federation": {"name": "sums", "rounds": 2},
        "model": {"path": str(MODEL), "max_length": 256},
        "task": {"name": "causal-lm", "prompt_form": "plain"},
        "data": {
            "train": str(rows / "train.jsonl"),
            "test": str(rows / "test.jsonl"),
            **(data or columns),
        },
        "training": {
            "learning_rate": 5e-3,
            "per_device_train_batch_size": 8,
            "device": "cpu",
            "precision": "float32",
        },
        "recipe": {"name": "products"},
        "encryption": {"scheme": scheme},
        "cohort": {"samples_cap": 24, "clients": [{"r": 1}, {"r": 2}, {"r": 4}]},
    }
    config = validated(FederationConfig, table, where="FED.toml")
    refuse_misfits(config)
    return config


def run(rows: Path, scheme: str, folder: Path) -> tuple[SimulatedFederation, dict[str, Site]]:
    owns = provisioned(config_of(rows, scheme=scheme), folder)
    sites = {member: site_of(own) for member, own in owns.items()}
    simulated = SimulatedFederation(
        {member: site.aggregation for member, site in sites.items()},
        {member: site.side.learner for member, site in sites.items()},
    )
    simulated.run()
    return simulated, sites


def test_three_sites_learn_word_problems_the_same_encrypted_and_as_the_twin(
    rows: Path, tmp_path: Path
) -> None:
    encrypted, sites = run(rows, "bfv", tmp_path / "encrypted")
    twin, twins = run(rows, "none", tmp_path / "twin")
    for number, traffic in encrypted.traffic.items():
        np.testing.assert_array_equal(traffic.sums["client-1"], twin.traffic[number].sums["client-1"])
    for member, site in sites.items():
        assert site.aggregation.start().digest == twins[member].aggregation.start().digest
        trainer = site.trainer
        trainer.install_global(site.aggregation.start())
        assert trainer.measure("global").value < trainer.baseline().value


def test_the_sets_own_columns_must_be_named(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r'the columns are question, answer; name the right ones .* "question"'
    ):
        provisioned(config_of(rows, scheme="none", split="iid"), tmp_path / "members")
