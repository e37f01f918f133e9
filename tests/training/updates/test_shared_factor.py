"""A step of the shared adapter's factor: of one model for all ranks, and exactly what the round computed with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from securefl.adapters.frozen.basis import Side
from securefl.adapters.update import Adapter, MeanUpdate, Update
from securefl.config.training import TrainingSection
from securefl.training.loops import evaluate

pytestmark = pytest.mark.slow


@pytest.fixture
def plan(plan_of):
    """Ranks 2, 4, 8, 8: R is 4, with c_max 1."""
    return plan_of("state")


def mean_of(update: Update) -> MeanUpdate:
    return MeanUpdate(weights=update.weights, heads=update.heads)


def begun(plan, trainer, state, number):
    """A client's update from the start of a round."""
    rank = trainer._settings.rank
    start = state.redistributed(rank, scaling=8 / rank)
    return trainer.train_round(number, start, plan.for_round(number, state.learned).frozen).update


def after(plan, trainer_of, rounds):
    """The state after rounds of one client of rank 8 alone."""
    state, trainer = plan.start(), trainer_of(payload="state", rank=8)
    for number in range(1, rounds + 1):
        state = state.advanced(mean_of(begun(plan, trainer, state, number)))
    return state


def first_loss(settings_of, trainer_of, plan, state, *, rank):
    """Training loss of the first step of round 3, before anything of it has moved."""
    training = settings_of().training.model_dump() | {"num_train_epochs": 1e-6}
    trainer = trainer_of(payload="state", rank=rank, training=TrainingSection(**training))
    start = state.redistributed(rank, scaling=8 / rank)
    return trainer.train_round(3, start, plan.for_round(3, state.learned).frozen).loss


@pytest.mark.parametrize(("number", "side"), [(1, Side.LEFT), (2, Side.RIGHT), (3, Side.LEFT)])
@pytest.mark.parametrize("rank", [2, 8])
def test_a_step_stands_against_the_clients_directions_of_the_frozen_factor(
    plan, trainer_of, number, side, rank
):
    state = after(plan, trainer_of, number - 1)
    update = begun(plan, trainer_of(payload="state", rank=rank), state, number)
    for name, factors in update.weights.items():
        pair = state.learned[name]
        frozen, trained = (
            (factors.right, factors.left) if side is Side.LEFT else (factors.left, factors.right)
        )
        width = min(rank, plan.ranks.shared_rank)
        expected = pair.A[:width] if side is Side.LEFT else pair.B[:, :width]
        np.testing.assert_array_equal(frozen, expected)
        assert np.abs(trained).max() > 1e-5


def test_a_client_of_low_rank_computes_with_the_whole_shared_adapter(plan, settings_of, trainer_of):
    state = after(plan, trainer_of, 2)
    low, high = (first_loss(settings_of, trainer_of, plan, state, rank=rank) for rank in (2, 8))
    assert low == pytest.approx(high, abs=1e-6)
    cut = state.redistributed(2, scaling=1.0)
    gone = [
        np.linalg.norm(pair.B @ pair.A - cut.weights[name].B @ cut.weights[name].A)
        for name, pair in state.learned.items()
    ]
    # Otherwise there would be nothing to leave out.
    assert max(gone) > 1e-3


@pytest.mark.parametrize("rounds", [0, 1])
def test_a_round_computes_with_what_its_update_says(plan, trainer_of, rounds):
    """One client alone: its update, applied as the mean, must be the model that it trained."""
    state, trainer = after(plan, trainer_of, rounds), trainer_of(payload="state", rank=8)
    update = begun(plan, trainer, state, rounds + 1)
    model = trainer._bank.use(("shared", "local-update"), head="local-update")
    trained = evaluate(
        model, trainer._rows.test, trainer._settings.task.metric, batch_size=8, compute=trainer._compute
    )
    advanced = state.advanced(mean_of(update))
    trainer.install_global(advanced.redistributed(8, scaling=8 / 8))
    assert trainer.measure("global").loss == pytest.approx(trained.loss, abs=1e-5)


@pytest.mark.parametrize("rank", [2, 4, 8])
def test_every_client_trains_with_the_scaling_of_the_shared_rank(plan, trainer_of, rank):
    bank = trainer_of(payload="state", rank=rank)._bank
    shared = plan.ranks.shared_rank
    assert bank.rank("shared") == shared
    assert bank.rank("local-update") == min(rank, shared)
    assert bank.scaling("shared") == bank.scaling("local-update") == 8 / shared


def test_the_step_is_that_of_the_shared_factor_itself(plan, trainer_of):
    """The same round trained on the shared adapter's own B ends at the same B, to float32 rounding."""
    state, trainer = after(plan, trainer_of, 2), trainer_of(payload="state", rank=4)
    update = begun(plan, trainer, state, 3)

    own = trainer_of(payload="state", rank=4)
    scaling = own._bank.scaling("shared")
    start = state.redistributed(4, scaling=2.0)
    own.install_global(start)
    pairs = {name: replace(pair, B=pair.B / scaling) for name, pair in state.learned.items()}
    zero = {name: replace(pair, A=0 * pair.A, B=0 * pair.B) for name, pair in state.learned.items()}
    own._bank.install("local-update", Adapter(pairs, start.heads))
    own._bank.install("shared", Adapter(zero, start.heads))
    own._loop.fit(3, lambda: own._bank.train("local-update", Side.LEFT), used=("shared", "local-update"))
    for name, pair in own._bank.adapter("local-update").weights.items():
        step = scaling * pair.B - state.learned[name].B
        np.testing.assert_allclose(step, update.weights[name].left, atol=1e-4)
