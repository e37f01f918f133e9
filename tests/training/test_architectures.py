"""Base models of other architectures than BERT: what is adapted, trained and saved is what plain PEFT computes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.cards import logits_of_the_card
from support.tiny_models import KINDS, save_tiny_model
from torch import nn

from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.selection import feature_places
from securefl.adapters.state import GlobalState
from securefl.config.head import HeadSection
from securefl.config.load import load_federation
from securefl.config.model import LoraTerms, ModelSection
from securefl.config.personal import PersonalSection
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.config.training import TrainingSection
from securefl.errors import ConfigError, ModelError
from securefl.provisioning.model_fit import fit_model
from securefl.provisioning.preview import preview
from securefl.training.backbones import most_positions, skeleton_of
from securefl.training.folders.reader import load_saved
from securefl.training.model_files import model_digest
from securefl.training.models import layout_of, load_base_model
from securefl.training.rows.examples import ClientData, Examples
from securefl.training.rows.tokens import check_length
from securefl.training.sensitivity import feature_scores
from securefl.training.settings import TrainerSettings
from securefl.training.target_modules import resolved_targets
from securefl.training.tasks.classification.model import pooled
from securefl.training.tasks.classification.task import SequenceClassification
from securefl.training.tasks.model import BACKBONE
from securefl.training.trainer import LocalTrainer

COLOURS = ("blue", "green", "red")
TARGETS = {
    "debertav2": ("query_proj", "value_proj"),
    "gpt2": ("c_attn",),
    "mpnet": ("attn.q", "attn.v"),
    "qwen3": ("q_proj", "v_proj"),
    "roberta": ("query", "value"),
    "xlnet": ("layer_1",),
}
TASK = SequenceClassification(COLOURS, "mean")
RANK = 3
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def model_of(tiny_bert, tmp_path_factory) -> Callable[[str], str]:
    """The folder of a tiny model of a kind, made once."""

    @cache
    def saved(kind: str) -> str:
        folder = tmp_path_factory.mktemp(kind)
        save_tiny_model(kind, folder, tokenizer_of=tiny_bert)
        return str(folder)

    return saved


@pytest.fixture(scope="module")
def rows() -> ClientData:
    texts = tuple(
        (f"{letter} {colour} {letter} a b"[: 7 + place],)
        for place, letter in enumerate("cdefghij")
        for colour in COLOURS
    )
    labels = np.array([place % 3 for place in range(len(texts))], dtype=np.int64)
    part = Examples(texts=texts, targets=labels[:, None])
    return ClientData(train=part, validation=part, test=part)


def trainer_of(
    path: str, rows: ClientData, *, targets, payload: str = "dense", pooling="mean"
) -> LocalTrainer:
    task = SequenceClassification(COLOURS, pooling)
    names = fit_model(
        ModelSection(path=path, max_length=16), target_modules=targets, task=task
    ).target_modules
    return LocalTrainer(
        TrainerSettings(
            model_path=path,
            model_digest=model_digest(path),
            task=task,
            max_length=16,
            lora=LoraTerms(lora_alpha=6, target_modules=names, use_rslora=False),
            training=TrainingSection(
                learning_rate=1e-2,
                head_learning_rate=3e-2,
                per_device_train_batch_size=4,
                device="cpu",
                precision="float32",
            ),
            personal=PersonalSection(rate_scales=(1.0,)),
            recipe=Recipe(name="default", personal="alone"),
            head=HeadSection(start="zeros", rows="together"),
            payload=payload,
            fusion=FusionSection(),
            rank=RANK,
            update_rank=RANK,
            shared_rank=RANK,
            personal_rank=RANK,
            rounds=3,
            samples_cap=50,
            seed=3,
            member="client-1",
        ),
        rows,
    )


def trained(trainer: LocalTrainer, payload: str = "dense") -> LocalTrainer:
    start = GlobalState.start(trainer.layout, seed=3).redistributed(RANK, scaling=2.0)
    plan = PayloadPlan(
        payload=payload,
        layout=trainer.layout,
        ranks=RankTable((RANK,) * 3),
        bits=16,
        adapter_bound=0.5,
        head_bound=2.0,
        samples_cap=50,
        seed=3,
    )
    trainer.train_round(1, start, plan.for_round(1).frozen)
    return trainer


def logits_of(model: nn.Module, trainer: LocalTrainer) -> np.ndarray:
    batch = trainer._rows.test.batch(np.arange(12), device=torch.device("cpu"))
    with torch.no_grad():
        return model(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits.numpy()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_saved_adapter_loaded_by_its_cards_code_gives_the_same_logits(
    model_of, name, pooling, rows, tmp_path, monkeypatch
):
    path = model_of(name)
    trainer = trained(trainer_of(path, rows, targets=TARGETS[name], pooling=pooling))
    trainer.train_personal(1)
    trainer.fuse()
    before = logits_of(load_base_model(path, labels=3, pooling=pooling), trainer)
    texts = [text for (text,) in rows.test.texts[:12]]
    for which in ("global", "fused"):
        folder = tmp_path / which
        trainer.save_adapter(which, folder)
        measured = logits_of(trainer._bank.use((which,), head=which), trainer)
        np.testing.assert_allclose(logits_of_the_card(folder, texts, monkeypatch), measured, atol=1e-5)
        assert np.abs(measured - before).max() > 1e-2


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("name", KINDS)
def test_all_linear_names_the_modules_that_peft_would_adapt(model_of, name):
    from peft import LoraConfig, get_peft_model

    path = model_of(name)
    fitted = fit_model(ModelSection(path=path, max_length=16), target_modules=("all-linear",), task=TASK)
    assert "all-linear" not in fitted.target_modules
    base = load_base_model(path, labels=3)
    wrapped = get_peft_model(
        base.backbone,
        LoraConfig(target_modules="all-linear", fan_in_fan_out=name == "gpt2"),
    )
    theirs = {
        key.removeprefix("base_model.model.").removesuffix(".lora_A.default.weight")
        for key, _ in wrapped.named_parameters()
        if key.endswith("lora_A.default.weight")
    }
    assert {tensor.name for tensor in fitted.layout.adapted} == theirs


def test_a_federations_terms_name_modules_where_the_file_says_all_linear(model_of, rows_file, tmp_path):
    toml = tmp_path / "fed.toml"
    toml.write_text(
        f"""[federation]\nname = "all"\n[model]\npath = "{model_of("bert")}"\nmax_length = 16\n"""
        f"""[data]\ntrain = "{rows_file}"\n[lora]\nr = 2\ntarget_modules = "all-linear"\n"""
    )
    drafted = preview(load_federation(toml))
    assert drafted.terms.lora.target_modules == ("query", "key", "value", "dense")
    assert len(drafted.layout.adapted) == 2 * 6


@pytest.mark.parametrize("payload", ["dense", "basis", "state", "core"])
def test_conv1d_trains_under_every_kind_of_payload(model_of, payload, rows):
    trainer = trainer_of(model_of("gpt2"), rows, targets=("all-linear",), payload=payload)
    trained(trainer, payload)
    shapes = {tensor.name: (tensor.rows, tensor.columns) for tensor in trainer.layout.adapted}
    assert shapes["h.0.attn.c_attn"] == (96, 32)
    assert shapes["h.1.mlp.c_proj"] == (32, 128)


def test_conv1d_folders_say_fan_in_fan_out(model_of, rows, tmp_path):
    trainer = trained(trainer_of(model_of("gpt2"), rows, targets=("c_attn",)))
    trainer.save_adapter("global", tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["fan_in_fan_out"] is True


def test_scores_of_conv1d_are_those_of_its_outputs_and_inputs(model_of, rows):
    trainer = trained(trainer_of(model_of("gpt2"), rows, targets=("c_fc",)))
    model = trainer._bank.use(("global",), head="global")
    batch = trainer._rows.train.batch(np.arange(8), device=torch.device("cpu"))
    scores = feature_scores(model, trainer.layout, [batch], compute=trainer._compute)
    tensor = trainer.layout.adapted[0]
    weight = model.get_submodule(f"{BACKBONE}.{tensor.name}").get_base_layer().weight
    assert tuple(weight.shape) == (tensor.columns, tensor.rows)
    weight.requires_grad_(True)
    loss = model(batch.input_ids, batch.attention_mask, batch.token_type_ids, batch.targets[:, 0]).loss
    size = (torch.autograd.grad(loss, weight)[0] * weight).abs().double().detach().numpy()
    place = feature_places(trainer.layout)[tensor.name]
    np.testing.assert_allclose(scores[place.rows], size.sum(axis=0), rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(scores[place.columns], size.sum(axis=1), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "limit"), [("bert", 40), ("roberta", 38), ("mpnet", 38), ("gpt2", 40), ("xlnet", None)]
)
def test_positions_are_those_that_a_text_can_use(model_of, name, limit):
    skeleton = skeleton_of(model_of(name))
    assert most_positions(skeleton.backbone, skeleton.config) == limit


@pytest.mark.parametrize("name", ["roberta", "mpnet"])
def test_the_longest_text_that_is_allowed_can_be_read_and_no_longer_one(model_of, name):
    path = model_of(name)
    model = load_base_model(path, labels=3)
    longest = torch.full((1, 38), 5)
    assert model(longest, torch.ones_like(longest)).logits.shape == (1, 3)
    longer = torch.full((1, 39), 5)
    with pytest.raises((RuntimeError, IndexError)):
        model(longer, torch.ones_like(longer))


def test_a_length_beyond_the_positions_is_refused_when_a_federation_is_drafted(model_of):
    section = ModelSection(path=model_of("roberta"), max_length=40)
    with pytest.raises(
        ConfigError,
        match=r"model's 38 tokens .model.max_length.: write max_length = 38 or less in .model.\.$",
    ):
        fit_model(section, target_modules=("query",), task=TASK)


@pytest.mark.parametrize("limit", [-1, 0, None, int(1e30), float("inf")])
def test_a_limit_that_is_no_positive_number_is_no_limit(limit):
    class Tokenizer:
        model_max_length = limit

    check_length(Tokenizer(), max_length=8192, positions=None)


@pytest.mark.parametrize("name", ["gpt2", "qwen3", "xlnet"])
def test_the_first_token_of_a_decoder_is_no_feature(model_of, name):
    path = model_of(name)
    section = ModelSection(path=path, max_length=16)
    with pytest.raises(ConfigError, match=r'task.pooling.: set it to "last" or "mean"'):
        fit_model(section, target_modules=("all-linear",), task=SequenceClassification(COLOURS, "cls"))
    with pytest.raises(ConfigError, match="does not stand for the text"):
        load_base_model(path, labels=3, pooling="cls")


@pytest.mark.parametrize("name", ["bert", "roberta", "mpnet", "debertav2"])
def test_the_first_token_of_an_encoder_is_one(model_of, name):
    assert load_base_model(model_of(name), labels=3, pooling="cls").pooling == "cls"


def test_the_last_token_is_found_behind_padding_on_either_side():
    hidden = torch.arange(12.0).reshape(2, 6, 1)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1]])
    assert pooled(hidden, mask, "last").flatten().tolist() == [3.0, 11.0]
    assert pooled(hidden, mask, "cls").flatten().tolist() == [0.0, 8.0]
    assert pooled(hidden, mask, "mean").flatten().tolist() == [1.5, 9.5]


def test_a_decoder_pooled_by_its_last_token_trains_and_is_padded_without_a_pad_token(
    model_of, rows, tmp_path
):
    path = model_of("gpt2")
    trainer = trained(trainer_of(path, rows, targets=("c_attn",), pooling="last"))
    trainer.save_adapter("global", tmp_path)
    loaded = load_saved(tmp_path).model
    together = logits_of(loaded, trainer)
    with torch.no_grad():
        alone = [
            loaded(torch.from_numpy(ids)[None], torch.ones(1, len(ids), dtype=torch.int64)).logits[0].numpy()
            for ids in trainer._rows.test.ids[:12]
        ]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-5)


@pytest.mark.parametrize("name", ["mpnet", "debertav2", "xlnet"])
def test_a_model_without_fused_attention_gets_the_plain_one(model_of, name):
    model = load_base_model(model_of(name), labels=3, attention="sdpa")
    assert model.config._attn_implementation == "eager"


def test_a_model_with_fused_attention_keeps_it(tiny_bert):
    assert load_base_model(tiny_bert, labels=3).config._attn_implementation == "sdpa"
    assert load_base_model(tiny_bert, labels=3, attention="eager").config._attn_implementation == "eager"


def test_a_checkpoint_of_bf16_is_loaded_as_float32(tiny_bert, tmp_path):
    folder = Path(shutil.copytree(tiny_bert, tmp_path / "copy"))
    weights = {name: value.bfloat16() for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    model = load_base_model(str(folder), labels=3)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_name_that_also_matches_other_modules_is_pinned_as_paths():
    backbone = nn.ModuleDict(
        {"a": nn.ModuleDict({"mix": nn.Linear(4, 4)}), "b": nn.ModuleDict({"mix": nn.GELU()})}
    )
    assert resolved_targets(backbone, ["mix"]) == ("a.mix",)
    assert resolved_targets(backbone, ["all-linear"]) == ("a.mix",)


def test_a_pooling_layer_that_the_output_does_not_need_is_no_target(tmp_path):
    from transformers import LayoutLMConfig, LayoutLMModel

    torch.manual_seed(0)
    LayoutLMModel(
        LayoutLMConfig(
            vocab_size=36, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24
        )
    ).save_pretrained(tmp_path)
    names = {
        tensor.name for tensor in layout_of(str(tmp_path), target_modules=("all-linear",), labels=3).adapted
    }
    assert "pooler.dense" not in names
    assert "encoder.layer.0.output.dense" in names
    with pytest.raises(ModelError, match=r"output does not depend on the target module 'pooler\.dense'"):
        layout_of(str(tmp_path), target_modules=("pooler.dense",), labels=3)


def test_a_head_reads_hidden_states_as_long_as_the_model_makes_them(tmp_path):
    from transformers import OPTConfig, OPTModel

    torch.manual_seed(0)
    OPTModel(
        OPTConfig(
            vocab_size=36,
            hidden_size=16,
            word_embed_proj_dim=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            ffn_dim=24,
        )
    ).save_pretrained(tmp_path)
    (weight, _) = layout_of(str(tmp_path), target_modules=("q_proj",), labels=3).heads
    assert weight.columns == 8
    ids = torch.tensor([[1, 2, 3]])
    assert load_base_model(str(tmp_path), labels=3)(ids, torch.ones_like(ids)).logits.shape == (1, 3)


def test_a_model_that_reads_no_text_is_a_sentence(tmp_path):
    from transformers import ViTConfig, ViTModel

    ViTModel(
        ViTConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, image_size=32
        )
    ).save_pretrained(tmp_path)
    with pytest.raises(
        ModelError, match="is a vit model, which has no single sequence of hidden states of a"
    ):
        layout_of(str(tmp_path), target_modules=("all-linear",), labels=3)


def test_a_model_that_reads_pictures_beside_texts_is_a_sentence(tmp_path):
    from transformers import Gemma3Config

    Gemma3Config().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(
        ModelError, match="is a gemma3 model, which has a language model beside what reads pict"
    ):
        skeleton_of(str(tmp_path))


def test_a_module_that_only_global_attention_reads_is_no_target(tmp_path):
    from transformers import LongformerConfig, LongformerModel

    torch.manual_seed(0)
    LongformerModel(
        LongformerConfig(
            vocab_size=36,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=24,
            attention_window=4,
            max_position_embeddings=40,
        )
    ).save_pretrained(tmp_path)
    names = {
        tensor.name for tensor in layout_of(str(tmp_path), target_modules=("all-linear",), labels=3).adapted
    }
    assert "encoder.layer.0.attention.self.query" in names
    assert not any("global" in name for name in names)


def test_what_peft_cannot_adapt_is_refused_when_a_federation_is_drafted(tiny_bert, tmp_path):
    from transformers import MambaConfig, MambaModel

    torch.manual_seed(0)
    MambaModel(MambaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1)).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(tiny_bert) / name, tmp_path)
    with pytest.raises(ModelError, match="PEFT cannot adapt these modules of a mamba model"):
        fit_model(ModelSection(path=str(tmp_path), max_length=16), target_modules=("out_proj",), task=TASK)


def test_a_model_with_experts_trains(rows, tiny_bert, tmp_path):
    from transformers import MixtralConfig, MixtralModel

    torch.manual_seed(0)
    MixtralModel(
        MixtralConfig(
            vocab_size=40,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            num_local_experts=2,
        )
    ).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(tiny_bert) / name, tmp_path)
    trained(trainer_of(str(tmp_path), rows, targets=("q_proj", "v_proj")))
