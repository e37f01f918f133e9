"""A private adapter that is trained on top of the shared one that a round's mean has given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from securefl.config.personal import PersonalSection
from securefl.config.recipes.choices import Recipe

pytestmark = pytest.mark.slow

ON_TOP = Recipe(name="on-top", personal="on-top", personal_rank=2)
RATE = 1e-2


@pytest.fixture
def on_top(trainer_beside):
    """A fresh trainer whose private adapter is trained on top."""

    def trainer(*, scales: tuple[float, ...] = (1.0,), **fields: object):
        section = PersonalSection(learning_rate=RATE, rate_scales=scales)
        return trainer_beside(**{"recipe": ON_TOP, "personal": section} | fields)

    return trainer


def factors_of(trainer, name: str) -> list[torch.nn.Parameter]:
    layers = trainer._bank.layers.values()
    return [getattr(layer, side)[name].weight for layer in layers for side in ("lora_A", "lora_B")]


def after_a_round(trainer, start_of):
    """The trainer once a round's mean, here its own adapter, is in place."""
    trainer.learn(1, start_of(), None)
    trainer.install_global(trainer.adapter("global"))
    return trainer


def test_its_steps_are_adamws_beside_the_frozen_shared_adapter_and_its_head(on_top, start_of) -> None:
    found, by_hand = (after_a_round(on_top(), start_of) for _ in range(2))
    shared = found.adapter("global").digest
    found.train_personal(1)
    assert found.adapter("global").digest == shared

    bank, rows = by_hand._bank, by_hand._rows.train
    model, moved = bank.use(("personal", "global"), head="global"), factors_of(by_hand, "personal")
    limit = by_hand._section.max_grad_norm
    adamw = torch.optim.AdamW(moved, lr=RATE, weight_decay=0.0)
    batches = by_hand._draws.batches("personal", 1, rows, size=8)
    for places, _ in zip(batches, range(by_hand.steps), strict=False):
        for parameter in moved:
            parameter.requires_grad_(True)
        adamw.zero_grad()
        model.loss(rows.batch(places, device=torch.device("cpu"))).backward()
        torch.nn.utils.clip_grad_norm_(moved, limit)
        adamw.step()
    for weight, pair in found.adapter("personal").weights.items():
        other = by_hand.adapter("personal").weights[weight]
        np.testing.assert_allclose(pair.B, other.B, atol=2e-6)
        np.testing.assert_allclose(pair.A, other.A, atol=2e-6)
        assert np.abs(pair.B).max() > 1e-4


def test_the_update_does_not_depend_on_it(on_top, trainer_of, start_of) -> None:
    one, other = on_top(), on_top(recipe=Recipe(name="none", personal="none"), personal_rank=None)
    for trainer in (one, other):
        after_a_round(trainer, start_of)
    one.train_personal(1)
    first, second = (trainer.learn(2, start_of(), None) for trainer in (one, other))
    for name, pair in first.weights.items():
        np.testing.assert_array_equal(pair.left, second.weights[name].left)
        np.testing.assert_array_equal(pair.right, second.weights[name].right)


def test_the_scale_of_its_rates_is_chosen_by_the_sum_of_both(on_top, start_of) -> None:
    trainer = after_a_round(on_top(scales=(1e-6, 1.0)), start_of)
    trainer.train_personal(1)
    assert trainer._personal.rate_scale == 1.0


def test_what_it_serves_is_the_sum_of_both_with_the_shared_head(on_top, start_of) -> None:
    trainer = after_a_round(on_top(), start_of)
    trainer.train_personal(1)
    trainer.fuse()
    shared, own, fused = (trainer.adapter(which) for which in ("global", "personal", "fused"))
    scaling = {which: trainer._bank.scaling(which) for which in ("global", "personal", "fused")}
    for name, pair in fused.weights.items():
        both = sum(
            scaling[which] * each.weights[name].B @ each.weights[name].A
            for which, each in (("global", shared), ("personal", own))
        )
        np.testing.assert_allclose(scaling["fused"] * pair.B @ pair.A, both, atol=1e-5)
    for name, head in fused.heads.items():
        np.testing.assert_allclose(head, shared.heads[name], atol=1e-6)


def test_it_goes_on_from_what_was_kept_as_if_nothing_had_stopped(on_top, start_of) -> None:
    whole, stopped = on_top(), on_top()
    for trainer in (whole, stopped):
        after_a_round(trainer, start_of).train_personal(1)
    again = on_top()
    again.restore(stopped.kept())
    for trainer in (whole, again):
        trainer.learn(2, start_of(), None)
        trainer.train_personal(2)
    assert again.adapter("personal").digest == whole.adapter("personal").digest
