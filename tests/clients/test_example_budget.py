"""Private rounds are charged to the budget of their data, training by training, across federations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dp_accounting")

from securefl.config.privacy import ExamplePrivacySection
from securefl.config.training import TrainingSection
from securefl.errors import BudgetError
from securefl.ledger.budget_files import budget_file
from securefl.ledger.fingerprint import data_fingerprint
from securefl.privacy.budget import Budget
from securefl.privacy.sampled_training import SampledTraining
from securefl.protocol.last_words import sentence_for
from securefl.training.rows.examples import ClientData, Examples
from securefl_client.budget_store import open_budget
from securefl_client.example_budget import ExampleBudget, planned_release, rows_of

PRIVACY = ExamplePrivacySection.model_validate(
    {"unit": "example", "target_epsilon": 2.0, "accountant": "rdp"}
)
ROUNDS = 3


def part(first: int, count: int) -> Examples:
    texts = tuple((f"row {number}",) for number in range(first, first + count))
    return Examples(texts, np.arange(count)[:, None] % 2)


DATA = ClientData(train=part(0, 200), validation=part(200, 20), test=part(220, 20))


@pytest.fixture
def release() -> SampledTraining:
    """Of each round, so that three of them keep the target."""
    return planned_release(PRIVACY, TrainingSection(per_device_train_batch_size=20), DATA, rounds=ROUNDS)


@pytest.fixture
def budget(tmp_path: Path) -> ExampleBudget:
    return ExampleBudget(
        folder=tmp_path,
        member="bank",
        data_fingerprint=data_fingerprint(rows_of(DATA)),
        budget=Budget(unit="example", epsilon=2.0, delta=1e-5, accountant="rdp"),
        federation_digest=bytes([1]) * 32,
        rounds=ROUNDS,
    )


def charged(budget: ExampleBudget) -> list[tuple[int, int, str]]:
    path = budget_file(budget.folder, client="bank", data_fingerprint=budget.data_fingerprint)
    with open_budget(path, client="bank", data_fingerprint=budget.data_fingerprint) as ledger:
        return [(charge.round_number, charge.attempt, charge.release) for charge in ledger.charges]


def test_all_planned_rounds_fit_and_one_more_is_refused_without_a_charge(budget, release) -> None:
    for number in range(1, ROUNDS + 1):
        budget.charge(number, release)
    with pytest.raises(BudgetError, match="last affordable round is 3"):
        budget.charge(ROUNDS + 1, release)
    assert charged(budget) == [(number, 1, release.event.text) for number in range(1, ROUNDS + 1)]


def test_a_round_that_is_trained_again_is_charged_again(budget, release) -> None:
    budget.charge(1, release)
    budget.charge(1, release)
    assert charged(budget) == [(1, 1, release.event.text), (1, 2, release.event.text)]


def test_another_federation_on_the_same_data_finds_the_budget_spent(budget, release) -> None:
    for number in range(1, ROUNDS + 1):
        budget.charge(number, release)
    other = replace(budget, federation_digest=bytes([2]) * 32)
    with pytest.raises(BudgetError, match="budget of epsilon 2"):
        other.charge(1, release)


def test_rows_parted_by_another_seed_are_the_same_data() -> None:
    other = ClientData(train=DATA.train, validation=DATA.test, test=DATA.validation)
    assert data_fingerprint(rows_of(other)) == data_fingerprint(rows_of(DATA))
    fewer = replace(DATA, test=part(220, 19))
    assert data_fingerprint(rows_of(fewer)) != data_fingerprint(rows_of(DATA))


def test_the_release_follows_from_the_rows_that_are_trained_on(release) -> None:
    assert release.sampling_probability == pytest.approx(20 / 200)
    assert release.steps == 10


def test_the_others_are_told_that_a_budget_is_spent_and_not_how_large_it_is(budget, release) -> None:
    for number in range(1, ROUNDS + 1):
        budget.charge(number, release)
    with pytest.raises(BudgetError) as caught:
        budget.charge(ROUNDS + 1, release)
    assert sentence_for(caught.value) == "its privacy budget allows no further round on its data"
