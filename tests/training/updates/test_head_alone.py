"""Rounds of the head alone: no factor moves, with noise and without."""

from __future__ import annotations

import numpy as np
import pytest

from securefl.privacy.sampled_training import SampledTraining
from securefl.training.dp_sgd.private_rounds import refuse_unprotected

pytestmark = pytest.mark.slow

RELEASE = SampledTraining(noise_multiplier=0.5, clip=1.0, clipping="flat", sampling_probability=0.2, steps=4)


@pytest.fixture
def private(settings_of, client_data):
    """A fresh trainer whose rounds are private."""
    from securefl.training.trainer import LocalTrainer

    def trainer(**fields: object) -> LocalTrainer:
        return LocalTrainer(settings_of(privacy=RELEASE, **fields), client_data, charge=lambda *_: None)

    return trainer


def check_head_alone(trainer, start_of, plan_of) -> None:
    start = start_of()
    update = trainer.train_round(1, start, plan_of("head-only").for_round(1).frozen).update
    assert all(values.any() for values in update.heads.values())
    assert {factors.left.shape[1] for factors in update.weights.values()} == {0}
    for name, pair in trainer.adapter("global").weights.items():
        np.testing.assert_array_equal(pair.A, start.weights[name].A.astype(np.float32))
        assert not pair.B.any()


def test_a_round_trains_the_head_and_leaves_every_factor(trainer_of, start_of, plan_of) -> None:
    check_head_alone(trainer_of(payload="head-only"), start_of, plan_of)


def test_a_private_round_trains_the_head_and_leaves_every_factor(private, start_of, plan_of) -> None:
    check_head_alone(private(payload="head-only"), start_of, plan_of)


def test_noise_is_added_to_no_factor(private, start_of, plan_of) -> None:
    trainer = private(payload="head-only")
    trainer.train_round(1, start_of(), None)
    trainable = trainer._shared.limited(lambda: trainer._bank.train("global", None).only(frozenset()))
    assert trainable.factors == {}
    assert refuse_unprotected(trainer._settings, trainer._head) is None


def test_an_update_goes_through_the_payload_that_it_was_trained_for(trainer_of, start_of, plan_of) -> None:
    plan = plan_of("head-only")
    made = plan.for_round(1)
    update = trainer_of(payload="head-only").train_round(1, start_of(), made.frozen).update
    vector = np.concatenate(list(made.payload.encode(update, rank=4)))
    assert vector.size == plan.length(1) - plan.weighs(1) == sum(head.size for head in update.heads.values())
