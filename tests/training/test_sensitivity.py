"""Scores are what full gradients give, for every feature, and taking them changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from securefl.adapters.seeding import seeded_generator
from securefl.adapters.selection import feature_count, feature_places, rooted
from securefl.errors import TrainingError
from securefl.training.rows.tokens import shuffled_batches
from securefl.training.sensitivity import column_scores, feature_scores
from securefl.training.tasks.model import BACKBONE

pytestmark = pytest.mark.slow


def batches_of(trainer, *, count: int):
    lengths = trainer._rows.train.lengths
    places = shuffled_batches(lengths, 8, seeded_generator(3, "test"))[:count]
    return [trainer._rows.train.batch(rows, device=torch.device("cpu")) for rows in places]


@pytest.fixture
def trained(trainer_of, start_of):
    trainer = trainer_of()
    trainer.train_round(1, start_of())
    return trainer


def test_scores_are_the_sums_of_the_full_gradient_times_the_base_weight(trained):
    model = trained._bank.use(("global",), head="global")
    batches = batches_of(trained, count=3)
    scores = feature_scores(model, trained.layout, batches, compute=trained._compute)
    expected = np.zeros_like(scores)
    weights = {
        tensor.name: model.get_submodule(f"{BACKBONE}.{tensor.name}").get_base_layer().weight
        for tensor in trained.layout.adapted
    }
    for weight in weights.values():
        weight.requires_grad_(True)
    for batch in batches:
        logits = model(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits
        loss = nn.functional.cross_entropy(logits, batch.targets[:, 0])
        gradients = torch.autograd.grad(loss, list(weights.values()))
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            size = (gradient * weight).abs().double().detach().numpy()
            place = feature_places(trained.layout)[name]
            expected[place.rows] += size.sum(axis=1)
            expected[place.columns] += size.sum(axis=0)
    assert expected.min() > 0
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-6 * expected.max())


def test_rows_and_columns_of_a_weight_have_the_same_total(trained):
    model = trained._bank.use(("global",), head="global")
    scores = feature_scores(model, trained.layout, batches_of(trained, count=2), compute=trained._compute)
    for place in feature_places(trained.layout).values():
        assert scores[place.rows].sum() == pytest.approx(scores[place.columns].sum(), rel=1e-5)


def test_scoring_changes_nothing(trained):
    model = trained._bank.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for parameter in model.parameters():
        parameter.grad = None
    trained.sensitivity(1)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_scoring_does_not_change_what_the_next_round_trains(trainer_of, start_of):
    scored, plain = trainer_of(), trainer_of()
    for trainer in (scored, plain):
        trainer.train_round(1, start_of())
    scored.sensitivity(1)
    after = [trainer.train_round(2, trainer.adapter("global")).update for trainer in (scored, plain)]
    for name, factors in after[0].weights.items():
        np.testing.assert_array_equal(factors.left, after[1].weights[name].left)
        np.testing.assert_array_equal(factors.right, after[1].weights[name].right)


@pytest.mark.parametrize("payload", ["dense", "sketch", "basis", "state", "core", "factors"])
def test_a_trainer_of_any_payload_gives_one_score_from_0_to_1_for_each_feature(
    trainer_of, start_of, plan_of, payload
):
    trainer = trainer_of(payload=payload, rank=8)
    trainer.train_round(1, start_of(8), plan_of(payload).for_round(1).frozen)
    scores = trainer.sensitivity(1)
    assert scores.shape == (feature_count(trainer.layout),)
    assert scores.dtype == np.float64
    assert scores.min() >= 0
    assert scores.max() == 1
    np.testing.assert_array_equal(scores, trainer.sensitivity(1))


@pytest.mark.parametrize("payload", ["dense", "basis"])
def test_scores_are_taken_with_the_rounds_training_on(trainer_of, start_of, plan_of, payload):
    trainer = trainer_of(payload=payload, rank=8)
    basis = plan_of(payload).for_round(1).frozen
    trainer.train_round(1, start_of(8), basis)
    trained = trainer.sensitivity(1)
    untrained = trainer_of(payload=payload, rank=8)
    untrained.install_global(start_of(8))
    assert not np.allclose(trained, untrained.sensitivity(1), atol=1e-3)


def test_scores_are_taken_on_at_most_eight_batches_of_the_seeds_choice(trained, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "securefl.training.sensitivity.feature_scores",
        lambda model, layout, batches, compute: seen.append(list(batches)) or np.ones(feature_count(layout)),
    )
    trained.sensitivity(1)
    trained.sensitivity(2)
    assert [len(batches) for batches in seen] == [8, 8]
    assert not all(
        one.input_ids.shape == two.input_ids.shape and torch.equal(one.input_ids, two.input_ids)
        for one, two in zip(*seen, strict=True)
    )


def test_a_score_that_is_not_finite_is_an_error(trained):
    model = trained._bank.use(("global",), head="global")
    with torch.no_grad():
        model.classifier.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="not finite"):
        feature_scores(model, trained.layout, batches_of(trained, count=1), compute=trained._compute)


def test_rooted_scores_are_what_the_trainer_gives(trained, monkeypatch):
    raw = np.arange(feature_count(trained.layout), dtype=np.float64)
    monkeypatch.setattr("securefl.training.sensitivity.feature_scores", lambda *_, compute: raw)
    np.testing.assert_array_equal(trained.sensitivity(1), rooted(raw))


def test_column_scores_are_weights_times_norms_of_inputs_without_padding(trained):
    """SHE-LoRA's S_j = sum_k |W_kj| ||x_j||_2, from inputs that are collected row by row, each alone and unpadded."""
    model = trained._bank.use(("global",), head="global")
    batches = batches_of(trained, count=3)
    scores = column_scores(model, trained.layout, batches, compute=trained._compute)
    inputs = {tensor.name: [] for tensor in trained.layout.adapted}
    handles = [
        model.get_submodule(f"{BACKBONE}.{name}").register_forward_pre_hook(
            lambda _, given, seen=seen: seen.append(given[0].detach().double().numpy()[0])
        )
        for name, seen in inputs.items()
    ]
    with torch.no_grad():
        for batch in batches:
            for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True):
                length = int(mask.sum())
                model(ids[None, :length], mask[None, :length], None)
    for handle in handles:
        handle.remove()
    for tensor in trained.layout.adapted:
        place = feature_places(trained.layout)[tensor.name]
        weight = model.get_submodule(f"{BACKBONE}.{tensor.name}").get_base_layer().weight.detach().numpy()
        norms = np.linalg.norm(np.concatenate(inputs[tensor.name]), axis=0)
        np.testing.assert_allclose(scores[place.columns], np.abs(weight).sum(axis=0) * norms, rtol=1e-4)
        assert not scores[place.rows].any()


def test_scoring_columns_changes_nothing(trainer_of, start_of):
    trainer = trainer_of(select_by="columns")
    trainer.train_round(1, start_of())
    before = {name: value.clone() for name, value in trainer._bank.model.state_dict().items()}
    assert trainer.sensitivity(1).max() == 1
    assert all(torch.equal(value, before[name]) for name, value in trainer._bank.model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in trainer._bank.model.modules())
