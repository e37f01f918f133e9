"""Saved folders are plain transformers and PEFT, and compute what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from support.cards import code_of, logits_of_the_card
from transformers import AutoModel

from securefl.config.model import LoraTerms
from securefl.config.recipes.choices import FusionSection
from securefl.training.folders.card import model_card
from securefl.training.folders.task_file import FolderRecord, MeasuredRecord, OriginRecord

pytestmark = pytest.mark.slow

FILES = {"README.md", "adapter_config.json", "adapter_model.safetensors", "head.safetensors", "task.json"}
SERVED = """
import json, sys
assert not any("securefl" in name for name in sys.modules)
code, rows = (open(path, encoding="utf-8").read() for path in sys.argv[1:3])
names = {}
exec(compile(code, "card", "exec"), names)
assert not any("securefl" in name for name in sys.modules)
texts = json.loads(rows)
print("LOGITS" + json.dumps(names["logits"](texts).tolist()))
"""


def share_right(logits: np.ndarray, examples) -> float:
    return float((logits.argmax(1) == examples.targets[:, 0]).mean())


def texts_of(examples) -> list[str]:
    return [text for (text,) in examples.texts]


def logits_of_ours(trainer, which: str) -> np.ndarray:
    rows = trainer._rows.test
    batch = rows.batch(np.arange(len(rows)), device=torch.device("cpu"))
    with torch.no_grad():
        return trainer._bank.use((which,), head=which).outcomes(batch).numpy()


@pytest.fixture(scope="module")
def trained(trainer_of, start_of):
    trainer = trainer_of(rank=8)
    start = start_of(8)
    for round_number in range(1, 4):
        trainer.train_round(round_number, start)
        start = trainer.adapter("global")
        trainer.train_personal(round_number)
    trainer.fuse()
    return trainer


@pytest.mark.parametrize("which", ["global", "personal", "fused"])
def test_the_cards_code_gives_the_reported_metric_and_the_logits_it_was_measured_with(
    trained, client_data, tmp_path, which, monkeypatch
):
    trained.save_adapter(which, tmp_path)
    reported = trained.measure(which)
    assert reported.value > 0.4
    logits = logits_of_the_card(tmp_path, texts_of(client_data.test), monkeypatch)
    assert share_right(logits, client_data.test) == reported.value
    np.testing.assert_allclose(logits, logits_of_ours(trained, which), atol=1e-5)


def test_a_process_without_this_package_serves_a_folder(trained, client_data, tmp_path):
    folder = tmp_path / "fused"
    trained.save_adapter("fused", folder)
    code, rows = tmp_path / "card.py", tmp_path / "rows.json"
    code.write_text(code_of(folder))
    rows.write_text(json.dumps(texts_of(client_data.test)))
    done = subprocess.run(
        [sys.executable, "-I", "-c", SERVED, str(code), str(rows)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    logits = np.array(json.loads(done.stdout.partition("LOGITS")[2]))
    assert share_right(logits, client_data.test) == trained.measure("fused").value


def test_plain_peft_finds_every_tensor_and_none_is_zero(trained, tiny_bert, tmp_path):
    trained.save_adapter("fused", tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=FutureWarning)
        model = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_bert), str(tmp_path))
    loaded = {name: value for name, value in model.named_parameters() if "lora_" in name}
    adapter = trained.adapter("fused")
    assert len(loaded) == 2 * len(adapter.weights)
    for name, factors in adapter.weights.items():
        for side in "AB":
            values = loaded[f"base_model.model.{name}.lora_{side}.default.weight"].detach().numpy()
            assert np.abs(values).max() > 0
            np.testing.assert_array_equal(values, getattr(factors, side))


def test_the_head_stands_beside_as_a_linear_modules_own_tensors(trained, tmp_path):
    trained.save_adapter("global", tmp_path)
    head, heads = load_file(tmp_path / "head.safetensors"), trained.adapter("global").heads
    np.testing.assert_array_equal(head["weight"].numpy(), heads["classifier.weight"])
    np.testing.assert_array_equal(head["bias"].numpy(), heads["classifier.bias"][:, 0])


def test_a_folder_says_its_rank_scaling_and_target_modules_in_pefts_words(trained, tmp_path):
    trained.save_adapter("fused", tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (16, 16)
    assert sorted(config["target_modules"]) == ["query", "value"]
    assert (config["task_type"], config["modules_to_save"]) == ("FEATURE_EXTRACTION", None)


def test_a_target_that_would_also_mean_a_pooling_layer_is_saved_by_paths(trainer_of, settings_of, tmp_path):
    trainer = trainer_of(lora=replace_targets(settings_of().lora, ("dense",)))
    trainer.save_adapter("global", tmp_path)
    targets = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert "pooler.dense" not in targets
    assert {name.rpartition(".")[2] for name in targets} == {"dense"}
    assert len(targets) == len(trainer.layout.adapted)


def replace_targets(lora, targets):
    return lora.model_copy(update={"target_modules": targets})


@pytest.mark.parametrize("which", ["global", "personal", "fused"])
def test_plain_peft_gives_the_same_logits_where_the_rank_is_stabilised(
    trainer_of, start_of, client_data, tmp_path, monkeypatch, which
):
    # Of rank 3, whose root is no float: alpha must come back as it was set, not as scaling times root.
    trainer = trainer_of(
        rank=3,
        update_rank=3,
        personal_rank=3,
        lora=LoraTerms(lora_alpha=6.1, use_rslora=True),
    )
    trainer.train_round(1, start_of(3))
    trainer.train_personal(1)
    trainer.fuse()
    trainer.save_adapter(which, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["use_rslora"], config["lora_alpha"]) == ((False, 6) if which == "fused" else (True, 6.1))
    logits = logits_of_the_card(tmp_path, texts_of(client_data.test), monkeypatch)
    np.testing.assert_allclose(logits, logits_of_ours(trainer, which), atol=1e-5)


def test_a_folder_holds_no_pickle_and_says_labels_and_base_model(trained, tiny_bert, tmp_path):
    trained.save_adapter("global", tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == FILES
    task = json.loads((tmp_path / "task.json").read_text())
    assert task["labels"] == ["blue", "green", "red"]
    assert task["base_model"] == tiny_bert
    assert len(task["base_model_sha256"]) == 64


def test_the_public_name_of_the_base_stands_in_its_place(trainer_of, tmp_path):
    trainer = trainer_of(model_id="owner/tiny")
    trainer.save_adapter("global", tmp_path)
    assert (
        json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "owner/tiny"
    )
    assert 'base, folder = "owner/tiny", "."' in code_of(tmp_path)


def test_the_card_says_the_metric_with_its_interval_and_that_epsilon_is_infinite(trained, tmp_path):
    trained.save_adapter("fused", tmp_path, measured=MeasuredRecord.of("accuracy", 0.75, 24))
    card = (tmp_path / "README.md").read_text()
    assert "accuracy 0.7500 (95% interval 0.551 to 0.880) on 24 test rows" in card
    assert "epsilon is infinite" in " ".join(card.split())
    assert "fused, rank 16" in card
    assert "blue, green, red" in card
    assert FolderRecord.read(tmp_path).measured.samples == 24


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (1.0, "the server added them up without reading one"),
        (0.0, "travelled without encryption: the server could read each of them"),
        (0.25, "25% travelled encrypted: the server could read the rest"),
    ],
)
def test_the_card_says_what_the_server_could_read(trainer_of, tmp_path, share, said):
    origin = OriginRecord(federation="four-banks", rounds=3, payload="sketch", encrypted=share)
    trainer_of(origin=origin).save_adapter("global", tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert said in card
    assert "four-banks, 3 rounds, payload sketch" in card
    assert "may be this member's own" in card


@pytest.mark.parametrize(
    ("adapter", "promise", "said"),
    [
        ("global", {"unit": "example"}, "which protect every single row with epsilon 3 at delta 0.0001"),
        ("global", {"unit": "example", "per_person": 4}, "protect every person with up to 4 rows with"),
        ("global", {"unit": "client"}, "which protect every member's whole update with epsilon 3"),
        ("global", {"unit": "client"}, "own rows without noise, and the promise does not cover it"),
        ("personal", {"unit": "example"}, "without noise. The promise does not cover it"),
    ],
)
def test_the_card_says_what_was_promised_and_what_the_promise_does_not_cover(adapter, promise, said):
    origin = OriginRecord.model_validate(
        {"federation": "f", "rounds": 3, "payload": "core", "encrypted": 1.0}
        | {"promise": {"epsilon": 3.0, "delta": 1e-4} | promise}
    )
    record = FolderRecord(
        base_model="base",
        base_model_sha256="00" * 32,
        max_length=16,
        task="sequence-classification",
        adapter=adapter,
        origin=origin,
        measured=MeasuredRecord.of("accuracy", 0.75, 24),
        versions={},
    )
    card = " ".join(model_card(record, rank=2).split())
    assert said in card
    assert "epsilon is infinite" not in card
    assert "label shares" not in card


def test_a_fusion_in_factor_space_is_saved_at_the_larger_rank(
    trainer_of, start_of, client_data, tmp_path, monkeypatch
):
    fusion = FusionSection(space="factor")
    trainer = trainer_of(fusion=fusion)
    trainer.train_round(1, start_of())
    trainer.train_personal(1)
    assert trainer.fuse().rank == 4
    trainer.save_adapter("fused", tmp_path)
    logits = logits_of_the_card(tmp_path, texts_of(client_data.test), monkeypatch)
    assert share_right(logits, client_data.test) == trainer.measure("fused").value
