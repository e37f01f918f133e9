"""A budget follows rows: over federations, files, splits, caps and names, and it cannot be turned back between runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

pytest.importorskip("dp_accounting")

from securefl.errors import BudgetError, StateError
from securefl.ledger.budget_files import BudgetPlace
from securefl.ledger.row_marks import MarkedData
from securefl.privacy.budget import Budget
from securefl.privacy.events import DistributedGaussian, Event, SampledGaussian
from securefl_client import data_budget
from securefl_client.data_budget import DataBudget

EVENT = SampledGaussian(noise_multiplier=2.0, sampling_probability=1.0, steps=1)
ONE = Budget(unit="example", epsilon=100, delta=1e-5, accountant="rdp").spent([EVENT])
TWO = Budget(unit="example", epsilon=100, delta=1e-5, accountant="rdp").spent([EVENT] * 2)
LIMIT = Budget(unit="example", epsilon=TWO, delta=1e-5, accountant="rdp")
A, B = bytes([1]) * 32, bytes([2]) * 32


def rows(numbers: Iterable[int]) -> list[bytes]:
    return [f"row {number}".encode() for number in numbers]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def budget_of(
    folder: Path,
    numbers: Iterable[int],
    *,
    client: str = "bank",
    federation: bytes = A,
    epsilon: float = TWO,
    persons: Iterable[bytes] = (),
    receipts: str = "receipts",
) -> DataBudget:
    data = MarkedData.of(rows(numbers), persons)
    return DataBudget(
        place=BudgetPlace(
            ledgers=folder / "ledgers",
            kept_receipts=folder / receipts,
            client=client,
            data_fingerprint=data.fingerprint,
        ),
        marks=data.marks,
        budget=Budget(unit="example", epsilon=epsilon, delta=1e-5, accountant="rdp"),
        federation_digest=federation,
        rounds=5,
    )


def spend(budget: DataBudget, *numbers: int) -> None:
    for number in numbers:
        budget.reserve(number, EVENT)


def test_a_round_too_many_is_refused_with_the_last_affordable_one_and_not_charged(folder: Path) -> None:
    budget = budget_of(folder, range(10))
    spend(budget, 1, 2)
    with pytest.raises(BudgetError, match="the last affordable round is 2"):
        budget.require(3, EVENT)
    with pytest.raises(BudgetError, match="the last affordable round is 2"):
        budget.reserve(3, EVENT)
    assert budget.spending().rounds == (1, 2)


def test_a_question_whether_a_round_fits_charges_nothing(folder: Path) -> None:
    budget = budget_of(folder, range(10))
    for _ in range(5):
        budget.require(1, EVENT)
    assert budget.spending(EVENT).affordable == 2


@pytest.mark.parametrize("ask", ["require", "spending"])
def test_other_clients_need_not_wait_while_a_question_is_accounted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    """A lock held through every client's accounting let one of four on a busy machine run out of patience."""
    fcntl = pytest.importorskip("fcntl")
    budget = budget_of(folder, range(10))
    spend(budget, 1)
    accounted = []

    def spent(self: Budget, events: Iterable[Event]) -> float:
        with (folder / "receipts" / ".lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        accounted.append(len(list(events)))
        return 0.0

    def shared(*given: object, **more: object) -> list[object]:
        with (folder / "receipts" / ".lock").open("r+") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return []

    monkeypatch.setattr(Budget, "spent", spent)
    monkeypatch.setattr(data_budget, "shared_charges", shared)
    budget.require(2, EVENT) if ask == "require" else budget.spending(EVENT)
    assert accounted


@pytest.mark.parametrize(
    ("numbers", "client"),
    [
        (range(10), "bank"),
        (reversed(range(10)), "bank"),
        ([*range(10), *range(5)], "bank"),
        (range(11), "bank"),
        (range(9, 30), "bank"),
        (range(3), "bank"),
        (range(10), "the same bank under another name"),
    ],
    ids=["same", "other order", "rows twice", "a row more", "one row shared", "a part", "other client"],
)
def test_another_federation_on_rows_that_were_charged_finds_them_charged(
    folder: Path, numbers: Iterable[int], client: str
) -> None:
    spend(budget_of(folder, range(10)), 1, 2)
    with pytest.raises(BudgetError):
        budget_of(folder, numbers, client=client, federation=B).reserve(1, EVENT)


def test_rows_that_were_never_charged_have_their_whole_budget(folder: Path) -> None:
    spend(budget_of(folder, range(10)), 1, 2)
    spend(budget_of(folder, range(10, 20), federation=B), 1, 2)


def test_the_same_person_in_new_rows_has_its_old_charges(folder: Path) -> None:
    spend(budget_of(folder, range(10), persons=[b"patient\x00ada"]), 1, 2)
    with pytest.raises(BudgetError):
        budget_of(
            folder, range(50, 60), persons=[b"patient\x00ada", b"patient\x00bob"], federation=B
        ).reserve(1, EVENT)
    spend(budget_of(folder, range(70, 80), persons=[b"patient\x00bob"], federation=B), 1, 2)


def test_naming_persons_later_is_no_new_budget(folder: Path) -> None:
    spend(budget_of(folder, range(10)), 1, 2)
    with pytest.raises(BudgetError):
        budget_of(folder, range(10), persons=[b"patient\x00ada"], federation=B).reserve(1, EVENT)


@pytest.mark.parametrize("more", [range(11), range(9), [*range(9), 77]], ids=["added", "removed", "changed"])
def test_data_that_changes_within_a_federation_keeps_its_charges(folder: Path, more: Iterable[int]) -> None:
    spend(budget_of(folder, range(10)), 1, 2)
    changed = budget_of(folder, more)
    with pytest.raises(BudgetError):
        changed.reserve(3, EVENT)
    assert changed.spending(EVENT).spent == pytest.approx(TWO)
    assert changed.spending(EVENT).epsilon == pytest.approx(TWO)


def test_another_federation_adds_up_all_charges_of_one_client_there(folder: Path) -> None:
    spend(budget_of(folder, range(10)), 1)
    spend(budget_of(folder, range(11)), 2)
    with pytest.raises(BudgetError):
        budget_of(folder, range(10), federation=B).reserve(1, EVENT)


def test_two_clients_of_one_federation_with_the_same_rows_are_charged_together(folder: Path) -> None:
    spend(budget_of(folder, range(10)), 1)
    twin = budget_of(folder, range(12), client="shop")
    spend(twin, 1)
    with pytest.raises(BudgetError):
        spend(twin, 2)


def test_a_whole_client_is_charged_for_all_of_its_data(folder: Path) -> None:
    event = DistributedGaussian(dimension=30, squared_sensitivity=40, share_variance=Fraction(40), honest=4)

    def whole(numbers: Iterable[int], client: str = "bank") -> DataBudget:
        rows_budget = budget_of(folder, numbers, client=client, federation=bytes([next(federations)]) * 32)
        limit = replace(rows_budget.budget, unit="client", epsilon=100)
        return replace(rows_budget, budget=replace(limit, epsilon=limit.spent([event] * 2)))

    federations = iter(range(1, 9))
    first = whole(range(10))
    first.reserve(1, event)
    first.reserve(2, event)
    with pytest.raises(BudgetError):
        whole(range(100, 110)).reserve(1, event)
    whole(range(200, 210), client="shop").reserve(1, event)


def test_a_row_at_two_clients_of_one_federation_is_charged_at_each_of_them_alone(folder: Path) -> None:
    spend(budget_of(folder, range(10)), 1, 2)
    other = budget_of(folder, range(9, 20), client="shop")
    spend(other, 1, 2)
    with pytest.raises(BudgetError):
        spend(other, 3)


def test_of_two_clients_of_an_earlier_federation_the_costlier_one_counts(folder: Path) -> None:
    spend(budget_of(folder, range(10)), 1)
    spend(budget_of(folder, range(9, 20), client="shop"), 1)
    later = budget_of(folder, range(9, 10), client="shop", federation=B)
    spend(later, 1)
    with pytest.raises(BudgetError):
        spend(later, 2)


def test_a_round_that_is_trained_again_before_anything_left_is_charged_once(folder: Path) -> None:
    budget = budget_of(folder, range(10), epsilon=ONE)
    spend(budget, 1, 1)
    budget.require(1, EVENT)
    assert (budget.spending().rounds, budget.spending().trainings) == ((1,), 1)


def test_a_round_that_is_trained_again_after_its_update_may_have_left_is_charged_again(folder: Path) -> None:
    budget = budget_of(folder, range(10))
    spend(budget, 1)
    budget.contribute(1, body_digest=A)
    spend(budget, 1)
    assert (budget.spending().rounds, budget.spending().trainings) == ((1,), 2)
    budget.contribute(1, body_digest=B)
    with pytest.raises(BudgetError):
        spend(budget, 1)


def test_a_larger_budget_of_the_owner_does_not_raise_what_a_federation_promises(folder: Path) -> None:
    """A round that was trained again would cost the federation more than all of its rounds were to cost."""
    own = replace(budget_of(folder, range(10), epsilon=100), promise=LIMIT)
    spend(own, 1)
    own.contribute(1, body_digest=A)
    assert own.spending(EVENT).affordable == 1
    spend(own, 1)
    with pytest.raises(BudgetError, match=r"round 2 of 5 would bring .* to epsilon .* is promised"):
        own.require(2, EVENT)
    with pytest.raises(BudgetError, match="is promised"):
        spend(own, 2)
    assert (own.spending(EVENT).affordable, own.spending().trainings) == (0, 2)
    # What another federation promises is its own matter.
    spend(replace(budget_of(folder, range(10), federation=B, epsilon=100), promise=LIMIT), 1, 2)


def test_a_charge_for_another_release_is_not_taken_up_again(folder: Path) -> None:
    budget = budget_of(folder, range(10), epsilon=100)
    spend(budget, 1)
    budget.reserve(1, replace(EVENT, noise_multiplier=1.0))
    assert budget.spending().trainings == 2


def test_what_leaves_is_what_was_charged_last(folder: Path) -> None:
    budget = budget_of(folder, range(10), epsilon=100)
    spend(budget, 1)
    first = budget.contribute(1, body_digest=A)
    assert budget.contribute(1, body_digest=A) == first
    with pytest.raises(StateError, match="paid for another contribution"):
        budget.contribute(1, body_digest=B)


def test_nothing_leaves_without_a_charge(folder: Path) -> None:
    with pytest.raises(StateError, match="leaves without a charge"):
        budget_of(folder, range(10)).contribute(1, body_digest=A)


def test_spending_is_told_of_this_federation_and_of_all(folder: Path) -> None:
    spend(budget_of(folder, range(10), epsilon=100), 1)
    told = budget_of(folder, range(10), federation=B, epsilon=100)
    spend(told, 1)
    spending = told.spending(EVENT)
    assert spending.epsilon == pytest.approx(ONE)
    assert spending.spent == pytest.approx(TWO)
    assert spending.left == pytest.approx(100 - TWO)
    assert spending.affordable == 5


def test_a_look_at_a_budget_writes_nothing(folder: Path) -> None:
    untouched = budget_of(folder, range(10))
    assert untouched.look(EVENT).affordable == 2
    assert not (folder / "ledgers").exists()
    assert not (folder / "receipts").exists()


def test_a_look_counts_what_others_have_charged_on_the_rows(folder: Path) -> None:
    spend(budget_of(folder, range(10)), 1)
    seen = budget_of(folder, range(9, 30), federation=B, client="shop").look(EVENT)
    assert (seen.affordable, seen.rounds) == (1, ())
    assert seen.spent == pytest.approx(ONE)


# --- between runs


@pytest.fixture
def spent(folder: Path) -> DataBudget:
    budget = budget_of(folder, range(10))
    spend(budget, 1)
    return budget


def refused(budget: DataBudget) -> str:
    with pytest.raises(StateError) as caught:
        budget.reserve(1, EVENT)
    return str(caught.value)


@pytest.mark.parametrize("gone", ["ledger", "key", "receipts", "rows"])
def test_a_file_that_is_gone_is_found_by_the_next_start(spent: DataBudget, gone: str) -> None:
    getattr(spent.place, gone).unlink()
    assert "cannot be found" in refused(replace(spent, federation_digest=B))


def test_a_ledger_deleted_with_its_key_is_found_by_its_receipts(spent: DataBudget) -> None:
    spent.place.ledger.unlink()
    spent.place.key.unlink()
    assert "the ledger cannot be found" in refused(replace(spent, federation_digest=B))


@pytest.mark.parametrize("gone", ["rows", "receipts", "key"])
def test_a_file_of_another_budget_that_is_gone_frees_none_of_its_rows(
    spent: DataBudget, folder: Path, gone: str
) -> None:
    getattr(spent.place, gone).unlink()
    assert "cannot be found" in refused(budget_of(folder, range(11), federation=B))


def test_another_folder_of_ledgers_is_no_new_budget(spent: DataBudget, folder: Path) -> None:
    moved = replace(spent, place=replace(spent.place, ledgers=folder / "elsewhere"))
    assert "the ledger cannot be found" in refused(moved)


def test_a_deleted_ledger_is_found_by_a_data_set_that_shares_a_row(spent: DataBudget, folder: Path) -> None:
    spent.place.ledger.unlink()
    assert "the ledger cannot be found" in refused(budget_of(folder, range(9, 30), federation=B))


def test_every_cut_of_a_ledger_is_found_by_the_next_start(spent: DataBudget) -> None:
    spent.contribute(1, body_digest=A)
    lines = spent.place.ledger.read_bytes().splitlines(keepends=True)
    for kept in range(len(lines)):
        spent.place.ledger.write_bytes(b"".join(lines[:kept]))
        assert "cut or is an old copy" in refused(replace(spent, federation_digest=B)), kept


def test_an_old_copy_of_the_ledgers_folder_is_found_by_the_next_start(spent: DataBudget) -> None:
    old = spent.place.ledger.read_bytes()
    spent.contribute(1, body_digest=A)
    spent.place.ledger.write_bytes(old)
    assert "cut or is an old copy" in refused(replace(spent, federation_digest=B))


def test_a_second_history_is_found_by_the_next_start(spent: DataBudget) -> None:
    old = spent.place.ledger.read_bytes(), spent.place.receipts.read_bytes()
    spend(spent, 2)
    newest = spent.place.receipts.read_bytes()
    spent.place.ledger.write_bytes(old[0])
    spent.place.receipts.write_bytes(old[1])
    spend(spent, 2)
    spent.place.receipts.write_bytes(newest)
    assert "two histories" in refused(replace(spent, federation_digest=B))


def test_every_flipped_byte_of_the_receipts_and_the_marks_is_found(spent: DataBudget) -> None:
    for path in (spent.place.receipts, spent.place.rows):
        whole = path.read_bytes()
        for place in range(len(whole)):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << place % 8
            path.write_bytes(bytes(damaged))
            if damaged.endswith(b"\n") or path == spent.place.rows:
                refused(replace(spent, federation_digest=B))
        path.write_bytes(whole)
    spent.require(2, EVENT)


def test_marks_of_another_data_set_are_found_by_the_next_start(spent: DataBudget, folder: Path) -> None:
    other = budget_of(folder, range(100, 120))
    spend(other, 1)
    whole = spent.place.rows.read_bytes()
    spent.place.rows.write_bytes(other.place.rows.read_bytes())
    assert "or are another data set's" in refused(replace(spent, federation_digest=B))
    spent.place.rows.write_bytes(whole)
    spent.require(2, EVENT)


def test_a_torn_last_receipt_is_written_anew(spent: DataBudget) -> None:
    whole = spent.place.receipts.read_bytes()
    spent.place.receipts.write_bytes(whole[:-7])
    spend(spent, 2)
    lines = spent.place.receipts.read_bytes().splitlines()
    assert len(lines) == 2
    assert spent.spending().rounds == (1, 2)


@pytest.mark.parametrize("left", [("ledger",), ("ledger", "key"), ("ledger", "key", "receipts")])
def test_a_first_start_that_was_stopped_is_begun_again(folder: Path, left: tuple[str, ...]) -> None:
    budget = budget_of(folder, range(10))
    budget.require(1, EVENT)
    for name in {"ledger", "key", "receipts", "rows"} - set(left):
        getattr(budget.place, name).unlink()
    spend(budget, 1)
    assert budget.spending().rounds == (1,)


def test_heads_that_a_run_kept_are_held_against_the_ledger(spent: DataBudget) -> None:
    head = spent.contribute(1, body_digest=A)
    spent.place.ledger.unlink()
    spent.place.key.unlink()
    spent.place.receipts.unlink()
    spent.place.rows.unlink()
    assert "cannot be found" in refused(replace(spent, anchors=(head,)))
    # The control: where everything of a budget is gone, only what others kept can tell.
    spend(spent, 1)
