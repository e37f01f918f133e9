"""Budgets of whole clients: all charges of one client's id count, whatever rows they were made on."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import pytest

pytest.importorskip("dp_accounting")

from securefl.errors import BudgetError, StateError
from securefl.ledger.budget_files import BudgetPlace
from securefl.ledger.row_marks import MarkedData
from securefl.privacy.budget import Budget
from securefl.privacy.events import DistributedGaussian, SampledGaussian
from securefl_client.data_budget import DataBudget

EVENT = DistributedGaussian(dimension=30, squared_sensitivity=40, share_variance=Fraction(40), honest=4)
NO_LIMIT = Budget(unit="client", epsilon=1000, delta=1e-5, accountant="rdp")
ONE, TWO, THREE = (NO_LIMIT.spent([EVENT] * rounds) for rounds in (1, 2, 3))
A, B, C = (bytes([number]) * 32 for number in (1, 2, 3))


def budget_of(
    folder: Path,
    numbers: Iterable[int],
    *,
    federation: bytes = A,
    client: str = "bank",
    epsilon: float = TWO,
) -> DataBudget:
    data = MarkedData.of([f"row {number}".encode() for number in numbers])
    return DataBudget(
        place=BudgetPlace(
            ledgers=folder / "ledgers",
            kept_receipts=folder / "receipts",
            client=client,
            data_fingerprint=data.fingerprint,
        ),
        marks=data.marks,
        budget=Budget(unit="client", epsilon=epsilon, delta=1e-5, accountant="rdp"),
        federation_digest=federation,
        rounds=5,
    )


def spend(budget: DataBudget, *numbers: int) -> None:
    for number in numbers:
        budget.reserve(number, EVENT)


@pytest.mark.parametrize("federation", [A, B], ids=["same federation", "another federation"])
@pytest.mark.parametrize(
    "numbers",
    [range(10), range(11), range(9), range(5, 15), range(100, 110), [7]],
    ids=["same", "a row more", "a row less", "half of them new", "all of them new", "one"],
)
def test_no_rows_give_a_client_its_budget_afresh(
    numbers: Iterable[int], federation: bytes, tmp_path: Path
) -> None:
    spend(budget_of(tmp_path, range(10)), 1, 2)
    changed = budget_of(tmp_path, numbers, federation=federation)
    with pytest.raises(BudgetError, match="budget"):
        changed.reserve(3, EVENT)
    assert changed.spending(EVENT).spent == pytest.approx(TWO)
    assert changed.spending(EVENT).affordable == 0


def test_charges_on_several_data_sets_of_one_client_add_up(tmp_path: Path) -> None:
    """The costliest data set alone would leave room."""
    spend(budget_of(tmp_path, range(10)), 1)
    spend(budget_of(tmp_path, range(20, 30), federation=B), 1)
    third = budget_of(tmp_path, range(40, 50), federation=C, epsilon=THREE)
    spend(third, 1)
    assert third.spending().spent == pytest.approx(THREE)
    assert third.spending().epsilon == pytest.approx(ONE)
    with pytest.raises(BudgetError):
        spend(third, 2)


def test_a_plan_sees_charges_on_other_rows_without_writing(tmp_path: Path) -> None:
    spend(budget_of(tmp_path, range(10)), 1)
    planned = budget_of(tmp_path, range(100, 110), federation=B)
    assert planned.look(EVENT).affordable == 1
    assert not planned.place.ledger.exists()


def test_another_client_with_rows_of_its_own_has_its_own_budget(tmp_path: Path) -> None:
    spend(budget_of(tmp_path, range(10)), 1, 2)
    spend(budget_of(tmp_path, range(20, 30), client="shop", federation=B), 1, 2)


def test_the_same_rows_under_another_id_have_their_charges(tmp_path: Path) -> None:
    spend(budget_of(tmp_path, range(10)), 1, 2)
    with pytest.raises(BudgetError):
        spend(budget_of(tmp_path, range(10), client="shop", federation=B), 1)


@pytest.mark.parametrize("gone", ["rows", "receipts", "key", "ledger"])
def test_a_missing_file_of_other_rows_frees_no_charge_of_the_client(gone: str, tmp_path: Path) -> None:
    spent = budget_of(tmp_path, range(10))
    spend(spent, 1, 2)
    getattr(spent.place, gone).unlink()
    with pytest.raises(StateError):
        budget_of(tmp_path, range(100, 110), federation=B).reserve(1, EVENT)


def test_charges_of_rows_cost_a_client_nothing(tmp_path: Path) -> None:
    """Units are charged apart."""
    rows = budget_of(tmp_path, range(10), epsilon=1000)
    rows.reserve(1, SampledGaussian(noise_multiplier=2.0, sampling_probability=1.0, steps=1))
    spend(budget_of(tmp_path, range(100, 110), federation=B), 1, 2)
