"""The penalty of HetLoRA on an adapter's last directions."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow


def trainable(rank: int, *, left: float):
    import torch
    from torch import nn

    from securefl.training.adapter_bank import Trainable

    torch.manual_seed(0)
    factors = {
        "query.lora_B": nn.Parameter(left * torch.randn(6, rank)),
        "query.lora_A": nn.Parameter(torch.randn(rank, 5)),
    }
    return Trainable(factors, {})


@pytest.mark.parametrize(("rank", "tail"), [(1, 1), (4, 1), (16, 2)])
def test_the_penalty_is_the_product_of_both_tails_norms(rank: int, tail: int) -> None:
    import torch

    from securefl.training.tail_penalty import tail_penalty

    made = trainable(rank, left=1.0)
    left, right = made.factors["query.lora_B"], made.factors["query.lora_A"]
    penalty = tail_penalty(made, strength=0.5)
    expected = 0.5 * torch.norm(left[:, rank - tail :]) * torch.norm(right[rank - tail :])
    assert penalty.item() == pytest.approx(expected.item())
    penalty.backward()
    assert not right.grad[: rank - tail].any()
    assert right.grad[rank - tail :].any()


def test_the_tail_of_a_pruned_adapter_is_the_last_of_what_it_has_kept() -> None:
    import torch

    from securefl.training.tail_penalty import tail_penalty

    made = trainable(16, left=1.0)
    left, right = made.factors["query.lora_B"], made.factors["query.lora_A"]
    expected = torch.norm(left[:, 8:9]) * torch.norm(right[8:9])
    assert tail_penalty(made, strength=1.0, kept=9).item() == pytest.approx(expected.item())


def test_a_start_of_zeros_in_b_has_finite_gradients() -> None:
    from securefl.training.tail_penalty import tail_penalty

    made = trainable(4, left=0.0)
    tail_penalty(made, strength=1.0).backward()
    assert all(parameter.grad.isfinite().all() for parameter in made.factors.values())


def test_a_round_with_a_penalty_ends_with_a_smaller_tail_and_leaves_the_personal_adapter_alone(
    trainer_of, plan_of
) -> None:
    import numpy as np

    from securefl.config.training import TrainingSection

    rates = {"learning_rate": 1e-2, "per_device_train_batch_size": 8, "device": "cpu", "precision": "float32"}
    tails, personal = [], []
    for strength in (0.0, 10.0):
        training = TrainingSection(**rates, rank_penalty=strength)
        trainer = trainer_of(payload="factors", rank=4, training=training)
        start = plan_of("factors").start().redistributed(4, scaling=2.0)
        update = trainer.learn(1, start)
        tails.append(
            sum(
                np.linalg.norm(pair.left[:, -1]) * np.linalg.norm(pair.right[-1])
                for pair in update.weights.values()
            )
        )
        trainer.train_personal(1)
        personal.append(trainer.adapter("personal").digest)
    assert tails[1] < 0.5 * tails[0]
    assert personal[0] == personal[1]
