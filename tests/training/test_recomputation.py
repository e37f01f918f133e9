"""Layers that are computed twice give the gradients of layers that are kept, and keep less."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny_models import save_tiny_model

from securefl.config.model import ModelSection
from securefl.errors import ConfigError
from securefl.provisioning.model_fit import fit_model
from securefl.training.models import load_base_model
from securefl.training.recomputation import recompute_layers
from securefl.training.tasks.classification.task import SequenceClassification
from securefl.training.trainer import LocalTrainer

pytestmark = pytest.mark.slow


@pytest.fixture(params=["bert", "gpt2", "qwen3", "debertav2"])
def folder(request, tiny_bert, tmp_path) -> str:
    save_tiny_model(request.param, tmp_path, tokenizer_of=tiny_bert)
    return str(tmp_path)


def kept_bytes_and_gradients(model) -> tuple[int, dict[str, torch.Tensor]]:
    """Bytes that the forward pass keeps for the backward pass, and the gradients of what is trained."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    trained = {name: value for name, value in model.named_parameters() if name.endswith("weight")}
    for value in trained.values():
        value.requires_grad_(True)
    tokens = torch.randint(5, 30, (16, 24), generator=torch.Generator().manual_seed(1))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.features(tokens, torch.ones_like(tokens)).square().mean()
    loss.backward()
    return sum(kept.values()), {name: value.grad for name, value in trained.items()}


def test_gradients_are_the_same_and_fewer_bytes_are_kept(folder):
    plain, twice = load_base_model(folder, labels=3), load_base_model(folder, labels=3)
    recompute_layers(twice.backbone)
    kept, gradients = kept_bytes_and_gradients(plain)
    kept_twice, gradients_twice = kept_bytes_and_gradients(twice)
    assert kept_twice < 0.7 * kept
    for name, gradient in gradients.items():
        assert (gradient is None) is (gradients_twice[name] is None)
        if gradient is not None:
            torch.testing.assert_close(gradients_twice[name], gradient, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("payload", ["dense", "basis", "core"])
def test_a_round_gives_the_same_update_with_dropout_of_the_adapters(
    settings_of, client_data, start_of, plan_of, payload
):
    updates = []
    for checkpointing in (False, True):
        plain = settings_of(payload=payload)
        training = plain.training.model_copy(update={"gradient_checkpointing": checkpointing})
        lora = plain.lora.model_copy(update={"lora_dropout": 0.2})
        trainer = LocalTrainer(settings_of(payload=payload, training=training, lora=lora), client_data)
        frozen = plan_of(payload).for_round(1).frozen if payload != "dense" else None
        updates.append(trainer.train_round(1, start_of(), frozen).update)
    for name, factors in updates[0].weights.items():
        assert np.abs(factors.product()).max() > 1e-5
        np.testing.assert_allclose(updates[1].weights[name].product(), factors.product(), rtol=0, atol=1e-6)


def test_scores_are_the_same(settings_of, client_data, start_of):
    scores = []
    for checkpointing in (False, True):
        training = settings_of().training.model_copy(update={"gradient_checkpointing": checkpointing})
        trainer = LocalTrainer(settings_of(training=training), client_data)
        trainer.train_round(1, start_of())
        scores.append(trainer.sensitivity(1))
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-4, atol=1e-6)


def test_a_model_without_marked_layers_is_refused_by_name(tiny_bert, tmp_path):
    save_tiny_model("xlnet", tmp_path, tokenizer_of=tiny_bert)
    model = load_base_model(str(tmp_path), labels=3)
    with pytest.raises(ConfigError, match=r"which layers of a xlnet model .*gradient_checkpointing.*false"):
        recompute_layers(model.backbone)


def test_it_is_refused_when_a_federation_is_drafted(tiny_bert, tmp_path):
    save_tiny_model("xlnet", tmp_path, tokenizer_of=tiny_bert)
    section, task = (
        ModelSection(path=str(tmp_path), max_length=16),
        SequenceClassification(("no", "yes"), "mean"),
    )
    assert fit_model(section, target_modules=("layer_1",), task=task).target_modules == ("layer_1",)
    with pytest.raises(ConfigError, match=r"which layers of a xlnet model .*gradient_checkpointing.*false"):
        fit_model(section, target_modules=("layer_1",), task=task, recomputes=True)
