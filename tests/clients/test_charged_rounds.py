"""Rounds of members whose data has a budget: charged, anchored in every header and certificate."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from support.charged_members import RELEASE, charges_of
from support.federations import TestFederation, make_federation
from support.whole_rounds import WholeRun

pytest.importorskip("dp_accounting")

from securefl.auditing.budget_anchors import Anchors, anchor_findings, anchored_in, heads_in
from securefl.auditing.budget_records import read_record
from securefl.auditing.ledger_order import disorder
from securefl.errors import StateError
from securefl.identity.signing import verify
from securefl.ledger.anchors import Anchor
from securefl.ledger.budget_state import BudgetState
from securefl.ledger.chain import verified_entries
from securefl.ledger.events import BudgetAnchored
from securefl.ledger.ledger import Event, RunStarted
from securefl.ledger.receipts import parse_receipts
from securefl.protocol.calls import CommitAsked
from securefl.results.sum_certificates import certificate_path, read_certificate, write_certificate
from securefl_client.data_budget import DataBudget
from securefl_client.round_charges import anchored

VICTIM = "client-2"


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash is the end of a process here, not a loss of power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def made() -> TestFederation:
    return make_federation((2, 2, 2, 2), scheme="kahe", payload="sketch", sketch_rank=2, rounds=3)


def budget_of(run: WholeRun, member: str) -> DataBudget:
    budget = run.members[member].charges.budget
    assert budget is not None
    return budget


def events_of(run: WholeRun, member: str) -> list[Event]:
    return [entry.event for entry in run.members[member].ledger.entries]


@pytest.fixture(scope="module")
def run(made: TestFederation, tmp_path_factory: pytest.TempPathFactory) -> WholeRun:
    folder = tmp_path_factory.mktemp("charged")
    run = WholeRun(made, folder / "members", charges=charges_of(made, folder))
    run.run()
    assert run.core.error is None
    return run


def found(
    run: WholeRun,
    path: Path,
    *,
    member: str = VICTIM,
    kept_by: Iterable[str] = ("client-1",),
    named: tuple[BudgetAnchored, ...] | None = None,
    more: Iterable[tuple[int, bytes]] = (),
) -> list[str]:
    """What an audit finds of a member's budget in a file, beside what others and its own ledger of the run have."""
    heads = [heads_in(run.members[keeper].folder).get(member, {}) for keeper in kept_by]
    anchors = Anchors(
        run=anchored_in(events_of(run, member)) if named is None else named,
        headers=frozenset([*more, *(pair for of_keeper in heads for pair in of_keeper.items())]),
    )
    return list(anchor_findings([read_record(path, member=member)], anchors))


def file_of(data: bytes, folder: Path) -> Path:
    """A ledger's bytes in a file of their own."""
    path = folder / "budget.jsonl"
    path.write_bytes(data)
    return path


def test_every_round_is_charged_once(run: WholeRun) -> None:
    for member in run.members:
        spending = budget_of(run, member).spending()
        assert (spending.rounds, spending.trainings) == ((1, 2, 3), 3)


def test_every_certificate_names_a_head_of_every_survivors_ledger(run: WholeRun) -> None:
    for member in run.members.values():
        heads = heads_in(member.folder)
        assert {name: sorted(of_member) for name, of_member in heads.items()} == {
            name: [1, 2, 3] for name in run.members
        }


def test_all_that_a_certified_sum_has_of_a_member_is_charged_before_the_head_in_its_certificate(
    run: WholeRun,
) -> None:
    """So whatever can be cut off behind the newest head that others keep paid for nothing that anybody opened."""
    for member in run.members:
        data = budget_of(run, member).place.ledger.read_bytes()
        record = read_record(budget_of(run, member).place.ledger, member=member)
        entries = tuple(verified_entries(data, partial(verify, record.state.opened.ledger_key)))
        places = {entry.digest: entry.sequence for entry in entries}
        for number, head in heads_in(run.members[VICTIM].folder)[member].items():
            before = BudgetState.of(entries[: places[head] + 1])
            paid = {before.reserved[reservation].round_number for reservation in before.bodies}
            assert paid == set(range(1, number + 1))


def test_a_run_ledger_names_the_head_before_every_header(run: WholeRun) -> None:
    names = [event.name for event in events_of(run, VICTIM)]
    assert names.count("budget-anchored") == 3
    whole = [RunStarted(VICTIM, bytes(32)), *events_of(run, VICTIM)]
    assert disorder(whole, first_round=1, rounds=3) is None


def test_heads_name_nothing_that_two_federations_have_in_common(run: WholeRun) -> None:
    heads = [
        head for of_member in heads_in(run.members[VICTIM].folder).values() for head in of_member.values()
    ]
    assert len(set(heads)) == len(heads)
    key = anchored_in(events_of(run, VICTIM))[0].ledger_key
    certificate = certificate_path(run.members["client-1"].folder, 1).read_text()
    assert key.hex() not in certificate


def test_a_whole_ledger_holds_at_every_member(run: WholeRun) -> None:
    path = budget_of(run, VICTIM).place.ledger
    for member in run.members:
        assert found(run, path, kept_by=[member]) == []
    assert found(run, path, kept_by=run.members) == []


def test_every_cut_of_a_ledger_is_seen_by_its_run_and_by_the_headers(run: WholeRun, tmp_path: Path) -> None:
    lines = budget_of(run, VICTIM).place.ledger.read_bytes().splitlines(keepends=True)
    with pytest.raises(StateError, match="this is no ledger of a privacy budget"):
        read_record(file_of(b"", tmp_path), member=VICTIM)
    for kept in range(1, len(lines)):
        headers, own = found(run, file_of(b"".join(lines[:kept]), tmp_path))
        assert "of the entries that its headers name" in headers
        assert "of the entries that its run ledger name" in own


def test_a_second_history_with_its_own_run_ledger_is_seen_by_what_others_kept(
    run: WholeRun, made: TestFederation, tmp_path: Path
) -> None:
    """A member may write its ledgers anew, both of them; the headers that it has signed lie with the others."""
    again = charges_of(made, tmp_path)[VICTIM].budget
    assert again is not None
    forged = []
    for number in (1, 2, 3):
        again.reserve(number, RELEASE)
        forged.append(anchored(number, 1, again.contribute(number, body_digest=bytes(32))))
    path = again.place.ledger
    assert found(run, path, named=tuple(forged), kept_by=()) == []
    seen = found(run, path, named=tuple(forged))
    assert sum("its run ledger does not name the head" in line for line in seen) == 3
    assert "lacks 3 of the entries that its headers name (round 1, round 2, round 3)" in seen[-1]


def test_another_members_ledger_is_no_ledger_of_this_one(run: WholeRun) -> None:
    with pytest.raises(StateError, match="is another client's"):
        read_record(budget_of(run, "client-1").place.ledger, member=VICTIM)


def test_a_run_ledger_that_hides_a_head_is_seen(run: WholeRun) -> None:
    hidden = anchored_in(events_of(run, VICTIM))[:2]
    (sentence,) = found(run, budget_of(run, VICTIM).place.ledger, named=hidden)
    assert sentence.endswith("does not name the head of its budget's ledger that its header of round 3 has")


def test_an_audit_finds_a_header_without_a_head_or_with_another(run: WholeRun) -> None:
    path = budget_of(run, VICTIM).place.ledger
    assert found(run, path, more=[(1, bytes(32))]) == [
        "its header of round 1 names no head of its budget's ledger"
    ]
    one, two = found(run, path, more=[(2, bytes([7]) * 32)])
    assert one.endswith("does not name the head of its budget's ledger that its header of round 2 has")
    assert "lacks 1 of the entries" in two


def test_a_certificate_whose_header_was_exchanged_is_seen(run: WholeRun, tmp_path: Path) -> None:
    folder = run.members["client-1"].folder
    cohort, certificate = read_certificate(certificate_path(folder, 1))
    from securefl.results.sum_certificates import read_headers

    headers = read_headers(certificate_path(folder, 1))
    forged = replace(headers[0], body=replace(headers[0].body, budget_head=bytes([9]) * 32))
    write_certificate(tmp_path, cohort, certificate, (forged, *headers[1:]))
    with pytest.raises(StateError, match="without the headers of its survivors"):
        heads_in(tmp_path)


def test_a_round_certified_without_a_member_stays_charged(made: TestFederation, tmp_path: Path) -> None:
    run = WholeRun(made, tmp_path / "m", charges=charges_of(made, tmp_path))

    def away(member: str, announcement: object) -> bool:
        late = isinstance(announcement, CommitAsked) and run.core.state.round_number == 2
        return member == VICTIM and late

    run.run(away=away)
    assert run.core.error is None
    assert VICTIM not in run.members["client-1"].session.state.sums[1].survivors
    assert budget_of(run, VICTIM).spending().rounds == (1, 2, 3)


def test_a_head_before_every_contribution_lies_in_the_members_folder(run: WholeRun) -> None:
    kept = run.members[VICTIM].charges.kept
    assert kept is not None
    heads = parse_receipts(kept.read_bytes(), where="")
    assert heads == tuple(
        Anchor(event.ledger_key, event.sequence, event.head) for event in anchored_in(events_of(run, VICTIM))
    )


@pytest.mark.slow
def test_a_member_stopped_anywhere_is_charged_for_whatever_may_have_left(
    made: TestFederation, run: WholeRun, tmp_path: Path
) -> None:
    names = run.members[VICTIM].steps
    for place in range(2, len(names) + 1, 7):
        again = WholeRun(made, tmp_path / str(place) / "m", charges=charges_of(made, tmp_path / str(place)))
        again.members[VICTIM].stop_after = lambda taken, last=place: len(taken) == last
        again.run()
        spending = budget_of(again, VICTIM).spending()
        assert spending.rounds == (1, 2, 3), names[place - 1]
        assert spending.trainings == 3
        assert found(again, budget_of(again, VICTIM).place.ledger) == []


def test_a_start_on_a_ledger_that_was_turned_back_trains_and_sends_nothing(
    made: TestFederation, tmp_path: Path
) -> None:
    charges = charges_of(made, tmp_path)
    first = WholeRun(made, tmp_path / "first", charges=charges)
    first.run()
    place = budget_of(first, VICTIM).place
    lines = place.ledger.read_bytes().splitlines(keepends=True)
    place.ledger.write_bytes(b"".join(lines[:-2]))
    second = WholeRun(made, tmp_path / "second", charges=charges)
    with pytest.raises(StateError, match="cut or is an old copy"):
        second.run()
    assert not (tmp_path / "second" / VICTIM / "journal" / "outbox").exists()


def test_a_federation_without_privacy_names_no_head(tmp_path: Path) -> None:
    plain = WholeRun(make_federation((2, 2, 2), scheme="none", payload="sketch", sketch_rank=2), tmp_path)
    plain.run()
    heads = heads_in(plain.members["client-1"].folder)
    assert {head for of_member in heads.values() for head in of_member.values()} == {bytes(32)}
    text = json.loads(certificate_path(plain.members["client-1"].folder, 1).read_text())
    assert set(text) == {"format", "cohort", "certificate", "survivors"}
