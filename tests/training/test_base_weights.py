"""A base in bf16 takes half the memory, and its metrics are those of float32 arithmetic on the same numbers."""

from __future__ import annotations

import pytest
import torch
from support.tiny_language_models import save_tiny_language_model
from support.tiny_models import KINDS, save_tiny_model
from transformers import AutoModelForCausalLM

from securefl.config.training import TrainingSection
from securefl.training.base_weights import hold_base
from securefl.training.devices import choose_compute
from securefl.training.models import load_base_model
from securefl.training.trainer import LocalTrainer

pytestmark = pytest.mark.slow


def inputs(*, rows: int = 5) -> dict[str, torch.Tensor]:
    tokens = torch.randint(5, 30, (rows, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(tokens)
    mask[0, 4:] = 0
    return {"input_ids": tokens, "attention_mask": mask}


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tiny_bert, tmp_path_factory) -> str:
    made = tmp_path_factory.mktemp(request.param)
    save_tiny_model(request.param, made, tokenizer_of=tiny_bert)
    return str(made)


def held(folder: str):
    model = load_base_model(folder, labels=3)
    hold_base(model, torch.bfloat16)
    return model


def test_outside_autocast_a_narrow_base_computes_as_a_wide_copy_of_its_numbers(folder):
    narrow, wide = held(folder), load_base_model(folder, labels=3)
    for parameter in wide.backbone.parameters():
        parameter.data = parameter.data.bfloat16().float()
    with torch.inference_mode():
        assert torch.equal(narrow.features(**inputs()), wide.features(**inputs()))
    assert {value.dtype for value in narrow.backbone.parameters()} == {torch.bfloat16}


def test_under_autocast_a_narrow_base_computes_too(folder):
    model = held(folder)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        features = model.features(**inputs())
    with torch.inference_mode():
        exact = model.features(**inputs())
    assert torch.linalg.norm(features - exact) < 0.1 * torch.linalg.norm(exact)


def test_numbers_are_narrow_again_after_an_error(tiny_bert):
    model = held(tiny_bert)
    with pytest.raises(RuntimeError):
        model.backbone.encoder.layer[0].attention.self.query(torch.zeros(2, 5))
    assert {value.dtype for value in model.backbone.parameters()} == {torch.bfloat16}


def test_a_head_stays_as_it_is(tiny_bert):
    assert held(tiny_bert).classifier.weight.dtype == torch.float32


def test_tensors_that_two_modules_share_stay_shared():
    first, second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    second.weight = first.weight
    model = torch.nn.Sequential(first, second).requires_grad_(False)
    hold_base(model, torch.bfloat16)
    assert first.weight is second.weight
    assert first.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(("base", "precision"), [("bf16", "bf16"), ("float32", "float32")])
def test_training_multiplies_as_the_base_is_held_where_nothing_else_is_said(monkeypatch, base, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_compute(TrainingSection(base_precision=base), max_length=64).precision == precision


def test_adapters_on_a_narrow_base_are_float32_and_learn(settings_of, client_data, start_of):
    plain = settings_of()
    training = plain.training.model_copy(update={"base_precision": "bf16", "precision": "auto"})
    trainer = LocalTrainer(settings_of(training=training), client_data)
    trainer.install_global(start_of())
    before = trainer.measure("global", part="validation")
    trainer.train_round(1, start_of())
    model = trainer._bank.model
    trained = {name: value.dtype for name, value in model.named_parameters() if "lora_" in name}
    base = {value.dtype for name, value in model.backbone.named_parameters() if "lora_" not in name}
    assert trained
    assert set(trained.values()) == {torch.float32}
    assert base == {torch.bfloat16}
    assert trainer.measure("global", part="validation").loss < before.loss
    assert trainer.precision == "bf16"


def test_a_norm_that_is_given_float32_trains_on_a_narrow_base(tmp_path):
    """XGLM adds float32 positions to what it embeds, and torch has no norm of float32 numbers by bf16 weights."""
    network = AutoModelForCausalLM.from_pretrained(save_tiny_language_model("xglm", tmp_path))
    network.requires_grad_(False)
    hold_base(network, torch.bfloat16)
    tokens = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        exact = network(input_ids=tokens).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(input_ids=tokens).logits
    assert torch.linalg.norm(logits - exact) < 0.1 * torch.linalg.norm(exact)
    assert {value.dtype for value in network.parameters()} == {torch.bfloat16}
