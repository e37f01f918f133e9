"""Saved folders are plain PEFT, and compute what was measured."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer

from securefl.config.model import LoraTerms
from securefl.config.recipes import FusionSection
from securefl.training.models import load_base_model

pytestmark = pytest.mark.slow


def measure_as_an_outsider(model_path, folder, examples, *, labels: int, max_length: int = 32) -> float:
    """Measure as a user with transformers and peft alone would."""
    model = PeftModel.from_pretrained(load_base_model(model_path, labels=labels, pooling="mean"), str(folder))
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    hits = 0
    for text, label in zip(examples.texts, examples.targets[:, 0], strict=True):
        encoded = tokenizer(*text, truncation=True, max_length=max_length, return_tensors="pt")
        with torch.no_grad():
            hits += int(model(**encoded).logits.argmax()) == label
    return hits / len(examples)


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
def test_a_saved_folder_loads_with_plain_peft_and_gives_the_reported_metric(
    trained, tiny_bert, client_data, tmp_path, which
):
    trained.save_adapter(which, tmp_path / which)
    reported = trained.measure(which)
    assert reported.value > 0.4
    measured = measure_as_an_outsider(tiny_bert, tmp_path / which, client_data.test, labels=3)
    assert measured == reported.value


def test_a_loaded_folder_holds_exactly_the_trained_numbers(trained, tiny_bert, tmp_path):
    trained.save_adapter("fused", tmp_path)
    model = PeftModel.from_pretrained(load_base_model(tiny_bert, labels=3), str(tmp_path))
    loaded = dict(model.named_parameters())
    adapter = trained.adapter("fused")
    for name, factors in adapter.weights.items():
        prefix = f"base_model.model.backbone.{name}"
        np.testing.assert_array_equal(loaded[f"{prefix}.lora_A.default.weight"].detach().numpy(), factors.A)
        np.testing.assert_array_equal(loaded[f"{prefix}.lora_B.default.weight"].detach().numpy(), factors.B)
    head = loaded["base_model.model.classifier.modules_to_save.default.weight"].detach().numpy()
    np.testing.assert_array_equal(head, adapter.heads["classifier.weight"])


def test_a_folder_says_its_rank_scaling_and_target_modules_in_pefts_words(trained, tmp_path):
    trained.save_adapter("fused", tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (16, 16)
    assert sorted(config["target_modules"]) == ["query", "value"]
    assert config["modules_to_save"] == ["classifier"]


@pytest.mark.parametrize("which", ["global", "personal", "fused"])
def test_plain_peft_gives_the_same_logits_where_the_rank_is_stabilised(
    trainer_of, start_of, tiny_bert, client_data, tmp_path, which
):
    # Of rank 3, whose root is no float: alpha must come back as it was set, not as scaling times root.
    trainer = trainer_of(
        rank=3,
        update_rank=3,
        personal_rank=3,
        lora=LoraTerms(lora_alpha=6.1, use_rslora=True),
        fusion=FusionSection(budget=2),
    )
    trainer.train_round(1, start_of(3))
    trainer.train_personal(1)
    trainer.fuse()
    trainer.save_adapter(which, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["use_rslora"], config["lora_alpha"]) == ((False, 6) if which == "fused" else (True, 6.1))
    loaded = PeftModel.from_pretrained(load_base_model(tiny_bert, labels=3), str(tmp_path)).eval()
    encoded = AutoTokenizer.from_pretrained(tiny_bert)(
        [text for (text, *_) in client_data.test.texts[:8]],
        padding=True,
        return_tensors="pt",
    )
    own = trainer._bank.use((which,), head=which)
    with torch.no_grad():
        assert torch.equal(loaded(**encoded).logits, own(**encoded).logits)


def test_a_folder_holds_no_pickle_and_says_labels_and_base_model(trained, tiny_bert, tmp_path):
    trained.save_adapter("global", tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "task.json",
    }
    task = json.loads((tmp_path / "task.json").read_text())
    assert task["labels"] == ["blue", "green", "red"]
    assert task["base_model"] == tiny_bert
    assert len(task["base_model_sha256"]) == 64


def test_a_fusion_in_factor_space_is_saved_at_the_larger_rank(
    trainer_of, start_of, tiny_bert, client_data, tmp_path
):
    fusion = FusionSection(space="factor")
    trainer = trainer_of(fusion=fusion)
    trainer.train_round(1, start_of())
    trainer.train_personal(1)
    assert trainer.fuse().rank == 4
    trainer.save_adapter("fused", tmp_path)
    measured = measure_as_an_outsider(tiny_bert, tmp_path, client_data.test, labels=3)
    assert measured == trainer.measure("fused").value
