"""Rounds that train a core between two frozen factors, on a tiny random BERT."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from securefl.adapters.state import GlobalState
from securefl.adapters.update import MeanUpdate
from securefl.aggregation.encoding import RoundCodec
from securefl.training.cores import CoreLayer, step_gain

pytestmark = pytest.mark.slow


def test_a_core_update_lies_in_the_frame_and_can_be_contributed(trainer_of, start_of, plan_of):
    codec = RoundCodec.of(plan_of("core"), 1)
    trainer = trainer_of(payload="core", rank=8)
    update = trainer.train_round(1, start_of(8), codec.frozen).update
    for name, factors in update.weights.items():
        pair = codec.frozen.cut(name, 8)
        core = pair.left.T @ factors.left
        np.testing.assert_array_equal(factors.right, pair.right)
        np.testing.assert_allclose(pair.left @ core, factors.left, atol=1e-14)
        assert np.abs(core).max() > 1e-3
    encoded = codec.encode(update, rank=8, samples=trainer.samples, rng=np.random.default_rng(0))
    assert not any(encoded.saturated.values())


def test_what_is_sent_is_what_the_model_computed_with(trainer_of, start_of, plan_of):
    trainer = trainer_of(payload="core", rank=8)
    update = trainer.train_round(1, start_of(8), plan_of("core").for_round(1).frozen).update
    for name, factors in update.weights.items():
        layer = trainer._bank._layers[name]
        with torch.inference_mode():
            columns = layer.lora_B["local-update"](layer.lora_A["local-update"].weight.T).T
        held = layer.scaling["local-update"] * columns.numpy()
        np.testing.assert_allclose(held, factors.product(), atol=1e-6)


def test_only_the_core_and_the_head_have_gradients_in_a_core_round(trainer_of, start_of, plan_of):
    trainer = trainer_of(payload="core")
    bases = plan_of("core").for_round(1).frozen
    trainer.train_round(1, start_of(), bases)
    trainable = {name for name, value in trainer._bank.model.named_parameters() if value.requires_grad}
    assert any(name.endswith("core") for name in trainable)
    assert all(name.endswith("lora_B.local-update.core") or "classifier" in name for name in trainable)
    for name, pair in bases.pairs.items():
        held = trainer._bank._layers[name].lora_A["local-update"].weight.detach().numpy()
        np.testing.assert_array_equal(held, pair.right[:4].astype(np.float32))


def test_every_core_round_starts_from_a_core_of_zeros(trainer_of, start_of, plan_of):
    bases = plan_of("core").for_round(1).frozen
    fresh, used = trainer_of(payload="core"), trainer_of(payload="core")
    used.train_round(1, start_of(), bases)
    one, other = fresh.train_round(2, start_of(), bases), used.train_round(2, start_of(), bases)
    assert one.loss == other.loss
    for name, factors in one.update.weights.items():
        np.testing.assert_array_equal(factors.left, other.update.weights[name].left)


def test_core_rounds_learn_the_little_task_and_fuse_with_the_personal_adapter(trainer_of, plan_of):
    """A federation of one by hand: each round's core is added to the state, whose adapter the next one starts from."""
    plan = plan_of("core")
    bases = plan.for_round(1).frozen
    trainer = trainer_of(payload="core", rank=8, rounds=8)
    state = GlobalState.start(plan.layout, seed=plan.seed)
    for round_number in range(1, 9):
        update = trainer.train_round(round_number, state.redistributed(8, scaling=1.0), bases).update
        state = state.advanced(MeanUpdate(update.weights, update.heads))
    trainer.install_global(state.redistributed(8, scaling=1.0))
    assert trainer.measure("global").value > 0.5  # a third by chance
    trainer.train_personal(1)
    assert trainer.fuse().rank == 8 + 12


@pytest.mark.parametrize(("rows", "rank"), [(384, 16), (32, 4), (8, 8)])
def test_a_step_on_every_parameter_moves_a_weight_as_far_as_it_does_with_lora(rows, rank):
    """One learning rate on each entry of an (m, r) factor, or of the core: the same Frobenius norm."""
    left, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(rows, rank)))
    core = CoreLayer(left, device=torch.device("cpu"))
    with torch.no_grad():
        core.core.fill_(1.0)
    assert np.linalg.norm(left @ core.change()) == pytest.approx(np.sqrt(rows * rank))
    assert step_gain(rows, rank) == pytest.approx(np.sqrt(rows / rank))
