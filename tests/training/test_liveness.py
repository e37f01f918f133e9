"""A round is judged by what could have moved in it: data is no defect, and a bad learning rate is named as one."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from securefl.errors import TrainingError
from securefl.training.rows.examples import ClientData, Examples
from securefl.training.trainer import LocalTrainer

pytestmark = pytest.mark.slow


def examples(*rows: tuple[str, int]) -> Examples:
    return Examples(
        texts=tuple((text,) for text, _ in rows),
        targets=np.array([[label] for _, label in rows], dtype=np.int64),
    )


def data_of(*rows: tuple[str, int]) -> ClientData:
    part = examples(*rows)
    return ClientData(train=part, validation=part, test=part)


def one_token_rows(count: int) -> tuple[tuple[str, int], ...]:
    return tuple((("blue", "green", "red")[row % 3], row % 3) for row in range(count))


@pytest.fixture(scope="module")
def bare_bert(tiny_bert, tmp_path_factory) -> str:
    """The tiny BERT with a tokenizer that adds no special tokens: one word is one token."""
    folder = tmp_path_factory.mktemp("bare") / "model"
    shutil.copytree(tiny_bert, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A", special_tokens=[])
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def with_training(settings_of):
    def settings(**fields):
        return settings_of(training=settings_of().training.model_copy(update=fields))

    return settings


@pytest.mark.parametrize("payload", ["dense", "basis", "state", "core"])
def test_a_round_of_one_token_texts_trains_what_it_can(settings_of, start_of, plan_of, bare_bert, payload):
    # Attention over one token is 1 whatever the query is, so the query's factors have gradients of zero.
    settings = settings_of(payload=payload, model_path=bare_bert)
    trainer = LocalTrainer(settings, data_of(*one_token_rows(48)))
    update = trainer.train_round(1, start_of(), plan_of(payload).for_round(1).frozen).update
    weights = {name: np.abs(factors.product()).max() for name, factors in update.weights.items()}
    assert all(size > 0 for name, size in weights.items() if name.endswith("value"))
    trainer.train_personal(1)


def test_a_round_of_a_single_step_is_enough(settings_of, start_of):
    settings = settings_of(training=settings_of().training.model_copy(update={"num_train_epochs": 0.01}))
    trainer = LocalTrainer(settings, data_of(*one_token_rows(8)))
    trainer.train_round(1, start_of())
    assert trainer.steps == 1


def test_rows_of_one_label_that_are_learnt_already_are_no_defect(with_training, start_of):
    trainer = LocalTrainer(
        with_training(head_learning_rate=20.0), data_of(*[(text, 0) for text, _ in one_token_rows(48)])
    )
    trainer.train_round(1, start_of())
    # By now the loss is zero, and so is every gradient.
    assert trainer.train_round(2, trainer.adapter("global")).loss == 0.0


def test_a_small_learning_rate_that_moves_something_trains(with_training, start_of, client_data):
    trainer = LocalTrainer(with_training(learning_rate=1e-12), client_data)
    trainer.train_round(1, start_of())


@pytest.mark.parametrize("key", ["learning_rate", "head_learning_rate"])
def test_a_learning_rate_too_small_to_move_anything_is_named(with_training, start_of, client_data, key):
    trainer = LocalTrainer(with_training(**{key: 1e-45}), client_data)
    with pytest.raises(TrainingError, match=rf"^training\.{key} = 1e-45 is too small"):
        trainer.train_round(1, start_of())


def test_a_learning_rate_that_explodes_is_named_with_its_value(with_training, start_of, client_data):
    trainer = LocalTrainer(with_training(learning_rate=1e20, head_learning_rate=3e19), client_data)
    with pytest.raises(
        TrainingError, match=r"learning_rate \(now 1e\+20\) or .*head_learning_rate \(now 3e\+19\)"
    ):
        trainer.train_round(1, start_of())


def test_a_base_model_of_nan_is_not_blamed_on_the_learning_rate(settings_of, start_of, client_data):
    trainer = LocalTrainer(settings_of(), client_data)
    weight = trainer._bank.model.backbone.get_parameter("encoder.layer.1.output.LayerNorm.bias")
    with torch.no_grad():
        weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="base model computes values that are not finite"):
        trainer.train_round(1, start_of())


def test_a_module_that_the_output_does_not_depend_on_is_found_at_the_end_of_the_round(
    trainer_of, start_of, monkeypatch
):
    trainer = trainer_of()
    layer = trainer._bank.model.get_submodule("backbone.encoder.layer.1.attention.self.value")
    # As if the model went around this module: what it computes reaches nothing.
    monkeypatch.setattr(layer, "forward", lambda hidden: layer.get_base_layer()(hidden))
    with pytest.raises(
        TrainingError, match=r"does not depend on 1 of its modules .*layer\.1\.attention\.self\.value"
    ):
        trainer.train_round(1, start_of())


def test_a_frozen_factor_is_found_at_the_end_of_the_round(trainer_of, start_of, monkeypatch):
    trainer = trainer_of()
    switch_on = trainer._bank.train

    def half(name, side):
        trainable = switch_on(name, side)
        for key, value in trainable.factors.items():
            value.requires_grad_(not key.endswith("query.lora_A"))
        return trainable

    monkeypatch.setattr(trainer._bank, "train", half)
    with pytest.raises(TrainingError, match="does not depend on 2 of its modules"):
        trainer.train_round(1, start_of())
