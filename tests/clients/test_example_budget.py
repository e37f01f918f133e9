"""Private rounds are planned from the rows that are trained on; the others hear that a budget is spent, and no more."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("dp_accounting")

from securefl.config.privacy import ExamplePrivacySection
from securefl.config.training import TrainingSection
from securefl.errors import BudgetError
from securefl.privacy.budget import Budget
from securefl.privacy.sampled_training import SampledTraining
from securefl.protocol.last_words import sentence_for
from securefl.training.rows.examples import ClientData, Examples
from securefl_client.example_budget import planned_release

PRIVACY = ExamplePrivacySection.model_validate(
    {"unit": "example", "target_epsilon": 2.0, "accountant": "rdp"}
)
ROUNDS = 3


def part(first: int, count: int) -> Examples:
    texts = tuple((f"row {number}",) for number in range(first, first + count))
    return Examples(texts, np.arange(count)[:, None] % 2)


DATA = ClientData(train=part(0, 200), validation=part(200, 20), test=part(220, 20))


@pytest.fixture(scope="module")
def release() -> SampledTraining:
    """Of each round, so that three of them keep the target."""
    return planned_release(PRIVACY, TrainingSection(per_device_train_batch_size=20), DATA, rounds=ROUNDS)


def test_the_release_follows_from_the_rows_that_are_trained_on(release: SampledTraining) -> None:
    assert release.sampling_probability == pytest.approx(20 / 200)
    assert release.steps == 10


def test_all_planned_rounds_fit_a_budget_of_the_target_and_one_more_does_not(
    release: SampledTraining,
) -> None:
    budget = Budget(unit="example", epsilon=2.0, delta=1e-5, accountant="rdp")
    assert budget.affordable((), release.event, most=ROUNDS + 5) == ROUNDS


def test_the_others_are_told_that_a_budget_is_spent_and_not_how_large_it_is(release: SampledTraining) -> None:
    budget = Budget(unit="example", epsilon=2.0, delta=1e-5, accountant="rdp")
    with pytest.raises(BudgetError) as caught:
        budget.require((release.event,) * ROUNDS, release.event, round_number=4, rounds=4)
    assert sentence_for(caught.value) == "its privacy budget allows no further round on its data"
