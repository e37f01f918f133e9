"""Private rounds of a trainer: every payload trains, is charged once, and that after the rehearsal alone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from securefl.config.head import HeadSection
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.errors import ConfigError, TrainingError
from securefl.privacy.sampled_training import SampledTraining

pytestmark = pytest.mark.slow

RELEASE = SampledTraining(noise_multiplier=0.5, clip=1.0, clipping="flat", sampling_probability=0.2, steps=4)


def nothing(number: int, release: SampledTraining) -> None:
    """A charge that is always granted."""


@pytest.fixture
def private(settings_of, client_data):
    """A fresh trainer whose rounds are private."""
    from securefl.training.trainer import LocalTrainer

    def trainer(*, charge=nothing, release: SampledTraining = RELEASE, **fields: object) -> LocalTrainer:
        return LocalTrainer(settings_of(privacy=release, **fields), client_data, charge=charge)

    return trainer


@pytest.mark.parametrize("clipping", ["flat", "per-layer"])
def test_both_factors_of_every_weight_and_the_head_move(private, start_of, clipping) -> None:
    trainer, start = private(release=replace(RELEASE, clipping=clipping)), start_of()
    trainer.train_round(1, start)
    trained = trainer.adapter("global")
    for name, factors in trained.weights.items():
        assert not np.array_equal(factors.A, start.weights[name].A.astype(np.float32))
        assert not np.array_equal(factors.B, start.weights[name].B)
    assert all(values.any() and np.isfinite(values).all() for values in trained.heads.values())


def test_whole_factors_train_privately(private, start_of) -> None:
    start = start_of()
    update = private(payload="factors").train_round(1, start).update
    for name, factors in update.weights.items():
        assert factors.left.any()
        assert not np.array_equal(
            factors.right, start.weights[name].A[: len(factors.right)].astype(np.float32)
        )


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("payload", ["basis", "core"])
def test_payloads_with_frozen_factors_train_the_other_part_alone(
    private, plan_of, start_of, payload, number
) -> None:
    trainer = private(payload=payload)
    frozen = plan_of(payload).for_round(number).frozen
    update = trainer.train_round(number, start_of(), frozen).update
    assert all(np.abs(factors.left @ factors.right).max() > 0 for factors in update.weights.values())
    for name, factors in trainer.adapter("global").weights.items():
        np.testing.assert_array_equal(factors.A, start_of().weights[name].A.astype(np.float32))


def test_the_shared_factor_of_a_state_trains_privately(private, plan_of) -> None:
    plan = plan_of("state")
    state, trainer = plan.start(), private(payload="state", rank=8)
    frozen = plan.for_round(1, state.learned).frozen
    update = trainer.train_round(1, state.redistributed(8, scaling=1.0), frozen).update
    assert all(np.abs(factors.left @ factors.right).max() > 0 for factors in update.weights.values())


def test_a_round_is_charged_once_with_what_it_releases(private, start_of) -> None:
    charges: list[tuple[int, SampledTraining]] = []
    trainer = private(charge=lambda *charge: charges.append(charge))
    trainer.learn(1, start_of())
    trainer.learn(2, start_of())
    assert charges == [(1, RELEASE), (2, RELEASE)]
    assert math.isfinite(trainer.loss)


def test_a_refused_charge_leaves_the_adapter_as_it_was(private, start_of) -> None:
    def refuse(number: int, release: SampledTraining) -> None:
        raise ConfigError("the budget is spent")

    trainer, start = private(charge=refuse), start_of()
    with pytest.raises(ConfigError, match="the budget is spent"):
        trainer.train_round(1, start)
    for name, factors in trainer.adapter("global").weights.items():
        np.testing.assert_array_equal(factors.A, start.weights[name].A.astype(np.float32))
        np.testing.assert_array_equal(factors.B, start.weights[name].B)


def test_rounds_of_one_seed_differ_because_no_seed_reaches_the_noise(private, start_of) -> None:
    one, other = (private().train_round(1, start_of()).update for _ in range(2))
    assert all(not np.array_equal(one.heads[name], other.heads[name]) for name in one.heads)


def test_no_seed_of_the_federation_reaches_dropout(private, settings_of, start_of, monkeypatch) -> None:
    """Under a known seed one row more would change the masks, and so the gradients, of all rows behind it."""
    from securefl.training.dp_sgd.steps import PrivateSteps

    seeds, honest = set(), PrivateSteps.run
    monkeypatch.setattr(
        PrivateSteps, "run", lambda *args, **keys: seeds.add(torch.initial_seed()) or honest(*args, **keys)
    )
    lora = settings_of().lora.model_copy(update={"lora_dropout": 0.5})
    for _ in range(2):
        private(lora=lora).train_round(1, start_of())
    assert len(seeds) == 2


def test_the_physical_batch_does_not_change_what_is_trained(
    private, settings_of, start_of, known_noise
) -> None:
    updates = []
    for rows in (1, 7, None):
        known_noise()
        training = settings_of().training.model_copy(update={"micro_batch_size": rows})
        updates.append(private(training=training).train_round(1, start_of()).update)
    for other in updates[1:]:
        for name, values in updates[0].heads.items():
            np.testing.assert_allclose(other.heads[name], values, atol=1e-4)


def test_adapters_of_some_weights_alone_train_and_the_others_stay(private, start_of) -> None:
    trainer, start = private(), start_of()
    first = sorted(start.weights)[0]
    trainer.train_only(frozenset({first}))
    trainer.train_round(1, start)
    moved = {name for name, factors in trainer.adapter("global").weights.items() if factors.B.any()}
    assert moved == {first}


def test_the_personal_adapter_trains_without_noise_and_changes_no_update(private, start_of) -> None:
    trainer, start = private(), start_of()
    trainer.train_round(1, start)
    before = trainer.adapter("global")
    trainer.train_personal(1)
    for name, factors in trainer.adapter("global").weights.items():
        np.testing.assert_array_equal(factors.B, before.weights[name].B)


def test_much_noise_on_few_rows_drowns_what_little_noise_learns(
    private, settings_of, start_of, known_noise
) -> None:
    training = settings_of().training.model_copy(
        update={"learning_rate": 1e-2, "lr_scheduler_type": "constant"}
    )
    values = {}
    for noise in (0.05, 200.0):
        # A drowned model that guesses one colour of three by chance may guess 17 of 24 rows.
        known_noise()
        release = replace(RELEASE, noise_multiplier=noise, steps=60, sampling_probability=0.5)
        trainer = private(release=release, training=training)
        trainer.train_round(1, start_of())
        values[noise] = trainer.measure("global").value
    assert values[0.05] > 0.7 > values[200.0]


def test_private_rounds_without_a_record_of_charges_are_refused(private) -> None:
    with pytest.raises(ConfigError, match="records their charges"):
        private(charge=None)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"head": HeadSection(start="zeros")}, "head.rows"),
        (
            {
                "recipe": Recipe(name="joint", personal="joint", personal_rank=2),
                "personal_rank": 2,
                "fusion": FusionSection(finish="sum"),
            },
            "recipe.personal",
        ),
        ({"recipe": Recipe(name="seeded", personal="alone", seeding="personal")}, "recipe.seeding"),
    ],
    ids=["head by class", "joint adapter", "seeding round"],
)
def test_what_passes_rows_around_the_noise_is_refused_before_any_round(private, fields, said) -> None:
    with pytest.raises(ConfigError, match=said):
        private(**fields)


def bypass_head(bank) -> None:
    """The head's weight is used by a function: hooks on the linear module never see it, as Opacus's would not."""
    head = bank._heads["global"]
    bank.model.classified = lambda features: nn.functional.linear(features, head.weight, head.bias)


def mix_rows(bank) -> None:
    """A part of the batch's mean is taken away, as batch statistics do."""
    classified = bank.model.classified
    bank.model.classified = lambda features: classified(features - features.mean(dim=0, keepdim=True) / 2)


def cut_graph(bank) -> None:
    """One factor computes without a graph: noise alone would move it."""
    layer = next(iter(bank._layers.values()))
    inner = layer.lora_B["global"].forward

    def without_gradient(values: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return inner(values)

    layer.lora_B["global"].forward = without_gradient


def weigh_by_batch(bank) -> None:
    """Rows are weighted by the batch's mean loss, as hard-example mining does."""
    row_losses = bank.model.row_losses

    def weighted(batch) -> torch.Tensor:
        losses: torch.Tensor = row_losses(batch)
        return losses * losses.detach() / losses.detach().mean()

    bank.model.row_losses = weighted


@pytest.mark.parametrize("breaking", [bypass_head, mix_rows, cut_graph, weigh_by_batch])
def test_a_model_that_would_not_train_or_not_privately_is_refused_before_any_charge(
    private, start_of, breaking
) -> None:
    charges: list[int] = []
    trainer, start = private(charge=lambda number, release: charges.append(number)), start_of()
    breaking(trainer._bank)
    with pytest.raises(TrainingError):
        trainer.train_round(1, start)
    assert charges == []
    for name, factors in trainer.adapter("global").weights.items():
        np.testing.assert_array_equal(factors.B, start.weights[name].B)
