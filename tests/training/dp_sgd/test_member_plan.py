"""A member's plan binds its file, its rows and the noise."""

from __future__ import annotations

import pytest

pytest.importorskip("dp_accounting")

from securefl.config.privacy import ExamplePrivacySection
from securefl.config.training import TrainingSection
from securefl.errors import ConfigError
from securefl.training.dp_sgd.member_plan import member_plan

TRAINING = TrainingSection(per_device_train_batch_size=100, num_train_epochs=2)


def section(**keys: object) -> ExamplePrivacySection:
    return ExamplePrivacySection.model_validate(
        {"unit": "example", "target_epsilon": 3.0, "clip": 0.5} | keys
    )


def test_sampling_steps_and_clip_are_those_of_the_file() -> None:
    plan = member_plan(section(clipping="per-layer"), TRAINING, rows=950, rounds=3)
    release = plan.release
    assert release.sampling_probability == pytest.approx(100 / 950)
    assert (release.steps, release.clip, release.clipping) == (20, 0.5, "per-layer")
    assert 0.98 * 3.0 < plan.epsilon <= 3.0


def test_the_noise_falls_with_epsilon_and_grows_with_rounds() -> None:
    usual = member_plan(section(), TRAINING, rows=950, rounds=3).noise_multiplier
    assert member_plan(section(target_epsilon=8.0), TRAINING, rows=950, rounds=3).noise_multiplier < usual
    assert member_plan(section(), TRAINING, rows=950, rounds=9).noise_multiplier > usual


def test_more_rows_of_a_person_need_more_noise() -> None:
    usual = member_plan(section(), TRAINING, rows=950, rounds=3).noise_multiplier
    persons = section(group_column="patient", max_per_group=3)
    assert member_plan(persons, TRAINING, rows=950, rounds=3).noise_multiplier > 2 * usual


def test_fewer_rows_than_a_batch_are_all_drawn_in_each_step() -> None:
    assert member_plan(section(), TRAINING, rows=60, rounds=1).release.sampling_probability == 1.0


def test_a_delta_that_could_give_a_row_away_is_refused() -> None:
    with pytest.raises(ConfigError, match="delta"):
        member_plan(section(delta=1e-2), TRAINING, rows=950, rounds=3)
