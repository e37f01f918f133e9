"""A personal adapter that seeds the shared one, or follows the local copy of it: FDLoRA's first and third step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from securefl.adapters.update import Adapter
from securefl.config.personal import PersonalSection
from securefl.config.recipes.choices import Recipe

pytestmark = pytest.mark.slow


def recipe(**choices: object) -> Recipe:
    return Recipe(name="default", personal="alone", **choices)


def products(adapter: Adapter, scaling: float) -> dict[str, np.ndarray]:
    return {name: scaling * pair.B @ pair.A for name, pair in adapter.weights.items()}


def test_a_seeding_round_sends_the_personal_adapters_change_from_the_public_start(trainer_of, start_of):
    trainer, start = trainer_of(recipe=recipe(seeding="personal")), start_of()
    start = replace(start, heads={name: head + 0.25 for name, head in start.heads.items()})
    update = trainer.learn(1, start, None)
    after, scaling = trainer.adapter("personal"), 8.0 / 4
    for name, product in products(after, scaling).items():
        # The public start has no change of its own, so all of the adapter is sent.
        np.testing.assert_allclose(update.weights[name].product(), product, atol=1e-12)
        assert np.abs(product).max() > 0
    for name, head in after.heads.items():
        np.testing.assert_allclose(update.heads[name], head - start.heads[name], atol=1e-7)
    assert np.abs(update.heads["classifier.weight"]).max() > 0


def test_a_seeding_round_leaves_the_global_adapter_where_it_started(trainer_of, start_of):
    trainer, start = trainer_of(recipe=recipe(seeding="personal")), start_of()
    trainer.learn(1, start, None)
    for name, pair in trainer.adapter("global").weights.items():
        np.testing.assert_allclose(pair.B, start.weights[name].B)


def test_a_seeding_round_that_is_trained_again_gives_the_same_update(trainer_of, start_of):
    trainer, start = trainer_of(recipe=recipe(seeding="personal")), start_of()
    first, again = (trainer.learn(1, start, None) for _ in range(2))
    for name, pair in first.weights.items():
        np.testing.assert_array_equal(pair.product(), again.weights[name].product())


def test_after_a_seeding_round_sensitivity_is_that_of_the_adapter_that_was_sent(trainer_of, start_of):
    seeded, plain = trainer_of(recipe=recipe(seeding="personal")), trainer_of()
    seeded.learn(1, start_of(), None)
    scores = seeded.sensitivity(1)
    plain.install_global(seeded.adapter("personal"))
    np.testing.assert_allclose(plain.sensitivity(1), scores, atol=1e-12)


def test_the_scales_of_the_personal_rates_are_tried_in_a_seeding_round(settings_of, trainer_of, start_of):
    section = PersonalSection(rate_scales=(1.0, 1e-6))
    trainer = trainer_of(recipe=recipe(seeding="personal"), personal=section)
    trainer.learn(1, start_of(), None)
    assert trainer._personal.rate_scale == 1.0


def test_in_a_round_that_copies_the_personal_adapter_becomes_the_trained_copy_of_the_shared_one(
    trainer_of, start_of
):
    trainer = trainer_of(recipe=recipe(seeding="personal", sync_every=3))
    trainer.learn(1, start_of(), None)
    seeded = trainer.adapter("personal")
    trainer.learn(2, trainer.adapter("personal"), None)
    # Round 2 trains the copy only.
    assert trainer.adapter("personal").digest == seeded.digest != trainer.adapter("global").digest
    trainer.learn(3, trainer.adapter("global"), None)
    copied = trainer.adapter("global")
    assert trainer.adapter("personal").digest == copied.digest
    trainer.learn(4, copied, None)
    trainer.keep_best_personal()
    assert trainer.adapter("personal").digest == copied.digest


def test_what_a_copying_round_sends_is_the_change_of_the_copy_alone(trainer_of, start_of):
    plain, copying = trainer_of(), trainer_of(recipe=recipe(sync_every=2))
    one, other = (trainer.learn(2, start_of(), None) for trainer in (plain, copying))
    for name, pair in one.weights.items():
        np.testing.assert_array_equal(pair.product(), other.weights[name].product())


def test_after_a_copy_an_adapter_alone_goes_on_at_its_scale_with_a_new_adamw(trainer_of, start_of):
    trainer = trainer_of(recipe=recipe(sync_every=2), personal=PersonalSection(rate_scales=(0.5,)))
    trainer.train_personal(1)
    trainer.learn(2, start_of(), None)
    copied = trainer.adapter("personal")
    trainer.train_personal(3)
    assert trainer._personal.rate_scale == 0.5
    assert trainer._personal.best.number in (2, 3)
    after = trainer.adapter("personal").weights
    assert all(np.abs(pair.B - copied.weights[name].B).max() > 1e-4 for name, pair in after.items())
