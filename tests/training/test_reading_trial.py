"""A base model that cannot read a text is refused in one sentence when a federation is drafted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support.tiny_language_models import save_tiny_language_model

from securefl.config.model import ModelSection
from securefl.errors import ModelError
from securefl.protocol.terms import CausalLmTerms
from securefl.provisioning.model_fit import fit_model
from securefl.training import reading_trial
from securefl.training.backbones import skeleton_of
from securefl.training.tasks.causal.task import CausalLm
from securefl.training.tasks.classification.task import SequenceClassification

HEADS = (
    r"is a stablelm model that cannot read a text: num_attention_heads = 4 is no multiple of "
    r"num_key_value_heads = 3 \(model\.path\): correct the sizes in its config\.json, or take another base model\.$"
)
LANGUAGE = CausalLm(CausalLmTerms(name="causal-lm"))
TASKS = {"causal-lm": LANGUAGE, "sequence-classification": SequenceClassification(("no", "yes"), "mean")}


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> str:
    """A StableLM with more groups of keys than go into its heads, as a config written by hand may say."""
    return save_tiny_language_model("stablelm", tmp_path_factory.mktemp("heads"), num_key_value_heads=3)


@pytest.mark.parametrize("task", TASKS)
def test_heads_that_do_not_go_into_each_other_are_refused_before_anything_is_pinned(broken, task):
    with pytest.raises(ModelError, match=HEADS):
        fit_model(ModelSection(path=broken, max_length=16), target_modules=("q_proj",), task=TASKS[task])


def test_a_model_too_large_for_a_trial_is_refused_when_its_weights_are_there(broken, monkeypatch):
    monkeypatch.setattr(reading_trial, "_SMALL_MODEL", 0)
    skeleton = skeleton_of(broken)
    with pytest.raises(ModelError, match=HEADS):
        LANGUAGE.model(skeleton, broken, attention="eager")


def test_modules_whose_names_peft_takes_for_experts_are_refused_with_those_that_it_adapts(tmp_path: Path):
    path = save_tiny_language_model("qwen3_moe", tmp_path)
    section = ModelSection(path=path, max_length=16)
    with pytest.raises(
        ModelError, match=r'PEFT does not adapt the modules "down_proj", "gate_proj", "up_proj"'
    ) as told:
        fit_model(section, target_modules=("all-linear",), task=LANGUAGE)
    named = tuple(json.loads(told.value.hint.partition(" = ")[2]))
    assert set(named) == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert len(fit_model(section, target_modules=named, task=LANGUAGE).layout.adapted) == 2 * 4


def test_a_model_with_linear_attention_alone_reads_and_writes_without_a_cache(tmp_path: Path):
    path = save_tiny_language_model("qwen3_5_text", tmp_path)
    skeleton = skeleton_of(path)
    model = LANGUAGE.model(skeleton, path, attention="eager")
    assert skeleton.config.layer_types == ["linear_attention"] * 2
    assert len(model.answers([torch.tensor([5, 6, 7]), torch.tensor([8, 9])])) == 2


def test_what_generation_refuses_is_told_at_its_first_try(tmp_path: Path, monkeypatch):
    path = save_tiny_language_model("llama", tmp_path)
    model = LANGUAGE.model(skeleton_of(path), path, attention="eager")
    asked = []

    def refused(**inputs):
        asked.append(inputs["generation_config"].use_cache)
        raise ValueError("no such text")

    monkeypatch.setattr(model.network, "generate", refused)
    with pytest.raises(ValueError, match="no such text"):
        model.answers([torch.tensor([5, 6])])
    assert asked == [True]


def test_another_contradiction_is_refused_with_the_librarys_reason(tmp_path: Path):
    path = save_tiny_language_model("stablelm", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps({**config, "rope_parameters": {**config["rope_parameters"], "partial_rotary_factor": 2.0}})
    )
    with pytest.raises(
        ModelError,
        match=r"stablelm model that cannot read a text: The size of tensor .*: correct the sizes in",
    ):
        skeleton_of(path)


@pytest.mark.parametrize("switched_off", [torch.no_grad, torch.inference_mode])
def test_a_model_is_read_alike_where_gradients_are_switched_off(tiny_bert, switched_off):
    known = skeleton_of(tiny_bert)
    with switched_off():
        found = skeleton_of(tiny_bert)
    assert (found.hidden, found.unused) == (known.hidden, known.unused)
