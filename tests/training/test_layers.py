"""Rounds that train the adapters of some layers alone, on a tiny random BERT."""

from __future__ import annotations

import numpy as np
import pytest

from securefl.aggregation.update_source import LayerSource
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


def test_the_personal_adapter_trains_every_layer(trainer_of, start_of):
    trainer = trainer_of()
    trainer.train_only(names_of(trainer, 0))
    trainer.train_round(1, start_of())
    before = trainer.adapter(PERSONAL)
    trainer.train_personal(1)
    after = trainer.adapter(PERSONAL)
    for name, pair in after.weights.items():
        assert not np.array_equal(pair.B, before.weights[name].B)
