"""The examples run as they stand."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from support.ports import free_address

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FEDERATION = """
[federation]
name = "tiny"
rounds = 1
[model]
path = "model"
max_length = 16
[data]
train = "rows.jsonl"
[encryption]
scheme = "none"
[cohort]
clients = [{ r = 1 }, { r = 2 }, { r = 2 }]
"""


@pytest.mark.parametrize("example", ["own_model.py", "learner_trainer.py"])
def test_a_learner_is_written_with_public_names(example: str) -> None:
    code = ast.parse((EXAMPLES / example).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(code) if isinstance(node, ast.ImportFrom)}
    assert "securefl.adapters.update" not in modules


def test_members_with_a_model_of_their_own_gain_from_each_other(tmp_path: Path) -> None:
    example = _loaded("own_model")
    example.FEDERATION = example.FEDERATION.replace("127.0.0.1:17443", free_address())
    accuracies = example.main(tmp_path)
    assert accuracies.keys() == {"north", "south", "west"}
    # Guessing gives a half.
    assert min(accuracies.values()) > 0.6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of transformers' Trainer are its own
def test_members_that_train_with_a_trainer_learn_what_only_others_know(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="transformers' Trainer needs accelerate")
    example = _loaded("learner_trainer")
    example.FEDERATION = example.FEDERATION.replace("rounds = 8", "rounds = 2")
    start = example.FarmLearner(
        example.base_model(None), example.FARMS["north"], rank=4, folder=tmp_path / "start"
    )
    untrained = start.evaluate(start.adapter())["loss"]
    found = example.main(tmp_path)
    assert found.keys() == {"north", "south", "west"}
    # A third of the answers is a member's own; all losses are over all of them.
    assert max(loss for _, loss in found.values()) < 0.6 * untrained


def _loaded(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    example = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    return example


@pytest.mark.slow
def test_the_cells_of_the_notebook_run_in_order(tmp_path: Path) -> None:
    from support.tiny_model import save_tiny_bert, write_rows

    save_tiny_bert(tmp_path / "model")
    write_rows(tmp_path / "rows.jsonl", rows=120)
    (tmp_path / "FED.toml").write_text(FEDERATION)
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "notebook.py"), str(tmp_path / "FED.toml"), str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    for said in ("MB up", "everything holds", "LoRA values"):
        assert said in done.stdout
    assert (tmp_path / "runs" / "tiny" / "result.json").is_file()
