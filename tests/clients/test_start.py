"""Libraries are imported once, where somebody is told, and do not slow the end of the process down."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.tiny_model import save_tiny_bert, write_rows

from securefl.config.load import load_federation
from securefl.errors import ModelError
from securefl.progress import Phase, PhaseStarted
from securefl.provisioning.provision import provision
from securefl_client.folder import ClientFolder
from securefl_client.phases import PhaseClock
from securefl_client.trainer import load_trainer

FEDERATION = """
[federation]
name = "colours"
[model]
path = "{base}/model"
max_length = 16
[data]
train = "{base}/rows.jsonl"
[encryption]
scheme = "none"
[cohort]
clients = [{{ r = 2 }}, {{ r = 2 }}, {{ r = 2 }}]
"""


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[object]]:
    """A federation's folder, and what was told while it was made."""
    base = tmp_path_factory.mktemp("start")
    save_tiny_bert(base / "model")
    write_rows(base / "rows.jsonl", rows=120)
    (base / "FED.toml").write_text(FEDERATION.format(base=base))
    told: list[object] = []
    provision(load_federation(base / "FED.toml"), base / "members", emit=told.append)
    return base, told


def phases(told: list[object]) -> list[Phase]:
    return [event.phase for event in told if isinstance(event, PhaseStarted)]


def test_the_lead_hears_of_the_imports_before_model_and_data(provisioned):
    assert phases(provisioned[1]) == [Phase.IMPORT, Phase.PREPARE]


def test_a_client_hears_what_it_waits_for(provisioned):
    told: list[object] = []
    own = ClientFolder.load(provisioned[0] / "members" / "client-1", now=datetime.now(UTC))
    load_trainer(own, PhaseClock("client-1", told.append), between_steps=lambda: None)
    assert phases(told) == [Phase.IMPORT, Phase.CHECK, Phase.READ, Phase.LOAD, Phase.TOKENISE]


def test_an_own_function_is_measured_beside_the_metrics_of_the_federation(provisioned, tmp_path, monkeypatch):
    (tmp_path / "start_metrics.py").write_text("def rows(logits, labels):\n    return float(len(labels))\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = ClientFolder.load(provisioned[0] / "members" / "client-1", now=datetime.now(UTC))
    clock = PhaseClock("client-1", lambda _: None)
    trainer = load_trainer(own, clock, between_steps=lambda: None, metrics=["start_metrics:rows"])
    metric = trainer.measure("global", part="validation")
    assert metric.figures["rows"] == metric.samples
    assert trainer.baseline().figures["rows"] > 0


def test_a_model_of_other_bytes_is_refused_before_it_is_loaded(provisioned, tmp_path):
    own = ClientFolder.load(provisioned[0] / "members" / "client-1", now=datetime.now(UTC))
    save_tiny_bert(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))
    model = own.settings.model.model_copy(update={"path": str(tmp_path / "model")})
    told: list[object] = []
    other = replace(own, settings=own.settings.model_copy(update={"model": model}))
    with pytest.raises(ModelError, match="is not the one this federation pinned"):
        load_trainer(other, PhaseClock("client-1", told.append), between_steps=lambda: None)
    assert Phase.LOAD not in phases(told)


@pytest.mark.slow
def test_imported_objects_are_out_of_the_collectors_sight_and_the_collector_works_on():
    program = """
import gc
from securefl.training.libraries import load_libraries
load_libraries()
print(gc.isenabled(), gc.get_freeze_count() > 100_000, len(gc.get_objects()) < 10_000)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.split() == ["True", "True", "True"]


@pytest.mark.slow
def test_nothing_heavy_is_imported_before_a_client_has_joined():
    program = """
import sys
import securefl_client.process
print([name for name in ("torch", "transformers", "peft", "datasets", "scipy") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"
