"""Penalties of the shared adapter's rounds: FedProx's distance from the start, beside HetLoRA's tail."""

from __future__ import annotations

import pytest

from securefl.config.training import TrainingSection

pytestmark = pytest.mark.slow


def trainable():
    import torch
    from torch import nn

    from securefl.training.adapter_bank import Trainable

    torch.manual_seed(0)
    factors = {
        "query.lora_B": nn.Parameter(torch.randn(6, 4)),
        "query.lora_A": nn.Parameter(torch.randn(4, 5)),
    }
    return Trainable(factors, {"weight": nn.Parameter(torch.randn(3, 6))})


def test_without_penalties_there_is_nothing_to_add() -> None:
    from securefl.training.penalties import penalty_of

    assert penalty_of(trainable(), TrainingSection()) is None


def test_the_proximal_term_is_half_the_squared_distance_from_the_rounds_start() -> None:
    import torch

    from securefl.training.penalties import penalty_of

    made = trainable()
    penalty = penalty_of(made, TrainingSection(proximal=0.5))
    assert penalty is not None
    assert penalty().item() == 0.0
    with torch.no_grad():
        made.factors["query.lora_A"].add_(2.0)
        made.head["weight"][0, 0] += 3.0
    assert penalty().item() == pytest.approx(0.5 / 2 * (4.0 * 20 + 9.0))
    penalty().backward()
    assert made.head["weight"].grad[0, 0].item() == pytest.approx(0.5 * 3.0)
    assert not made.factors["query.lora_B"].grad.any()


def test_both_penalties_are_added() -> None:
    import torch

    from securefl.training.penalties import penalty_of
    from securefl.training.tail_penalty import tail_penalty

    made = trainable()
    penalty = penalty_of(made, TrainingSection(proximal=0.5, rank_penalty=0.25))
    assert penalty is not None
    with torch.no_grad():
        made.head["weight"].add_(1.0)
    expected = tail_penalty(made, strength=0.25).item() + 0.25 * 18
    assert penalty().item() == pytest.approx(expected)


@pytest.mark.parametrize("payload", ["dense", "factors", "state"])
def test_a_round_with_a_proximal_term_stays_nearer_to_its_start(
    trainer_of, plan_of, start_of, settings_of, payload
) -> None:
    import numpy as np

    plan, moved = plan_of(payload), []
    for strength in (0.0, 100.0):
        training = settings_of().training.model_copy(update={"proximal": strength})
        trainer = trainer_of(
            payload=payload,
            training=training,
            update_rank=plan.update_rank(4),
            shared_rank=plan.ranks.shared_rank,
        )
        update = trainer.learn(1, start_of(), plan.for_round(1).frozen)
        moved.append(np.linalg.norm([np.linalg.norm(head) for head in update.heads.values()]))
        private = trainer.adapter("personal").digest
        assert private == trainer_of().adapter("personal").digest
    assert 0 < moved[1] < 0.7 * moved[0]


def test_the_orthogonal_term_is_the_squared_overlap_of_both_row_spaces() -> None:
    import torch

    from securefl.training.penalties import orthogonality

    made = trainable()
    shared = {"query": torch.nn.Parameter(torch.randn(2, 5))}
    penalty = orthogonality(shared, made.factors, strength=0.5)
    overlap = shared["query"] @ made.factors["query.lora_A"].T
    assert penalty().item() == pytest.approx(0.5 * overlap.square().sum().item())
    penalty().backward()
    assert shared["query"].grad is None
    assert made.factors["query.lora_B"].grad is None
    torch.testing.assert_close(made.factors["query.lora_A"].grad, (overlap.T @ shared["query"]).detach())


def overlap_of(trainer) -> float:
    """Sum of squared overlaps of the personal adapter's rows and the global one's."""
    import numpy as np

    shared, own = trainer.adapter("global"), trainer.adapter("personal")
    return sum(
        float(np.square(pair.A @ own.weights[name].A.T).sum()) for name, pair in shared.weights.items()
    )


@pytest.mark.parametrize("personal", ["alone", "joint"])
def test_a_private_adapter_is_kept_orthogonal_to_the_shared_one(
    trainer_of, start_of, settings_of, personal
) -> None:
    from securefl.config.personal import PersonalSection
    from securefl.config.recipes.choices import Recipe

    left = []
    for strength in (0.0, 1.0):
        trainer = trainer_of(
            training=settings_of().training.model_copy(update={"orthogonal": strength, "max_grad_norm": 0.0}),
            recipe=Recipe(name="default", personal=personal),
            personal=PersonalSection(learning_rate=0.05, rate_scales=(1.0,)),
        )
        trainer.learn(1, start_of(), None)
        if personal == "alone":
            trainer.train_personal(1)
        left.append(overlap_of(trainer))
    assert left[1] < 0.5 * left[0]


def test_the_orthogonal_term_of_an_adapter_that_is_trained_alone_leaves_what_is_sent_as_it_is(
    trainer_of, start_of, settings_of
) -> None:
    import numpy as np

    sent = []
    for strength in (0.0, 1.0):
        trainer = trainer_of(training=settings_of().training.model_copy(update={"orthogonal": strength}))
        sent.append(trainer.learn(1, start_of(), None))
    for name, pair in sent[0].weights.items():
        np.testing.assert_array_equal(pair.left, sent[1].weights[name].left)
