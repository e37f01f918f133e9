"""The personal adapter is tuned on validation rows, keeps its AdamW, and its best round stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from securefl.config.personal import PersonalSection
from securefl.config.training import TrainingSection
from securefl.errors import TrainingError
from securefl.training.loops import Progress
from securefl.training.personal import personal_rates
from securefl.training.tasks.base import Metric
from securefl.training.trainer import LocalTrainer

pytestmark = pytest.mark.slow


@pytest.fixture
def tuned(settings_of, client_data):
    """A fresh trainer whose personal adapter tries these scales."""

    def trainer(*scales: float, **fields: object) -> LocalTrainer:
        section = PersonalSection(rate_scales=scales, **fields)
        return LocalTrainer(replace(settings_of(), personal=section), client_data)

    return trainer


def head(trainer: LocalTrainer) -> np.ndarray:
    return trainer.adapter("personal").heads["classifier.weight"]


def test_rates_are_those_of_training_unless_the_section_has_its_own() -> None:
    training = TrainingSection(learning_rate=1e-3, head_learning_rate=5e-3)
    rates = personal_rates(PersonalSection(), training)
    assert (rates.factors, rates.head, rates.section) == (1e-3, 5e-3, "personal")
    own = personal_rates(PersonalSection(learning_rate=2.0, head_learning_rate=3.0), training)
    assert (own.factors, own.head) == (2.0, 3.0)


def test_the_scale_with_the_least_validation_loss_goes_on(tuned):
    alone = {}
    for scale in (1.0, 0.3, 0.01):
        trainer = tuned(scale)
        trainer.train_personal(1)
        alone[scale] = trainer.measure("personal", part="validation").loss
    best = min(alone, key=alone.get)
    for order in ((1.0, 0.3, 0.01), (0.01, 0.3, 1.0)):
        trainer = tuned(*order)
        trainer.train_personal(1)
        assert trainer._personal.rate_scale == best
        assert trainer.measure("personal", part="validation").loss == alone[best]


def test_a_chosen_scale_goes_on_as_if_it_had_been_the_only_one(tuned):
    trials, alone = tuned(0.01, 1.0), tuned(1.0)
    losses = [[trainer.train_personal(number) for number in (1, 2)] for trainer in (trials, alone)]
    assert trials._personal.rate_scale == 1.0
    assert losses[0] == losses[1]
    assert np.array_equal(head(trials), head(alone))


def test_adamw_lives_across_rounds(trainer_of, settings_of):
    constant = settings_of().training.model_copy(update={"lr_scheduler_type": "constant"})
    trainer, reset = trainer_of(training=constant), trainer_of(training=constant)
    for each in (trainer, reset):
        each.train_personal(1)
    # The same values and batches, and an AdamW that knows nothing of the first round.
    reset._personal._optimiser = None
    for each in (trainer, reset):
        each.train_personal(2)
    assert not np.array_equal(head(trainer), head(reset))


def test_a_scale_that_explodes_is_out_and_another_goes_on(tuned):
    with pytest.raises(TrainingError, match=r"lower personal.learning_rate \(now 1e\+20\)"):
        tuned(1.0, learning_rate=1e20).train_personal(1)
    mixed, sane = tuned(100.0, 1e-20, learning_rate=1e18), tuned(1e-20, learning_rate=1e18)
    for trainer in (mixed, sane):
        trainer.train_personal(1)
    assert mixed._personal.rate_scale == 1e-20
    assert np.array_equal(head(mixed), head(sane))


def test_steps_are_counted_over_all_scales(settings_of, client_data):
    seen: list[Progress] = []
    settings = replace(settings_of(), personal=PersonalSection(rate_scales=(1.0, 0.3, 0.1)))
    trainer = LocalTrainer(settings, client_data, step_sink=seen.append)
    trainer.train_personal(1)
    steps = trainer.steps
    assert [progress.step for progress in seen] == list(range(1, 3 * steps + 1))
    assert {(progress.what, progress.steps) for progress in seen} == {("personal", 3 * steps)}


def test_the_best_round_by_the_validation_rows_stays(trainer_of, monkeypatch):
    trainer = trainer_of()
    merits = iter([0.2, 0.7, 0.7, 0.4])
    monkeypatch.setattr(
        trainer._personal,
        "_validate",
        lambda: Metric(name="accuracy", value=next(merits), loss=1.0, samples=10),
    )
    heads = []
    for number in range(1, 5):
        trainer.train_personal(number)
        heads.append(head(trainer))
    assert np.array_equal(head(trainer), heads[3])
    trainer.keep_best_personal()
    assert np.array_equal(head(trainer), heads[1])
    assert trainer._personal.best.number == 2


def test_before_any_round_the_start_stays(trainer_of):
    trainer = trainer_of()
    trainer.keep_best_personal()
    assert not head(trainer).any()
