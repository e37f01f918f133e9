"""A federation of real processes whose clients have different base models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.tiny_model import save_tiny_bert, write_rows

from .conftest import securefl

pytestmark = pytest.mark.slow

FEDERATION = """
[federation]
name = "mixed"
rounds = 2
seed = 5
[model]
path = "plain"
max_length = 16
[data]
train = "rows.jsonl"
[recipe]
name = "pfedlora"
[lora]
width = 12
r = 4
[training]
learning_rate = 1e-2
per_device_train_batch_size = 8
device = "cpu"
precision = "float32"
[cohort]
clients = [{}, { model = "narrow" }, { model = "deep" }]
"""


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("mixed")
    save_tiny_bert(folder / "plain")
    save_tiny_bert(folder / "narrow", width=24, layers=1)
    save_tiny_bert(folder / "deep", layers=3)
    write_rows(folder / "rows.jsonl", rows=240)
    (folder / "FED.toml").write_text(FEDERATION)
    done = securefl("run", folder / "FED.toml", "--out", folder / "runs", timeout_s=500)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "mixed"


def results_of(folder: Path) -> list[dict]:
    return [
        json.loads((folder / "clients" / f"client-{number}" / "result.json").read_text())
        for number in (1, 2, 3)
    ]


def test_clients_of_different_base_models_finish_a_run_with_the_same_sums(run_folder: Path) -> None:
    sums = [[entry["integers_sha256"] for entry in result["rounds_log"]] for result in results_of(run_folder)]
    assert sums[0] == sums[1] == sums[2]
    assert len(set(sums[0])) == 2
    assert {result["encryption"]["scheme"] for result in results_of(run_folder)} == {"kahe"}


def test_every_client_reports_its_model_alone_and_with_the_shared_adapter(run_folder: Path) -> None:
    for result in results_of(run_folder):
        metric = result["metric"]
        assert metric["local"] is not None
        assert metric["global"] is not None
        assert metric["fused"] is None


def test_a_clients_folder_loads_on_its_own_base_model(run_folder: Path) -> None:
    from securefl.api.adapters import load_adapter

    for number, model in enumerate(("plain", "narrow", "deep"), start=1):
        saved = load_adapter(run_folder / "clients" / f"client-{number}" / "global")
        assert Path(saved.record.base_model).name == model
        assert saved.outcomes([("a red b",)], batch_size=1).shape == (1, 3)
