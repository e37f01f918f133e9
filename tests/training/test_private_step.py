"""A private adapter in the steps of the shared one, against PF2LoRA's steps written out on copies of the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from securefl.config.personal import PersonalSection
from securefl.config.recipes.choices import Recipe
from securefl.errors import TrainingError

pytestmark = pytest.mark.slow

RATE_Y, RATE_X, RATE_HEAD = 0.5, 1e-2, 3e-2
JOINT = Recipe(name="joint", personal="joint", personal_rank=2)


@pytest.fixture
def joint(trainer_beside):
    """A fresh trainer of the joint recipe."""

    def trainer(*, rate: float = RATE_Y, max_grad_norm: float = 0.0, **fields: object):
        section = PersonalSection(learning_rate=rate)
        return trainer_beside(JOINT, personal=section, max_grad_norm=max_grad_norm, **fields)

    return trainer


def factors_of(trainer, name: str) -> list[torch.nn.Parameter]:
    layers = trainer._bank._layers.values()
    return [getattr(layer, side)[name].weight for layer in layers for side in ("lora_A", "lora_B")]


@pytest.mark.parametrize("limit", [0.0, 1e-3, 1e9])
def test_a_round_is_the_papers_two_steps_on_every_batch(joint, start_of, limit: float) -> None:
    """Both under ``max_grad_norm``, each by the norm of its own gradient."""
    found, by_hand = joint(max_grad_norm=limit), joint()
    found.train_round(1, start_of())

    # By hand, with torch's own AdamW, and gradients of one loss at a time.
    bank, rows = by_hand._bank, by_hand._rows.train
    bank.install("global", start_of())
    model = bank.use(("personal", "global"), head="global")
    y, x = factors_of(by_hand, "personal"), factors_of(by_hand, "global")
    head = list(bank._heads["global"].parameters())
    adamw = torch.optim.AdamW(
        [{"params": x, "lr": RATE_X}, {"params": head, "lr": RATE_HEAD}], weight_decay=0.0
    )
    batches = by_hand._draws.batches("global", 1, rows, size=8)
    assert by_hand.steps >= 3
    for places, _ in zip(batches, range(by_hand.steps), strict=False):
        batch = rows.batch(places, device=torch.device("cpu"))
        for parameter in (*y, *x, *head):
            parameter.requires_grad_(True)
            parameter.grad = None
        model.loss(batch).backward()
        if limit:
            torch.nn.utils.clip_grad_norm_(y, limit)
        with torch.no_grad():
            for parameter in y:
                parameter -= RATE_Y * parameter.grad
        adamw.zero_grad()
        model.loss(batch).backward()
        if limit:
            torch.nn.utils.clip_grad_norm_([*x, *head], limit)
        adamw.step()
    for name in ("personal", "global"):
        one, other = found.adapter(name), by_hand.adapter(name)
        for weight, pair in one.weights.items():
            np.testing.assert_allclose(pair.B, other.weights[weight].B, atol=2e-6)
            np.testing.assert_allclose(pair.A, other.weights[weight].A, atol=2e-6)
    moved = found.adapter("personal").weights["encoder.layer.0.attention.self.query"].B
    assert np.abs(moved).max() > (1e-6 if limit == 1e-3 else 1e-5)


def test_a_long_private_gradient_moves_the_private_adapter_no_further_than_its_limit(joint, start_of) -> None:
    """At a rate that otherwise throws it away: as far as the limit times the rate in each step, and no further."""
    rate, limit = 1e3, 1e-4
    trainer = joint(rate=rate, max_grad_norm=limit)
    before = trainer.adapter("personal")
    trainer.train_round(1, start_of())
    after = trainer.adapter("personal")
    moved = np.linalg.norm(
        [
            np.linalg.norm(getattr(pair, side) - getattr(before.weights[name], side))
            for name, pair in after.weights.items()
            for side in ("A", "B")
        ]
    )
    assert 0 < moved <= rate * limit * trainer.steps * (1 + 1e-5)


def test_the_update_is_the_change_of_the_shared_adapter_alone(joint, start_of) -> None:
    trainer = joint()
    update = trainer.learn(1, start_of(), None)
    after = trainer.adapter("global")
    for name, pair in after.weights.items():
        np.testing.assert_allclose(update.weights[name].product(), 2.0 * pair.B @ pair.A, atol=1e-12)


@pytest.mark.parametrize("payload", ["dense", "sketch", "basis", "state", "core"])
def test_nothing_of_the_private_adapter_stands_in_an_update_whatever_the_payload(
    joint, start_of, plan_of, payload: str
) -> None:
    plan = plan_of(payload)
    trainer = joint(payload=payload, update_rank=plan.update_rank(4), shared_rank=plan.ranks.shared_rank)
    made = plan.for_round(1)
    update = trainer.learn(1, start_of(), made.frozen)
    private = trainer.adapter("personal")
    before = trainer.adapter("personal").digest
    sent = [matrix for pair in update.weights.values() for matrix in (pair.left, pair.right)]
    values = np.concatenate([matrix.ravel() for matrix in (*sent, *update.heads.values())])
    for pair in private.weights.values():
        moved = pair.B[pair.B != 0]
        assert moved.size
        for scale in (1.0, 4.0, -4.0):
            assert not np.isin(scale * moved, values).any()
    assert trainer.adapter("personal").digest == before


def test_the_private_adapter_goes_on_where_its_last_round_ended(joint, start_of) -> None:
    trainer = joint()
    trainer.learn(1, start_of(), None)
    first = trainer.adapter("personal")
    trainer.learn(2, start_of(), None)
    second = trainer.adapter("personal")
    assert first.digest != second.digest

    fresh = joint()
    fresh.learn(2, start_of(), None)
    assert fresh.adapter("personal").digest != second.digest


def test_the_sum_of_both_is_an_adapter_of_both_ranks_together(joint, start_of) -> None:
    trainer = joint()
    trainer.learn(1, start_of(), None)
    result = trainer.fuse()
    assert (result.w_global, result.w_personal, result.candidates, result.rank) == (1.0, 1.0, 1, 6)
    shared, own, fused = (trainer.adapter(which) for which in ("global", "personal", "fused"))
    for name, pair in fused.weights.items():
        assert pair.A.shape[0] == 6
        both = 2.0 * shared.weights[name].B @ shared.weights[name].A
        both = both + 4.0 * own.weights[name].B @ own.weights[name].A
        np.testing.assert_allclose(pair.B @ pair.A, both, atol=1e-6)
    for name, head in fused.heads.items():
        np.testing.assert_allclose(head, shared.heads[name], atol=1e-7)


def test_the_sum_measures_what_both_compute_together(joint, start_of) -> None:
    trainer = joint()
    trainer.learn(1, start_of(), None)
    trainer.fuse()
    bank, rows = trainer._bank, trainer._rows.test
    batch = rows.batch(np.arange(8), device=torch.device("cpu"))
    with torch.inference_mode():
        together = bank.use(("personal", "global"), head="global").outcomes(batch)
        summed = bank.use(("fused",), head="fused").outcomes(batch)
        shared = bank.use(("global",), head="global").outcomes(batch)
    torch.testing.assert_close(summed, together, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(summed, shared, atol=1e-5)


def test_a_private_rate_that_leaves_the_finite_is_named(joint, start_of) -> None:
    with pytest.raises(TrainingError, match=r"lower personal\.learning_rate \(now 1e\+30\)"):
        joint(rate=1e30).learn(1, start_of(), None)


def test_fine_tuning_takes_the_rates_of_adamw_and_not_the_private_ones(joint, start_of) -> None:
    found, slow = joint(rate=1e20), joint(rate=1e-3)
    for trainer in (found, slow):
        trainer.install_global(start_of())
        trainer.fine_tune()
    assert found.adapter("fine-tuned").digest == slow.adapter("fine-tuned").digest


def test_sensitivity_is_that_of_both_adapters_together(joint, start_of) -> None:
    trainer, other = joint(), joint()
    for each in (trainer, other):
        each.learn(1, start_of(), None)
    own = trainer.adapter("personal")
    other._bank.install(
        "personal", replace(own, weights={n: replace(p, B=9 * p.B + 1) for n, p in own.weights.items()})
    )
    assert not np.array_equal(trainer.sensitivity(1), other.sensitivity(1))


def test_rounds_of_other_recipes_know_no_private_step(trainer_of, start_of) -> None:
    trainer = trainer_of()
    before = trainer.adapter("personal")
    trainer.learn(1, start_of(), None)
    assert trainer.adapter("personal").digest == before.digest


def test_layers_are_scored_with_the_private_adapter_beside_the_shared_one(joint, start_of) -> None:
    """As ``sensitivity`` is: what a round's loss depends on is the sum of both."""
    trainer = joint(rate=5.0)
    layers = [[t.name for t in trainer.layout.adapted if f"layer.{layer}." in t.name] for layer in range(2)]
    trainer.train_round(1, start_of())
    start = trainer.adapter("global")
    beside = trainer.layer_scores(2, start, layers)
    nothing = trainer.adapter("personal")
    for pair in nothing.weights.values():
        pair.B[:] = 0.0
    trainer._bank.install("personal", nothing)
    assert not np.allclose(beside, trainer.layer_scores(2, start, layers), rtol=1e-3)
