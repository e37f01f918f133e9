"""The files beside a ledger: each that is deleted, emptied, cut or altered is named, and what a crash leaves is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("dp_accounting")

from support.private_accounts import Accounts, planned

from securefl.identity.signing import SigningKey
from securefl.ledger.budget_files import BudgetPlace
from securefl.ledger.row_marks import MarkedData
from securefl.results.client import BUDGET_COPY, FILE_NAME
from securefl_client.budget_store import ReceiptedBudget, open_budget

MEMBER = "client-2"


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def accounts(accounts: Accounts, tmp_path: Path) -> Accounts:
    """A run that every member has paid for, with the copies of their budgets."""
    for member in accounts.federation.cohort:
        folder = tmp_path / "clients" / member
        folder.mkdir(parents=True)
        (folder / BUDGET_COPY).write_bytes(accounts.place(member).ledger.read_bytes())
    return accounts


def findings(accounts: Accounts) -> list[str]:
    """What an audit says of the budgets' files; results of these runs name no figures, which it says too."""
    return [str(finding) for finding in accounts.audited(copy_of(accounts).parent.parent).findings]


def copy_of(accounts: Accounts) -> Path:
    return accounts.budgets.parent / "clients" / MEMBER / BUDGET_COPY


def without_lines(path: Path, count: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) - count]))


def test_a_budget_whose_files_are_all_there_passes(accounts: Accounts) -> None:
    assert findings(accounts) == []


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def altered(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"head", b"tail", 1))


def replaced(path: Path) -> None:
    path.unlink()
    SigningKey.generate().save(path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("key", Path.unlink, "the key of its budget's ledger cannot be found"),
        ("key", replaced, "the key beside its budget's ledger is not the one that signs it"),
        ("key", empty, "key"),
        ("receipts", Path.unlink, "the receipts of its budget's ledger cannot be found"),
        ("receipts", empty, "the receipts of its budget's ledger end at entry 0 of 4"),
        ("receipts", altered, "a receipt of a privacy budget has been altered or damaged"),
        ("receipts", lambda path: without_lines(path, 2), "end at entry 2 of 4"),
        ("rows", Path.unlink, "the marks of the rows of its budget cannot be found"),
        ("rows", empty, "the marks of a data set have been altered"),
        ("rows", flipped, "the marks of a data set have been altered"),
    ],
)
def test_a_file_of_a_budget_that_is_gone_or_altered_is_named(
    accounts: Accounts, file: str, change: Callable[[Path], None], said: str
) -> None:
    change(getattr(accounts.place(MEMBER), file))
    found = findings(accounts)
    assert found, "nothing was found"
    assert all(line.startswith(f"{MEMBER}: ") for line in found)
    assert any(said in line for line in found)


def crashed_before_a_receipt(place: BudgetPlace) -> None:
    """A charge that is on disk in the ledger alone."""
    with open_budget(place.ledger, client=place.client, data_fingerprint=place.data_fingerprint) as ledger:
        ledger.reserve(
            federation_digest=b"later".ljust(32), round_number=1, attempt=1, release=planned().event.text
        )


def test_a_crash_between_a_charge_and_its_receipt_is_no_finding(accounts: Accounts) -> None:
    crashed_before_a_receipt(accounts.place(MEMBER))
    assert findings(accounts) == []
    # Nor is the same crash once more, after the budget was opened in between.
    accounts.charge(MEMBER, (2,), planned().event.text, digest=b"later".ljust(32))
    with ReceiptedBudget(accounts.place(MEMBER), marks=MarkedData.of([b"row"]).marks):
        pass
    assert findings(accounts) == []


def test_a_torn_receipt_is_no_finding(accounts: Accounts) -> None:
    receipts = accounts.place(MEMBER).receipts
    receipts.write_bytes(receipts.read_bytes()[:-9])
    assert findings(accounts) == []


def test_a_budget_that_was_only_begun_needs_no_other_files(accounts: Accounts) -> None:
    other = BudgetPlace(
        ledgers=accounts.budgets,
        kept_receipts=accounts.receipts,
        client=MEMBER,
        data_fingerprint=b"begun".ljust(32),
    )
    with open_budget(other.ledger, client=MEMBER, data_fingerprint=other.data_fingerprint):
        pass
    other.key.unlink()
    assert findings(accounts) == []


@pytest.mark.parametrize("lines", [1, 2])
def test_a_copy_that_was_cut_is_named_though_the_live_ledger_is_whole(accounts: Accounts, lines: int) -> None:
    without_lines(copy_of(accounts), lines)
    (found,) = findings(accounts)
    rounds = "round 3" if lines == 1 else "round 2, round 3"
    assert found.startswith(
        f"{MEMBER}: the copy of its budget's ledger that the run left was cut: it lacks entries of {rounds}"
    )


def test_a_copy_and_a_ledger_that_were_cut_alike_are_named(accounts: Accounts) -> None:
    for path in (copy_of(accounts), accounts.place(MEMBER).ledger):
        without_lines(path, 1)
    assert any(
        "the copy of its budget's ledger that the run left was cut" in line for line in findings(accounts)
    )


def test_a_copy_that_is_gone_is_named_where_a_result_is_there(accounts: Accounts) -> None:
    copy_of(accounts).unlink()
    assert findings(accounts) == [], "a run that was stopped has left neither"
    copy_of(accounts).with_name(FILE_NAME).write_text("{}")
    assert any("it left no copy of its budget's ledger" in line for line in findings(accounts))


def test_a_copy_of_another_budget_of_the_client_is_named(accounts: Accounts) -> None:
    other = accounts.charge(
        MEMBER, (1,), planned().event.text, digest=b"later".ljust(32), data=b"other".ljust(32)
    )
    copy_of(accounts).write_bytes(other.read_bytes())
    assert any("is of none that its ledger of the run names" in line for line in findings(accounts))
