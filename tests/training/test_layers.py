"""Rounds that train the adapters of some layers alone, on a tiny random BERT."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from securefl.aggregation.update_source import LayerSource
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.training.personal import PERSONAL

pytestmark = pytest.mark.slow


def names_of(trainer, layer: int) -> frozenset[str]:
    return frozenset(t.name for t in trainer.layout.adapted if f"layer.{layer}." in t.name)


def test_only_the_named_layers_are_trained_and_the_others_act(trainer_of, start_of):
    """The loss of the first step knows all layers, and only the named ones move."""
    trainer, whole = trainer_of(), trainer_of()
    first = trainer.train_round(1, start_of()).update
    assert isinstance(trainer, LayerSource)
    start = trainer.adapter("global")
    whole.train_round(1, start_of())
    named = names_of(trainer, 1)
    trainer.train_only(named)
    limited = trainer.train_round(2, start).update
    for name, factors in limited.weights.items():
        moved = np.abs(factors.product()).max()
        assert (moved > 1e-4) == (name in named)
    assert any(np.abs(factors.product()).max() > 1e-4 for factors in first.weights.values())
    trainable = {name for name, value in trainer._bank.model.named_parameters() if value.requires_grad}
    assert all("layer.1." in name or "classifier" in name for name in trainable)


def test_a_later_round_may_train_other_layers(trainer_of, start_of):
    trainer = trainer_of()
    for layer in (0, 1):
        trainer.train_only(names_of(trainer, layer))
        update = trainer.train_round(layer + 1, start_of()).update
        moved = {name for name, change in update.weights.items() if np.abs(change.product()).max() > 1e-4}
        assert moved == names_of(trainer, layer)


def moved_layers(before, after) -> frozenset[str]:
    return frozenset(name for name, pair in after.weights.items() if (pair.B != before.weights[name].B).any())


def test_the_personal_adapter_trains_the_layers_of_the_round(trainer_of, start_of):
    """A member has room for so many, whatever adapter it trains; the AdamW that lives on skips the others."""
    trainer = trainer_of()
    for number, layer in ((1, 0), (2, 1)):
        trainer.train_only(names_of(trainer, layer))
        trainer.train_round(number, start_of())
        before = trainer.adapter(PERSONAL)
        trainer.train_personal(number)
        assert moved_layers(before, trainer.adapter(PERSONAL)) == names_of(trainer, layer)


def test_an_adapter_beside_the_shared_one_trains_the_layers_of_the_round(trainer_of, start_of):
    trainer = trainer_of(recipe=Recipe(name="pf2lora", personal="joint"), fusion=FusionSection(finish="sum"))
    trainer.train_only(names_of(trainer, 1))
    before = trainer.adapter(PERSONAL)
    trainer.train_round(1, start_of())
    assert moved_layers(before, trainer.adapter(PERSONAL)) == names_of(trainer, 1)


def test_a_layers_score_is_the_mean_squared_gradient_of_each_rows_loss(trainer_of, start_of, monkeypatch):
    monkeypatch.setattr("securefl.training.scoring.FISHER_ROWS", 5)
    trainer = trainer_of()
    trainer.train_round(1, start_of())
    start = trainer.adapter("global")
    layers = [sorted(names_of(trainer, layer)) for layer in (0, 1)]
    scores = trainer.layer_scores(2, start, layers)
    rows = trainer._rows.train
    drawn = trainer._draws.scored(2, rows, size=1)[:5]
    expected = np.zeros(2)
    model = trainer._bank.use(("global",), head="global")
    factors = trainer._bank.train("global", None).factors
    for places in drawn:
        batch = rows.batch(places, device=torch.device("cpu"))
        logits = model(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits
        loss = nn.functional.cross_entropy(logits, batch.targets[:, 0])
        gradients = dict(zip(factors, torch.autograd.grad(loss, list(factors.values())), strict=True))
        for place in (0, 1):
            own = [g.double().numpy().ravel() for n, g in gradients.items() if f"layer.{place}." in n]
            expected[place] += float((np.concatenate(own) ** 2).mean()) / len(drawn)
    assert scores.min() > 0
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_scoring_layers_does_not_change_what_the_round_trains(trainer_of, start_of):
    scored, plain = trainer_of(), trainer_of()
    layers = [sorted(names_of(scored, layer)) for layer in (0, 1)]
    scored.layer_scores(1, start_of(), layers)
    after = [trainer.train_round(1, start_of()).update for trainer in (scored, plain)]
    for name, factors in after[0].weights.items():
        np.testing.assert_array_equal(factors.left, after[1].weights[name].left)
