"""A shared A beside a B of the client's own."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_a_client_goes_on_from_its_own_b_and_the_cohorts_a(trainer_of, plan_of) -> None:
    plan = plan_of("factors")
    trainer = trainer_of(payload="factors", rank=4, shares="right")
    start = plan.start().redistributed(4, scaling=2.0)
    first = trainer.learn(1, start)
    for name, pair in trainer._bank.adapter("local-update").weights.items():
        np.testing.assert_array_equal(
            trainer._bank.scaling("local-update") * pair.B, first.weights[name].left
        )
    trainer.install_global(start)
    for name, pair in trainer.adapter("global").weights.items():
        assert pair.B.any()
        np.testing.assert_array_equal(trainer._bank.scaling("global") * pair.B, first.weights[name].left)
        np.testing.assert_array_equal(pair.A, start.weights[name].A.astype(np.float32))
    second = trainer.learn(2, start)
    for name, factors in second.weights.items():
        before = first.weights[name]
        # One round more from the same B is nearer to it than to zeros, where the first one began.
        assert np.linalg.norm(factors.left - before.left) < np.linalg.norm(factors.left)
        assert not np.array_equal(factors.left, before.left)


def test_both_factors_shared_begin_every_round_from_the_cohorts(trainer_of, plan_of) -> None:
    plan = plan_of("factors")
    trainer = trainer_of(payload="factors", rank=8)
    start = plan.start().redistributed(8, scaling=1.0)
    update = trainer.learn(1, start)
    shared = plan.ranks.shared_rank
    for tensor in plan.layout.adapted:
        factors = update.weights[tensor.name]
        assert factors.left.shape == (tensor.rows, min(8, shared))
        assert factors.right.shape == (min(8, shared), tensor.columns)
    trainer.install_global(start)
    assert not any(pair.B.any() for pair in trainer.adapter("global").weights.values())
