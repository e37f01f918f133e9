"""HetLoRA's pruning: a client gives its last directions up if a round has made them smaller."""

from __future__ import annotations

import numpy as np
import pytest

from securefl.adapters.update import Adapter, Factors, LoraFactors, Update
from securefl.training.rank_pruning import directions_left, tail_of

SCALING = 2.0


def left_of(*, rank: int, trained: int, by: float, heads: float = 1.0) -> int:
    """Directions left where a round has multiplied the tail's B by a factor, and all else by another one."""
    rng = np.random.default_rng(1)
    start = Adapter(
        {n: LoraFactors(A=rng.normal(size=(rank, 6)), B=rng.normal(size=(5, rank))) for n in "ab"}, {}
    )
    weights = {}
    for name, pair in start.weights.items():
        B = heads * SCALING * pair.B
        B[:, tail_of(trained)] = by * SCALING * pair.B[:, tail_of(trained)]
        weights[name] = Factors(left=B, right=pair.A)
    return directions_left(start, Update(weights, {}), scaling=SCALING, trained=trained)


@pytest.mark.parametrize(
    ("rank", "tail"), [(1, (0, 1)), (4, (3, 4)), (8, (7, 8)), (16, (14, 16)), (24, (21, 24))]
)
def test_the_tail_is_an_eighth_and_at_least_one_direction(rank: int, tail: tuple[int, int]) -> None:
    assert tail_of(rank) == slice(*tail)


@pytest.mark.parametrize(("by", "left"), [(0.9, 14), (1.0, 16), (1.1, 16)])
def test_a_tail_that_a_round_has_made_smaller_is_given_up(by: float, left: int) -> None:
    assert left_of(rank=16, trained=16, by=by) == left


def test_other_directions_have_no_part_in_the_choice() -> None:
    assert left_of(rank=16, trained=16, by=1.1, heads=0.1) == 16
    assert left_of(rank=16, trained=16, by=0.9, heads=9.0) == 14


def test_the_tail_of_a_client_that_has_pruned_is_the_last_of_what_it_trains() -> None:
    assert left_of(rank=16, trained=14, by=0.9) == 13


def test_the_last_direction_is_kept() -> None:
    assert left_of(rank=4, trained=1, by=0.1) == 1


def test_a_start_of_zeros_never_shrinks() -> None:
    zeros = Adapter({"a": LoraFactors(A=np.ones((4, 6)), B=np.zeros((5, 4)))}, {})
    update = Update({"a": Factors(left=np.ones((5, 4)), right=np.ones((4, 6)))}, {})
    assert directions_left(zeros, update, scaling=SCALING, trained=4) == 4


@pytest.mark.slow
def test_a_trainer_trains_only_the_directions_that_it_was_left(trainer_of, plan_of, settings_of) -> None:
    training = settings_of().training.model_copy(update={"rank_penalty": 1e-3, "rank_pruning": True})
    trainer = trainer_of(payload="factors", rank=4, training=training)
    start = plan_of("factors").start().redistributed(4, scaling=2.0)
    for pair in start.weights.values():
        pair.A[3:], pair.B[:, 3:] = 0.0, 0.0
    trainer.keep_first(3)
    update = trainer.learn(1, start)
    assert trainer.kept_directions() == 3
    for name, pair in update.weights.items():
        assert not pair.left[:, 3:].any()
        assert not pair.right[3:].any()
        assert pair.left[:, :3].any()
        assert not np.array_equal(pair.right[:3], start.weights[name].A[:3])


@pytest.mark.slow
def test_a_strong_penalty_makes_a_trainer_give_directions_up(trainer_of, plan_of, settings_of) -> None:
    training = settings_of().training.model_copy(update={"rank_penalty": 100.0, "rank_pruning": True})
    trainer = trainer_of(payload="factors", rank=4, training=training)
    start = plan_of("factors").start().redistributed(4, scaling=2.0)
    for pair in start.weights.values():
        pair.B[:] = 0.1
    trainer.keep_first(4)
    trainer.learn(1, start)
    assert trainer.kept_directions() == 3
