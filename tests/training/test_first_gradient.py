"""A client's gradient at the public start: the true one, of the whole loss, and nothing is changed by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from securefl.adapters.update import Adapter
from securefl.training.first_gradient import GRADIENT_ROWS, drawn_heads

if TYPE_CHECKING:
    from securefl.training.trainer import LocalTrainer

NAME = "encoder.layer.1.attention.self.query"


def with_head(start: Adapter, *, seed: int = 3) -> Adapter:
    rng = np.random.default_rng(seed)
    return Adapter(start.weights, {name: rng.normal(size=head.shape) for name, head in start.heads.items()})


def test_a_gradient_is_how_the_loss_of_the_rows_moves_with_a_weight(
    trainer_of: Callable[..., LocalTrainer], start_of: Callable[..., Adapter]
) -> None:
    import torch

    trainer = trainer_of()
    start = with_head(start_of())
    gradient = trainer.first_gradient(start)[NAME]
    bank, rows = trainer._bank, trainer._rows.train
    assert len(rows) <= GRADIENT_ROWS
    bank.install_head("global", start)
    model = bank.use((), head="global")
    weight = bank.layers[NAME].get_base_layer().get_parameter("weight")
    batch = rows.batch(np.arange(len(rows)), device=torch.device("cpu"))
    losses = []
    for sign in (1.0, -1.0):
        with torch.no_grad():
            weight[4, 9] += sign * 1e-2
            losses.append(model.loss(batch).item())
            weight[4, 9] -= sign * 1e-2
    assert gradient.shape == tuple(weight.shape)
    assert gradient[4, 9] == pytest.approx((losses[0] - losses[1]) / 2e-2, rel=0.05, abs=2e-6)
    assert np.linalg.norm(gradient) > 1e-4


def test_a_start_without_a_head_is_given_one_that_everybody_draws(
    trainer_of: Callable[..., LocalTrainer], start_of: Callable[..., Adapter]
) -> None:
    trainer, start = trainer_of(), start_of()
    assert not any(head.any() for head in start.heads.values())
    found = trainer.first_gradient(start)
    drawn = Adapter(start.weights, drawn_heads(trainer.layout, seed=trainer._settings.seed))
    assert all(np.linalg.norm(gradient) > 0 for gradient in found.values())
    for name, gradient in trainer.first_gradient(drawn).items():
        np.testing.assert_array_equal(found[name], gradient)


def test_the_first_round_trains_as_if_nobody_had_asked_for_a_gradient(
    trainer_of: Callable[..., LocalTrainer], start_of: Callable[..., Adapter]
) -> None:
    one, other = trainer_of(), trainer_of()
    one.first_gradient(start_of())
    updates = [trainer.learn(1, start_of(), None) for trainer in (one, other)]
    for name, pair in updates[0].weights.items():
        np.testing.assert_array_equal(pair.left, updates[1].weights[name].left)
    for name, head in updates[0].heads.items():
        np.testing.assert_array_equal(head, updates[1].heads[name])


def test_parts_of_a_batch_count_by_their_rows(
    trainer_of: Callable[..., LocalTrainer],
    settings_of: Callable[..., object],
    start_of: Callable[..., Adapter],
) -> None:
    training = settings_of().training.model_copy(update={"micro_batch_size": 3})  # type: ignore[attr-defined]
    start = with_head(start_of())
    whole, parts = (
        trainer.first_gradient(start)[NAME] for trainer in (trainer_of(), trainer_of(training=training))
    )
    np.testing.assert_allclose(parts, whole, atol=1e-5 * float(np.abs(whole).max()))
