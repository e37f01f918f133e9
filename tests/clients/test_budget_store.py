"""A budget's ledger: charges before what they pay for, and every change to its past is seen."""

from __future__ import annotations

import functools
import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from securefl.errors import StateError
from securefl.identity.signing import verify
from securefl.ledger.anchors import Anchor
from securefl.ledger.budget_files import budget_file, state_folder
from securefl.ledger.budget_ledger import BudgetLedger, verify_budget
from securefl.ledger.budget_state import BudgetState
from securefl.ledger.fingerprint import data_fingerprint
from securefl_client.budget_store import open_budget

DATA = bytes([7]) * 32
FEDERATION = bytes([1]) * 32
RELEASE = "sampled-gaussian noise_multiplier=1.1 sampling_probability=0.01 steps=40"
ENTRIES = 50


def opened(
    path: Path, *, anchors: tuple[Anchor, ...] = (), data: bytes = DATA, client: str = "bank"
) -> BudgetLedger:
    return open_budget(path, client=client, data_fingerprint=data, anchors=anchors)


def spend(ledger: BudgetLedger, number: int) -> None:
    charge = ledger.reserve(federation_digest=FEDERATION, round_number=number, attempt=1, release=RELEASE)
    ledger.contribute(charge, body_digest=hashlib.sha256(bytes([number])).digest())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return budget_file(tmp_path / "budgets", client="bank", data_fingerprint=DATA)


@pytest.fixture
def anchors(path: Path) -> tuple[Anchor, ...]:
    """Of a ledger of 50 entries at ``path``: its head, and one from the middle."""
    with opened(path) as ledger:
        for number in range(1, 25):
            spend(ledger, number)
            if number == 12:
                middle = ledger.anchor
        ledger.reserve(federation_digest=FEDERATION, round_number=25, attempt=1, release=RELEASE)
        assert len(ledger.entries) == ENTRIES
        return middle, ledger.anchor


def seen(data: bytes, anchors: tuple[Anchor, ...]) -> str:
    with pytest.raises(StateError) as caught:
        read(data, anchors[-1].ledger_key, anchors)
    return str(caught.value)


def read(data: bytes, key: bytes, anchors: tuple[Anchor, ...] = ()) -> BudgetState:
    return verify_budget(data, ledger_key=key, verifier=functools.partial(remembered, key), anchors=anchors)


@functools.lru_cache(maxsize=1000)
def remembered(key: bytes, signature: bytes, message: bytes) -> None:
    """A signature that held once holds always; those that do not are looked at every time."""
    verify(key, signature, message)


def test_an_untouched_ledger_is_accepted(path: Path, anchors: tuple[Anchor, ...]) -> None:
    state = read(path.read_bytes(), anchors[-1].ledger_key, anchors)
    assert [charge.round_number for charge in state.charges] == list(range(1, 26))


def test_every_flipped_byte_of_a_ledger_is_seen(path: Path) -> None:
    """Of a short one, with every kind of entry; of a long one's lines the test below flips some."""
    with opened(path) as ledger:
        spend(ledger, 1)
        spend(ledger, 2)
        anchors = (ledger.anchor,)
    data = path.read_bytes()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        seen(bytes(damaged), anchors)


def test_flipped_bytes_of_every_line_are_seen(path: Path, anchors: tuple[Anchor, ...]) -> None:
    data, start = path.read_bytes(), 0
    for line in data.splitlines(keepends=True):
        for place in (0, len(line) // 3, len(line) // 2, len(line) - 2, len(line) - 1):
            damaged = bytearray(data)
            damaged[start + place] ^= 1
            seen(bytes(damaged), anchors)
        start += len(line)


def test_every_truncation_is_seen(path: Path, anchors: tuple[Anchor, ...]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in range(ENTRIES):
        whole = b"".join(lines[:kept])
        assert "was cut or is an old copy" in seen(whole, anchors) or kept <= 24
        seen(whole + lines[kept][: len(lines[kept]) // 2], anchors)


def test_every_swap_of_two_lines_is_seen(path: Path, anchors: tuple[Anchor, ...]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for first in range(ENTRIES - 1):
        for second in {first + 1, ENTRIES - 1} - {first}:
            swapped = list(lines)
            swapped[first], swapped[second] = swapped[second], swapped[first]
            assert f"line {first + 1}" in seen(b"".join(swapped), anchors)


def test_every_missing_or_repeated_line_is_seen(path: Path, anchors: tuple[Anchor, ...]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for place in range(ENTRIES):
        seen(b"".join(lines[:place] + lines[place + 1 :]), anchors)
        seen(b"".join(lines[: place + 1] + lines[place:]), anchors)


def test_an_old_copy_is_refused_when_it_is_opened_with_an_anchor(path: Path) -> None:
    with opened(path) as ledger:
        spend(ledger, 1)
    old = path.read_bytes()
    with opened(path) as ledger:
        spend(ledger, 2)
        head = ledger.anchor
    path.write_bytes(old)
    with pytest.raises(StateError, match="was cut or is an old copy"):
        opened(path, anchors=(head,))
    # The control: nothing in the file itself tells.
    opened(path).close()


def test_a_second_history_from_every_point_is_seen(path: Path, anchors: tuple[Anchor, ...]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for point in (1, 4, 25, 49):
        path.write_bytes(b"".join(lines[:point]))
        with opened(path) as ledger:
            for number in range(20, 80):
                ledger.reserve(federation_digest=FEDERATION, round_number=number, attempt=1, release=RELEASE)
        assert "two histories" in seen(path.read_bytes(), anchors)


def test_a_ledger_under_another_key_is_seen(path: Path, anchors: tuple[Anchor, ...], tmp_path: Path) -> None:
    with opened(budget_file(tmp_path / "other", client="bank", data_fingerprint=DATA)) as other:
        key = other.anchor.ledger_key
    assert "signature does not hold" in seen_by(path.read_bytes(), key)
    path.unlink()
    path.with_suffix(".key").unlink()
    with pytest.raises(StateError, match="signed with another key"):
        opened(path, anchors=anchors)


def seen_by(data: bytes, key: bytes) -> str:
    with pytest.raises(StateError) as caught:
        read(data, key)
    return str(caught.value)


def test_a_deleted_ledger_is_refused_while_its_key_is_there(path: Path, anchors: tuple[Anchor, ...]) -> None:
    path.unlink()
    with pytest.raises(StateError, match="the ledger of a privacy budget is missing"):
        opened(path)


def test_a_lost_key_is_no_new_budget(path: Path, anchors: tuple[Anchor, ...]) -> None:
    path.with_suffix(".key").unlink()
    with pytest.raises(StateError, match="the key of a privacy budget is missing"):
        opened(path)


def test_a_first_start_that_was_interrupted_is_begun_again(path: Path) -> None:
    opened(path).close()
    path.with_suffix(".key").unlink()
    with opened(path) as ledger:
        assert len(ledger.entries) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from securefl_client.budget_store import open_budget
ledger = open_budget(Path(sys.argv[1]), client="bank", data_fingerprint=bytes([7]) * 32)
point = sys.argv[2]
if point != "opened":
    charge = ledger.reserve(federation_digest=bytes([1]) * 32, round_number=1, attempt=1, release=sys.argv[3])
if point == "contributed":
    ledger.contribute(charge, body_digest=bytes(32))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("point", "charged"), [("opened", 0), ("reserved", 1), ("contributed", 1)])
def test_a_process_that_is_killed_has_charged_whatever_may_have_left(
    path: Path, point: str, charged: int
) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path), point, RELEASE], check=False)
    assert ended.returncode == -signal.SIGKILL
    with opened(path) as again:
        assert len(again.charges) == charged
        again.reserve(federation_digest=FEDERATION, round_number=1, attempt=1, release=RELEASE)
        # The same attempt, taken up again, is charged once.
        assert len(again.charges) == 1


def test_budgets_of_two_federations_on_one_data_set_add_up(path: Path) -> None:
    for federation in (FEDERATION, bytes([2]) * 32):
        with opened(path) as ledger:
            ledger.reserve(federation_digest=federation, round_number=1, attempt=1, release=RELEASE)
    with opened(path) as ledger:
        assert [charge.release for charge in ledger.charges] == [RELEASE] * 2


def test_what_was_never_charged_does_not_leave(path: Path) -> None:
    with opened(path) as ledger:
        charge = ledger.reserve(federation_digest=FEDERATION, round_number=1, attempt=1, release=RELEASE)
        with pytest.raises(StateError, match="there is no such charge"):
            ledger.contribute(replace(charge, reservation=99), body_digest=bytes(32))


def test_one_charge_pays_for_one_body(path: Path) -> None:
    with opened(path) as ledger:
        charge = ledger.reserve(federation_digest=FEDERATION, round_number=1, attempt=1, release=RELEASE)
        ledger.contribute(charge, body_digest=bytes(32))
        ledger.contribute(charge, body_digest=bytes(32))
        with pytest.raises(StateError, match="paid for another contribution"):
            ledger.contribute(charge, body_digest=bytes([1]) * 32)


def test_an_attempt_is_not_charged_for_less_the_second_time(path: Path) -> None:
    with opened(path) as ledger:
        spend(ledger, 1)
        with pytest.raises(StateError, match="for another release"):
            ledger.reserve(
                federation_digest=FEDERATION,
                round_number=1,
                attempt=1,
                release=RELEASE.replace("1.1", "9.9"),
            )


@pytest.mark.parametrize("change", [{"client": "shop"}, {"data": bytes(32)}])
def test_a_ledger_of_another_client_or_data_set_is_refused(path: Path, change: dict) -> None:
    opened(path).close()
    with pytest.raises(StateError, match="of another client, data set or key"):
        opened(path, **change)


def test_a_ledger_is_open_in_one_process_at_a_time(path: Path) -> None:
    with opened(path), pytest.raises(StateError, match="in use"):
        opened(path)


def test_heads_of_equal_events_differ_by_their_salt(tmp_path: Path) -> None:
    heads = set()
    for name in ("a", "b"):
        with opened(budget_file(tmp_path / name, client="bank", data_fingerprint=DATA)) as ledger:
            spend(ledger, 1)
            heads.add(ledger.anchor.digest)
            salts = [entry.event.salt for entry in ledger.entries]
            assert len(set(salts)) == 3
    assert len(heads) == 2


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path


def test_ledgers_lie_in_the_state_folder_of_the_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state_folder() == home / ".local" / "state" / "securefl" / "budgets"
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    path = budget_file(None, client="bank", data_fingerprint=DATA)
    assert path == home / "state" / "securefl" / "budgets" / "bank" / f"{DATA.hex()}.jsonl"
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_fingerprint_is_of_the_rows_in_any_order_and_as_often_as_they_stand_there() -> None:
    rows = [b"a", b"b", b"c"]
    assert data_fingerprint(rows) == data_fingerprint(reversed(rows))
    assert len({data_fingerprint(each) for each in (rows, rows[:2], [*rows, b"a"], [b"ab", b"c"], [])}) == 5
