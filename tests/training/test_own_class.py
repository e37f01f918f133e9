"""The classifier that transformers has for a model, trained by its last layer, loads as that very class."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from support.cards import logits_of_the_card
from support.tiny_models import save_tiny_model

from securefl.adapters.state import GlobalState
from securefl.config.model import ModelSection
from securefl.errors import ConfigError
from securefl.provisioning.model_fit import fit_model
from securefl.training.backbones import skeleton_of
from securefl.training.folders.reader import load_saved
from securefl.training.model_files import model_digest
from securefl.training.tasks.classification.own_class import OwnClassifier
from securefl.training.tasks.classification.task import SequenceClassification
from securefl.training.trainer import LocalTrainer

COLOURS = ("blue", "green", "red")
OWN = SequenceClassification(COLOURS, "mean", head="transformers")
TARGETS = {
    "bert": ("query", "value"),
    "gpt2": ("c_attn",),
    "qwen3": ("q_proj", "v_proj"),
    "roberta": ("query",),
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def classifier_of(tiny_bert, tmp_path_factory) -> Callable[[str], str]:
    """The folder of a tiny model of a kind; RoBERTa's is a classifier of five labels already."""

    @cache
    def saved(kind: str) -> str:
        folder = tmp_path_factory.mktemp(kind)
        save_tiny_model(kind, folder, tokenizer_of=tiny_bert)
        if kind == "roberta":
            from transformers import AutoModelForSequenceClassification

            torch.manual_seed(3)
            AutoModelForSequenceClassification.from_pretrained(folder, num_labels=5).save_pretrained(folder)
        return str(folder)

    return saved


@pytest.fixture(scope="session")
def trained_of(classifier_of, settings_of, client_data) -> Callable[[str], LocalTrainer]:
    """A trainer of a kind's own classifier after a round and a fusion."""
    from dataclasses import replace

    @cache
    def trained(kind: str) -> LocalTrainer:
        path = classifier_of(kind)
        base = settings_of()
        settings = replace(
            base,
            model_path=path,
            model_digest=model_digest(path),
            task=OWN,
            lora=base.lora.model_copy(update={"target_modules": TARGETS[kind]}),
        )
        trainer = LocalTrainer(settings, client_data)
        trainer.train_round(1, GlobalState.start(trainer.layout, seed=3).redistributed(4, scaling=2.0))
        trainer.train_personal(1)
        trainer.fuse()
        return trainer

    return trained


def texts_of(examples) -> list[str]:
    return [text for (text,) in examples.texts]


def logits_of_ours(trainer, which: str) -> np.ndarray:
    rows = trainer._rows.test
    batch = rows.batch(np.arange(len(rows)), device=torch.device("cpu"))
    with torch.no_grad():
        return trainer._bank.use((which,), head=which).outcomes(batch).numpy()


@pytest.mark.parametrize("kind", TARGETS)
def test_the_cards_code_loads_transformers_own_class_and_gives_the_reported_metric(
    kind, trained_of, client_data, tmp_path, monkeypatch
):
    trainer = trained_of(kind)
    for which in ("global", "fused"):
        folder = tmp_path / which
        trainer.save_adapter(which, folder)
        assert "AutoModelForSequenceClassification" in (folder / "README.md").read_text()
        assert not (folder / "head.safetensors").exists()
        logits = logits_of_the_card(folder, texts_of(client_data.test), monkeypatch)
        np.testing.assert_allclose(logits, logits_of_ours(trainer, which), atol=1e-5)
        right = float((logits.argmax(1) == client_data.test.targets[:, 0]).mean())
        assert right == trainer.measure(which).value


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("kind", TARGETS)
def test_every_lora_tensor_and_the_head_are_found_by_plain_peft(kind, trained_of, classifier_of, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    trainer = trained_of(kind)
    trainer.save_adapter("global", tmp_path)
    network = AutoModelForSequenceClassification.from_pretrained(
        classifier_of(kind), num_labels=3, ignore_mismatched_sizes=True
    )
    model = PeftModel.from_pretrained(network, str(tmp_path))
    values = [value for name, value in model.named_parameters() if "lora_" in name]
    assert len(values) == 2 * len(trainer.layout.adapted)
    assert all(float(value.detach().abs().max()) > 0 for value in values)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_CLS"
    assert len(config["modules_to_save"]) == 1


def test_the_features_times_the_head_are_the_logits(trained_of):
    trainer = trained_of("gpt2")
    model = trainer._bank.use(("global",), head="global")
    assert isinstance(model, OwnClassifier)
    batch = trainer._rows.test.batch(np.arange(9), device=torch.device("cpu"))
    with torch.no_grad():
        features = model.features(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        logits = model.classified(features)
    assert features.shape == (9, 32)
    np.testing.assert_allclose(logits.numpy(), model.outcomes(batch).detach().numpy(), atol=1e-6)


def test_a_head_has_a_bias_where_the_class_has_one(classifier_of):
    for kind, names in (("bert", ["classifier.weight", "classifier.bias"]), ("qwen3", ["classifier.weight"])):
        layout = OWN.layout(skeleton_of(classifier_of(kind)), TARGETS[kind])
        assert [tensor.name for tensor in layout.heads] == names


def test_rows_of_a_decoder_do_not_depend_on_the_padding_beside_them(trained_of):
    trainer = trained_of("qwen3")
    model = trainer._bank.use(("global",), head="global")
    rows = trainer._rows.test
    together = model.outcomes(rows.batch(np.arange(12), device=torch.device("cpu")))
    alone = [model.outcomes(rows.batch(np.array([row]), device=torch.device("cpu"))) for row in range(12)]
    np.testing.assert_allclose(together.detach().numpy(), torch.cat(alone).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "layer"),
    [("mpnet", "classifier.dense"), ("debertav2", "pooler.dense"), ("xlnet", "sequence_summary.summary")],
)
def test_a_class_with_other_layers_that_are_not_pretrained_is_refused_by_their_names(
    kind, layer, classifier_of
):
    section = ModelSection(path=classifier_of(kind), max_length=16)
    with pytest.raises(ConfigError, match=rf"no weights for {layer}, .*task.head.*set it to \"pooled\""):
        fit_model(section, target_modules=("all-linear",), task=OWN)


def test_distilbert_is_refused_until_its_files_hold_the_pre_classifier(tiny_bert, tmp_path):
    from transformers import DistilBertConfig, DistilBertForSequenceClassification, DistilBertModel

    config = DistilBertConfig(
        vocab_size=36, dim=32, n_layers=1, n_heads=2, hidden_dim=48, max_position_embeddings=48
    )
    bare, whole = tmp_path / "bare", tmp_path / "whole"
    for folder, kind in ((bare, DistilBertModel), (whole, DistilBertForSequenceClassification)):
        kind(config).save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(Path(tiny_bert) / name, folder)
    with pytest.raises(ConfigError, match="no weights for pre_classifier, "):
        OWN.check(skeleton_of(str(bare)))
    fitted = fit_model(ModelSection(path=str(whole), max_length=16), target_modules=("q_lin",), task=OWN)
    assert [tensor.name for tensor in fitted.layout.heads] == ["classifier.weight", "classifier.bias"]


def test_a_saved_folder_is_read_back_with_the_same_logits(trained_of, client_data, tmp_path):
    trainer = trained_of("roberta")
    trainer.save_adapter("fused", tmp_path)
    outcomes = load_saved(tmp_path).outcomes(client_data.test.texts, batch_size=7)
    np.testing.assert_allclose(outcomes, logits_of_ours(trainer, "fused"), atol=1e-5)
