"""Members of different backbones train in two phases, and what leaves them is the shared adapter alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny_model import save_tiny_bert

from securefl.adapters.state import GlobalState
from securefl.adapters.update import Adapter, LoraFactors, MeanUpdate
from securefl.api.adapters import load_adapter
from securefl.config.model import LoraTerms
from securefl.config.personal import PersonalSection
from securefl.config.recipes.choices import Recipe
from securefl.errors import ConfigError, ModelError, TrainingError
from securefl.training.folders.exports import Form, write_form
from securefl.training.folders.task_file import SHARED_FILE, MeasuredRecord
from securefl.training.loops import Progress
from securefl.training.mixed_backbones.adapter_layout import CLASS_BIAS, CLASS_ROWS, LOW_RANK, adapter_layout
from securefl.training.mixed_backbones.backbone_trainer import PRIVATE, BackboneTrainer
from securefl.training.mixed_backbones.paired_model import Phase
from securefl.training.model_files import model_digest
from securefl_client.kept_side import read_kept, write_kept

pytestmark = pytest.mark.slow

WIDTH, RANK, ALPHA = 12, 4, 8.0
LAYOUT = adapter_layout(WIDTH, classes=3)
OTHERS = {"narrow": {"width": 24, "layers": 1}, "deep": {"width": 32, "layers": 3}}


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory, tiny_bert: str) -> dict[str, str]:
    """Folders of three different base models by name."""
    base = tmp_path_factory.mktemp("backbones")
    for name, sizes in OTHERS.items():
        save_tiny_bert(base / name, **sizes)
    return {"plain": tiny_bert} | {name: str(base / name) for name in OTHERS}


@pytest.fixture(scope="module")
def member_of(backbones, settings_of, client_data) -> Callable[..., BackboneTrainer]:
    """A fresh member with one of the base models; keyword arguments replace fields of its settings."""

    def member(backbone: str = "plain", *, mu: float = 0.5, width: int = WIDTH, **fields) -> BackboneTrainer:
        sink = fields.pop("step_sink", None)
        settings = replace(
            settings_of(rank=RANK),
            model_path=backbones[backbone],
            model_digest=model_digest(backbones[backbone]),
            recipe=Recipe(name="pfedlora", personal="backbone", mu=mu),
            lora=LoraTerms(lora_alpha=ALPHA, use_rslora=False, width=width),
            **fields,
        )
        return BackboneTrainer(settings, client_data, step_sink=sink)

    return member


def start(rank: int = RANK) -> Adapter:
    return GlobalState.start(LAYOUT, seed=11).redistributed(rank, scaling=ALPHA / rank)


def trained() -> Adapter:
    """A shared adapter as later rounds have it: none of its values is zero."""
    rng, begun = np.random.default_rng(3), start()
    pairs = {
        name: LoraFactors(pair.A, rng.normal(0, 0.1, pair.B.shape)) for name, pair in begun.weights.items()
    }
    heads = {name: rng.normal(0, 0.3, head.shape) for name, head in begun.heads.items()}
    return Adapter(weights=pairs, heads=heads)


def private_values(member: BackboneTrainer) -> str:
    return member._bank.adapter(PRIVATE).digest.hex()


def map_of(member: BackboneTrainer) -> np.ndarray:
    return member._shared.width_map.detach().numpy().copy()


@pytest.mark.parametrize("backbone", ["plain", *OTHERS])
def test_every_backbone_has_the_layout_that_follows_from_width_and_classes(member_of, backbone: str) -> None:
    assert member_of(backbone).layout == LAYOUT


@pytest.mark.parametrize("backbone", ["plain", *OTHERS])
def test_an_update_holds_the_shared_tensors_and_nothing_of_the_backbone(member_of, backbone: str) -> None:
    update = member_of(backbone).learn(1, start())
    assert set(update.weights) == {tensor.name for tensor in LAYOUT.adapted}
    assert set(update.heads) == {tensor.name for tensor in LAYOUT.heads}
    for tensor in LAYOUT.adapted:
        assert update.weights[tensor.name].shape == (tensor.rows, tensor.columns)
        assert np.abs(update.weights[tensor.name].product()).max() > 1e-6
    for tensor in LAYOUT.heads:
        assert update.heads[tensor.name].shape == (tensor.rows, tensor.columns)
        assert np.abs(update.heads[tensor.name]).max() > 1e-4


def test_an_update_is_the_change_from_the_start_to_what_was_trained(member_of) -> None:
    member, begun = member_of(), start()
    update, after = member.learn(1, begun), member.adapter()
    name, scaling = LAYOUT.adapted[0].name, ALPHA / RANK
    pair = after.weights[name]
    np.testing.assert_allclose(update.weights[name].product(), scaling * pair.B @ pair.A, atol=1e-12)
    for head, values in update.heads.items():
        np.testing.assert_array_equal(values, after.heads[head] - begun.heads[head])


def test_a_batch_in_parts_trains_what_it_trains_whole(member_of, settings_of) -> None:
    section = settings_of(rank=RANK).training
    whole, parted = (
        member_of(training=section.model_copy(update={"micro_batch_size": most})) for most in (None, 3)
    )
    ours, theirs = (member.learn(1, trained()) for member in (whole, parted))
    assert whole.loss == pytest.approx(parted.loss, rel=1e-5)
    for name, values in ours.heads.items():
        np.testing.assert_allclose(values, theirs.heads[name], atol=1e-4)
        assert np.abs(values).max() > 1e-3


def test_the_base_model_is_held_as_its_member_says(member_of, settings_of) -> None:
    held = settings_of(rank=RANK).training.model_copy(
        update={"base_precision": "bf16", "precision": "bf16", "gradient_checkpointing": True}
    )
    member = member_of(training=held)
    base = {value.dtype for name, value in member._local.backbone.named_parameters() if "lora" not in name}
    assert torch.bfloat16 in base
    assert np.isfinite(member.learn(1, start()).heads[CLASS_ROWS]).all()


def test_the_first_phase_moves_the_own_model_and_the_map_and_leaves_the_shared_adapter(member_of) -> None:
    member = member_of()
    # The classes' rows are zeros at the start, and give the map no gradient.
    member.install_global(trained())
    shared, private, mapped = member.adapter().digest, private_values(member), map_of(member)
    member._fit_own_model(1)
    assert member.adapter().digest == shared
    assert private_values(member) != private
    assert (map_of(member) != mapped).any()


def test_the_second_phase_moves_the_shared_adapter_and_leaves_the_own_model_and_the_map(member_of) -> None:
    member = member_of()
    member.install_global(start())
    member._fit_own_model(1)
    shared, private, mapped = member.adapter().digest, private_values(member), map_of(member)
    member._fit_shared(1)
    assert member.adapter().digest != shared
    assert private_values(member) == private
    np.testing.assert_array_equal(map_of(member), mapped)


def test_no_phase_moves_the_pretrained_backbone(member_of) -> None:
    member = member_of()
    base = {name: value.clone() for name, value in member._local.state_dict().items() if "lora" not in name}
    member.learn(1, start())
    member.train_alone(1)
    for name, value in base.items():
        if "classifier" not in name:
            assert torch.equal(member._local.state_dict()[name], value)


def test_with_mu_0_the_shared_adapter_has_no_part_in_the_first_phase(member_of) -> None:
    member, other = member_of(mu=0.0), member_of(mu=0.0)
    mapped = map_of(member)
    for each, installed in ((member, start()), (other, trained())):
        each.install_global(installed)
        each._fit_own_model(1)
    np.testing.assert_array_equal(map_of(member), mapped)
    assert private_values(member) == private_values(other)


def test_the_model_trained_alone_is_the_same_whatever_the_shared_adapter_does(member_of) -> None:
    fresh, used = member_of(), member_of()
    used.learn(1, start())
    private, shared = private_values(used), used.adapter().digest
    assert fresh.train_alone(1) == used.train_alone(1)
    assert fresh.adapter("personal").digest == used.adapter("personal").digest
    assert (private_values(used), used.adapter().digest) == (private, shared)


def test_the_model_trained_alone_takes_the_steps_of_both_phases(member_of) -> None:
    seen: list[Progress] = []
    member = member_of(step_sink=seen.append)
    member.learn(1, start())
    member.train_alone(1)
    steps = {what: sum(step.what == what for step in seen) for what in ("own-model", "global", "personal")}
    assert steps["own-model"] == steps["global"] == member.steps
    assert steps["personal"] == 2 * member.steps


def test_members_of_one_width_start_from_one_map_whatever_their_seed_of_rows(member_of) -> None:
    np.testing.assert_array_equal(map_of(member_of("plain")), map_of(member_of("deep", member="client-2")))


def test_a_width_above_the_backbones_own_keeps_lengths(member_of) -> None:
    mapped = map_of(member_of("narrow", width=40))
    np.testing.assert_allclose(mapped.T @ mapped, np.eye(24), atol=1e-5)


def test_members_of_different_backbones_learn_the_little_task_together(member_of) -> None:
    members, state = [member_of(name) for name in ("plain", *OTHERS)], GlobalState.start(LAYOUT, seed=11)
    for number in range(1, 7):
        begun = state.redistributed(RANK, scaling=ALPHA / RANK)
        updates = [member.learn(number, begun) for member in members]
        weights = {
            name: sum(each.weights[name].product() for each in updates) / 3 for name in updates[0].weights
        }
        heads = {name: sum(each.heads[name] for each in updates) / 3 for name in updates[0].heads}
        state = state.advanced(MeanUpdate(weights=weights, heads=heads))
    for member in members:
        figures = member.evaluate(state.redistributed(RANK, scaling=ALPHA / RANK))
        assert figures["accuracy"] > 0.5  # a third by chance


def test_frozen_factors_are_refused(member_of, plan_of) -> None:
    with pytest.raises(TrainingError, match="do not fit"):
        member_of().learn(1, start(), plan_of("basis").for_round(1).frozen)


@pytest.mark.parametrize("payload", ["basis", "state", "core"])
def test_a_payload_that_trains_against_frozen_factors_is_refused(member_of, payload: str) -> None:
    with pytest.raises(ConfigError, match=f"payload '{payload}'.*trained whole"):
        member_of(payload=payload)


def test_several_scales_of_the_rates_are_refused(member_of) -> None:
    with pytest.raises(ConfigError, match="several scales"):
        member_of(personal=PersonalSection(rate_scales=(1.0, 0.3)))


def test_a_start_of_another_rank_or_layout_is_refused(member_of, start_of) -> None:
    with pytest.raises(ModelError, match="cannot be installed"):
        member_of().learn(1, start(RANK + 1))
    with pytest.raises(ModelError, match="other weights than the layout's"):
        member_of().learn(1, start_of())


def test_scores_for_a_selection_are_refused(member_of) -> None:
    with pytest.raises(TrainingError, match="encrypted whole"):
        member_of().sensitivity(1)


@pytest.fixture(scope="module")
def saved(member_of, tmp_path_factory) -> tuple[BackboneTrainer, Path]:
    """A trained member and the folders of its two models."""
    folder, member = tmp_path_factory.mktemp("saved"), member_of("narrow")
    member.learn(1, start())
    member.train_alone(1)
    for which in ("global", "personal"):
        metric = member.measure(which)
        member.save(
            which, folder / which, measured=MeasuredRecord.of("accuracy", metric.value, metric.samples)
        )
    return member, folder


@pytest.mark.parametrize("which", ["global", "personal"])
def test_a_saved_model_answers_as_it_was_measured(saved, client_data, which: str) -> None:
    member, folder = saved
    loaded = load_adapter(folder / which)
    rows = member._rows.test.batch(np.arange(5), device=torch.device("cpu"))
    with torch.no_grad():
        own = member._model(which).outcomes(rows).numpy()
    answered = loaded.outcomes(client_data.test.texts[:5], batch_size=5)
    # Batches are ordered by length, so sums of one row are rounded elsewhere.
    np.testing.assert_allclose(answered, own, atol=1e-5)
    assert loaded.measure(client_data.test, batch_size=64).value == member.measure(which).value


def test_the_card_says_that_plain_peft_loads_less_than_was_measured(saved) -> None:
    _, folder = saved
    card = (folder / "global" / "README.md").read_text()
    assert "PEFT does not know" in card
    assert "securefl.load_adapter" in card
    assert "PEFT does not know" not in (folder / "personal" / "README.md").read_text()


@pytest.mark.parametrize("form", [Form(rank=1), Form(merge=True), Form(hub=True)])
def test_a_folder_with_a_shared_adapter_has_no_other_form(saved, tmp_path: Path, form: Form) -> None:
    with pytest.raises(ConfigError, match="no other form has a place for"):
        write_form(saved[1] / "global", tmp_path, form)


def test_a_shared_adapter_of_another_backbone_is_refused(saved, member_of, tmp_path: Path) -> None:
    _, folder = saved
    write_form(folder / "global", tmp_path / "mixed", Form())
    stranger = member_of("deep")
    stranger.save("global", tmp_path / "stranger")
    (tmp_path / "mixed" / SHARED_FILE).write_bytes((tmp_path / "stranger" / SHARED_FILE).read_bytes())
    with pytest.raises(ModelError, match="does not fit its model"):
        load_adapter(tmp_path / "mixed")


def test_a_folder_whose_shared_adapter_is_gone_is_refused(saved, tmp_path: Path) -> None:
    write_form(saved[1] / "global", tmp_path / "half", Form())
    (tmp_path / "half" / SHARED_FILE).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_adapter(tmp_path / "half")


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.sqrt((values**2).mean(axis=1, keepdims=True))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("mu", [0.0, 0.3, 1.0])
def test_both_losses_and_the_answer_are_those_of_the_design_in_numpy(member_of, mu: float) -> None:
    member, shared = member_of(mu=mu), trained()
    member.learn(1, start())
    member.install_global(shared)
    paired = member._model("global")
    batch = member._rows.train.batch(np.arange(6), device=torch.device("cpu"))
    with torch.no_grad():
        features = paired._features(batch)
        local = _log_softmax(member._local.classified(features).double().numpy())
        losses = {}
        for phase in Phase:
            paired.phase = phase
            losses[phase] = paired.loss(batch).item()
        answered = paired.outcomes(batch).numpy()
    pair, heads = shared.weights[LOW_RANK], shared.heads
    mapped = _unit(_unit(features.double().numpy()) @ map_of(member).astype(np.float64).T)
    adapted = mapped + ALPHA / RANK * mapped @ pair.A.T @ pair.B.T
    z = _log_softmax(adapted @ heads[CLASS_ROWS].T + heads[CLASS_BIAS][:, 0])
    right = batch.targets[:, 0].numpy()
    loss_of = {name: -values[np.arange(6), right].mean() for name, values in (("z", z), ("local", local))}
    expected = mu * loss_of["z"] + (1 - mu) * loss_of["local"]
    assert losses[Phase.OWN_MODEL] == pytest.approx(expected, abs=1e-5)
    assert losses[Phase.SHARED_ADAPTER] == pytest.approx(loss_of["z"], abs=1e-5)
    np.testing.assert_allclose(np.exp(answered), (np.exp(z) + np.exp(local)) / 2, atol=1e-5)


def test_a_restored_member_goes_on_to_the_last_bit(member_of, tmp_path: Path) -> None:
    whole, stopped, fresh = (member_of("narrow") for _ in range(3))
    for trainer in (whole, stopped):
        trainer.learn(1, start())
        trainer.train_alone(1)
    write_kept(tmp_path / "kept", stopped.kept())
    fresh.restore(read_kept(tmp_path / "kept"))
    updates = [trainer.learn(2, trained()) for trainer in (whole, fresh)]
    losses = [trainer.train_alone(2) for trainer in (whole, fresh)]
    assert losses[0] == losses[1]
    for name, head in updates[0].heads.items():
        assert np.array_equal(head, updates[1].heads[name])
    metrics = [trainer.measure(which) for which in ("global", "personal") for trainer in (whole, fresh)]
    assert metrics[0].figures == metrics[1].figures
    assert metrics[2].figures == metrics[3].figures
