"""Every member starts from the same bits: nothing missing, nothing made up, a head of zeros."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertConfig, BertForMaskedLM, LlamaConfig, LlamaModel, T5Config

from securefl.adapters.layout import TensorKind
from securefl.errors import ModelError
from securefl.training.models import layout_of, load_base_model, load_tokenizer

pytestmark = pytest.mark.slow


@pytest.fixture
def copied(tiny_bert, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "copy"))


def test_a_layout_is_read_from_the_config_alone(copied, tiny_bert):
    (copied / "model.safetensors").write_bytes(b"not weights at all")
    layout = layout_of(str(copied), target_modules=("query", "value"), labels=3)
    assert layout == layout_of(tiny_bert, target_modules=("query", "value"), labels=3)
    names = [
        f"encoder.layer.{layer}.attention.self.{part}" for layer in (0, 1) for part in ("query", "value")
    ]
    assert [tensor.name for tensor in layout.adapted] == names
    assert all((tensor.rows, tensor.columns) == (32, 32) for tensor in layout.adapted)
    heads = [(tensor.name, tensor.rows, tensor.columns) for tensor in layout.heads]
    assert heads == [("classifier.weight", 3, 32), ("classifier.bias", 3, 1)]


def test_rows_are_outputs_and_columns_inputs(tiny_bert):
    (tensor, _) = layout_of(tiny_bert, target_modules=("intermediate.dense",), labels=3).adapted
    assert (tensor.rows, tensor.columns, tensor.kind) == (48, 32, TensorKind.ADAPTED)


def test_a_target_module_that_matches_nothing_names_those_there_are(tiny_bert):
    with pytest.raises(
        ModelError, match=r"'q_proj' matches no module .*lora.target_modules.*this model has .*query"
    ):
        layout_of(tiny_bert, target_modules=("query", "q_proj"), labels=3)


def test_a_misspelt_target_module_names_the_nearest(tiny_bert):
    with pytest.raises(ModelError, match="this model has query"):
        layout_of(tiny_bert, target_modules=("qeury",), labels=3)


def test_a_target_module_that_is_not_linear_is_refused(tiny_bert):
    with pytest.raises(ModelError, match="'LayerNorm' is no linear module"):
        layout_of(tiny_bert, target_modules=("LayerNorm",), labels=3)


def test_berts_own_pooling_layer_is_left_out(tiny_bert):
    layout = layout_of(tiny_bert, target_modules=("dense",), labels=3)
    assert not any("pooler" in tensor.name for tensor in layout.adapted)


def test_the_head_starts_at_zero_and_the_encoder_frozen(tiny_bert):
    model = load_base_model(tiny_bert, labels=3)
    assert not model.classifier.weight.any()
    assert not model.classifier.bias.any()
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


def test_mean_pooling_ignores_padding_and_cls_pooling_takes_the_first_token(tiny_bert):
    ids = torch.tensor([[2, 9, 8, 3, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    mean, cls = (load_base_model(tiny_bert, labels=3, pooling=pooling) for pooling in ("mean", "cls"))
    hidden = AutoModel.from_pretrained(tiny_bert)(ids[:, :4]).last_hidden_state[0]
    with torch.no_grad():
        np.testing.assert_allclose(mean.features(ids, mask)[0], hidden.mean(dim=0).detach(), atol=1e-5)
        np.testing.assert_allclose(cls.features(ids, mask)[0], hidden[0].detach(), atol=1e-5)


def test_missing_weights_are_refused_and_never_made_up(copied):
    weights = load_file(copied / "model.safetensors")
    name = next(name for name in weights if name.endswith("layer.1.attention.self.key.weight"))
    del weights[name]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"no weights for 1 of the model's tensors \(.*key.weight\)"):
        load_base_model(str(copied), labels=3)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x00" * 64])
def test_damaged_weights_are_a_sentence(copied, content):
    (copied / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_base_model(str(copied), labels=3)


def test_weights_of_another_shape_are_a_sentence(copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_base_model(str(copied), labels=3)


@pytest.mark.parametrize("content", ["{", "{}", '{"model_type": "no-such-model"}'])
def test_a_damaged_config_is_a_sentence(copied, content):
    (copied / "config.json").write_text(content)
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        layout_of(str(copied), target_modules=("query",), labels=3)
    assert "\n" not in str(caught.value)


def test_an_encoder_decoder_is_refused(copied):
    T5Config(d_model=16, num_layers=1).save_pretrained(copied)
    with pytest.raises(ModelError, match="is a t5 model"):
        load_base_model(str(copied), labels=3)


def test_a_models_own_code_is_never_run(copied, tmp_path):
    config = json.loads((copied / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "evil.py").write_text(
        f"open({str(tmp_path / 'run')!r}, 'w')\nclass Config: pass\nclass Model: pass\n"
    )
    with pytest.raises(ModelError):
        load_base_model(str(copied), labels=3)
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_with_a_language_models_head_loads_as_its_encoder(tmp_path):
    torch.manual_seed(0)
    whole = BertForMaskedLM(
        BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    )
    whole.save_pretrained(tmp_path)
    loaded = load_base_model(str(tmp_path), labels=2)
    expected = whole.bert.encoder.layer[0].attention.self.query.weight
    assert torch.equal(loaded.backbone.get_parameter("encoder.layer.0.attention.self.query.weight"), expected)


def test_a_decoder_can_be_pooled_as_well(tmp_path):
    torch.manual_seed(0)
    LlamaModel(
        LlamaConfig(
            vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2
        )
    ).save_pretrained(tmp_path)
    layout = layout_of(str(tmp_path), target_modules=("q_proj", "v_proj"), labels=2)
    assert [tensor.name for tensor in layout.adapted] == [
        "layers.0.self_attn.q_proj",
        "layers.0.self_attn.v_proj",
    ]
    logits = load_base_model(str(tmp_path), labels=2)(torch.tensor([[1, 2]]), torch.tensor([[1, 1]])).logits
    assert logits.shape == (1, 2)


def test_a_folder_without_a_tokenizer_is_a_sentence(copied):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copied / name).unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer .model.path.: put its files"):
        load_tokenizer(str(copied))


def test_a_tokenizer_of_another_model_is_refused(copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "vocab_size": 20}))
    with pytest.raises(ModelError, match="has 36 tokens, and the model 20"):
        load_tokenizer(str(copied))


def test_a_damaged_tokenizer_is_a_sentence(copied):
    (copied / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_tokenizer(str(copied))


def test_loading_prints_nothing(tiny_bert, capfd):
    load_base_model(tiny_bert, labels=3)
    load_tokenizer(tiny_bert)
    assert capfd.readouterr() == ("", "")
