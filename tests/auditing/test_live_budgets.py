"""The files beside a ledger: each that is deleted, emptied, cut or altered is named, and what a crash leaves is not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("dp_accounting")

from support.private_accounts import ROUNDS, Accounts, fingerprint, planned, unpaid

from securefl.identity.signing import SigningKey
from securefl.ledger.budget_files import BudgetPlace
from securefl.ledger.row_marks import DIGEST_BYTES, MarkedData
from securefl.results.client import BUDGET_COPY, FILE_NAME
from securefl.storage.durable import DurableFile
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


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def without_line(path: Path, number: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))


def of_another_budget(path: Path) -> None:
    (other,) = (path.parent.parent / "client-1").glob("*.rows")
    assert other.read_bytes() != path.read_bytes()
    path.write_bytes(other.read_bytes())


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
        (
            "receipts",
            lambda path: without_lines(path, 1),
            "lack 1 of the entries that its contributions have",
        ),
        ("receipts", lambda path: without_line(path, 1), "lack 1 of the entries that its contributions have"),
        ("receipts", torn, "lack 1 of the entries that its contributions have named"),
        ("rows", Path.unlink, "the marks of the rows of its budget cannot be found"),
        ("rows", empty, "the marks of a data set have been altered"),
        ("rows", flipped, "the marks of a data set have been altered"),
        (
            "rows",
            of_another_budget,
            "the marks of a data set have been altered or damaged, or are another data",
        ),
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


def test_a_torn_receipt_of_a_charge_that_no_contribution_has_named_is_no_finding(accounts: Accounts) -> None:
    accounts.charge(MEMBER, (2,), planned().event.text, digest=b"later".ljust(32))
    torn(accounts.place(MEMBER).receipts)
    assert findings(accounts) == []


def test_marks_of_before_they_had_the_fingerprint_are_no_finding(accounts: Accounts) -> None:
    rows = accounts.place(MEMBER).rows
    content = rows.read_bytes()[DIGEST_BYTES:]
    rows.write_bytes(hashlib.sha256(content).digest() + content)
    assert findings(accounts) == []
    before = rows.read_bytes()
    accounts.charge(MEMBER, (2,), planned().event.text, digest=b"later".ljust(32))
    assert rows.read_bytes() != before, "the next charge writes the whole digest"
    assert findings(accounts) == []


class Killed(BaseException):
    """The process ends here, whatever is open."""


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, float], None]:
    """Ends the process at its n-th write to a log, when this part of the line is on disk."""
    write = DurableFile.append

    def arm(number: int, part: float) -> None:
        left = number

        def append(log: DurableFile, data: bytes) -> None:
            nonlocal left
            left -= 1
            if left:
                write(log, data)
                return
            write(log, data[: int(len(data) * part)])
            raise Killed

        monkeypatch.setattr(DurableFile, "append", append)

    return arm


def contribute(accounts: Accounts, number: int) -> None:
    """A round as a member makes it: charged, recorded, and named in its ledger of the run."""
    place = accounts.place(MEMBER)
    place.make()
    with ReceiptedBudget(place, marks=MarkedData.of([fingerprint(MEMBER)]).marks) as ledger:
        charge = ledger.reserve(
            federation_digest=accounts.federation.digest,
            round_number=number,
            attempt=1,
            release=planned().event.text,
        )
        anchor = ledger.contribute(charge, body_digest=bytes([number]) * 32)
    accounts.anchors.setdefault(MEMBER, {})[number] = anchor


def contribute_all(accounts: Accounts) -> None:
    """Contribute to all rounds that its ledger of the run does not name yet."""
    for number in range(1, ROUNDS + 1):
        if number not in accounts.anchors.get(MEMBER, {}):
            contribute(accounts, number)


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("number", range(3, 15))
def test_a_process_that_was_killed_at_any_write_leaves_an_honest_budget(
    tmp_path: Path, killed_at: Callable[[int, float], None], number: int, part: float
) -> None:
    """Two writes begin the budget, and four are a round's; the run is audited as it was left, and once it went on."""
    accounts = unpaid(tmp_path / "budgets")
    (tmp_path / "clients" / MEMBER).mkdir(parents=True)
    killed_at(number, part)
    with pytest.raises(Killed):
        contribute_all(accounts)
    # A torn line of the ledger itself stops the next start, whose error asks for this.
    ledger = accounts.place(MEMBER).ledger
    ledger.write_bytes(ledger.read_bytes()[: ledger.read_bytes().rfind(b"\n") + 1])
    assert not of_files(findings(accounts))
    killed_at(100, part)
    contribute_all(accounts)
    assert not [line for line in findings(accounts) if line.startswith(MEMBER)]
    receipts = accounts.place(MEMBER).receipts
    lines = receipts.read_bytes().splitlines(keepends=True)
    receipts.write_bytes(b"".join(line for line in lines if line != lines[-1]))
    assert of_files(findings(accounts)), "the last receipt of a run that went on to its end is missing"


def of_files(found: list[str]) -> list[str]:
    """Findings on files of the budget, whatever the killed run has not charged or sent."""
    return [
        line
        for line in found
        if line.startswith(MEMBER) and ("receipts" in line or "marks" in line or "key" in line)
    ]


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
