"""Rounds of several cores a weight, with the numbers that are trained beside them, on a tiny random BERT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from securefl.adapters.frozen.core import CoreBases
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.update import Adapter, MeanUpdate
from securefl.training.cores import HeadsLayer

pytestmark = pytest.mark.slow
HEADS = 2


@pytest.fixture(scope="module")
def plan(plan_of: Callable[[str], PayloadPlan]) -> PayloadPlan:
    return replace(plan_of("core"), core_heads=HEADS)


@pytest.fixture
def trainer(trainer_of, plan):
    return trainer_of(payload="core", rank=plan.global_rank(8), core_heads=HEADS, rounds=8)


def bases_of(plan: PayloadPlan) -> CoreBases:
    bases = plan.for_round(1).frozen
    assert isinstance(bases, CoreBases)
    return bases


def test_a_layer_computes_ravans_sum_less_the_global_one():
    """sum_i U_i (s_i H_i - G_i) V_i x with plain numpy, for s and H as if trained."""
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.normal(size=(12, 6)))
    start, moved, scales = rng.normal(size=(6, 3)), rng.normal(size=(2, 3, 3)), np.array([0.5, 1.5])
    layer = HeadsLayer(left, start, scaling=2.0, device=torch.device("cpu"))
    inner = rng.normal(size=(4, 5, 6)).astype(np.float32)
    assert not layer(torch.from_numpy(inner)).any()
    with torch.no_grad():
        layer.cores += torch.from_numpy(moved).float()
        layer.scales.copy_(torch.from_numpy(scales))
    held = start.reshape(2, 3, 3) / 2.0
    change = scales[:, None, None] * (held + layer.gain * moved) - held
    np.testing.assert_allclose(layer.change(), change.reshape(6, 3), atol=1e-6)
    expected = sum(
        inner[..., 3 * head : 3 * head + 3] @ change[head].T @ left[:, 3 * head : 3 * head + 3].T
        for head in range(2)
    )
    np.testing.assert_allclose(layer(torch.from_numpy(inner)).detach().numpy(), expected, atol=1e-5)


def test_what_is_sent_is_what_the_model_computed_with(trainer, plan, start_of):
    start = start_of(plan.global_rank(8))
    update = trainer.train_round(1, start, bases_of(plan)).update
    for name, factors in update.weights.items():
        layer = trainer._bank._layers[name]
        with torch.inference_mode():
            columns = layer.lora_B["local-update"](layer.lora_A["local-update"].weight.T).T
        held = layer.scaling["local-update"] * columns.numpy()
        np.testing.assert_allclose(held, factors.product(), atol=1e-5)
        assert np.abs(held).max() > 1e-4


def test_the_numbers_beside_the_cores_are_trained_and_folded_into_what_is_sent(trainer, plan, start_of):
    bases = bases_of(plan)
    update = trainer.train_round(1, start_of(plan.global_rank(8)), bases).update
    for name, factors in update.weights.items():
        layer = trainer._bank._layers[name].lora_B["local-update"]
        scales, cores = layer.scales.detach().numpy(), layer.cores.detach().numpy().astype(float)
        assert (np.abs(scales - 1) > 1e-4).all()
        scaling = trainer._bank.scaling("local-update")
        literal = scaling * layer.gain * scales.astype(float)[:, None, None] * cores
        sent = bases.pairs[name].cores_of(factors).reshape(literal.shape)
        np.testing.assert_allclose(sent, literal, atol=1e-7)


def test_a_later_round_begins_from_the_global_cores_so_that_the_scales_move_at_once(trainer, plan):
    """One step from a global adapter that is not zero: s_i has a gradient already."""
    bases, rng = bases_of(plan), np.random.default_rng(0)
    state = plan.start()
    weights = {
        tensor.name: bases.change(tensor.name, rng.normal(0, 0.3, bases.trained_shape(tensor, 8)), rank=8)
        for tensor in plan.layout.adapted
    }
    state = state.advanced(
        MeanUpdate(weights, {t.name: np.zeros((t.rows, t.columns)) for t in plan.layout.heads})
    )
    start: Adapter = state.redistributed(plan.global_rank(8), scaling=trainer._bank.scaling("global"))
    trainer.train_round(2, start, bases)
    for name, change in weights.items():
        layer = trainer._bank._layers[name].lora_B["local-update"]
        counted = layer.start.numpy() * layer.gain * trainer._bank.scaling("local-update")
        expected = bases.pairs[name].cores_of(change).reshape(counted.shape)
        np.testing.assert_allclose(counted, expected, atol=1e-5)


def test_rounds_of_several_heads_learn_the_little_task(trainer, plan):
    bases, state = bases_of(plan), plan.start()
    scaling = trainer._bank.scaling("global")
    for round_number in range(1, 9):
        start = state.redistributed(plan.global_rank(8), scaling=scaling)
        update = trainer.train_round(round_number, start, bases).update
        state = state.advanced(MeanUpdate(update.weights, update.heads))
    trainer.install_global(state.redistributed(plan.global_rank(8), scaling=scaling))
    assert trainer.measure("global").value > 0.5  # a third by chance
