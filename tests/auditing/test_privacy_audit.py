"""An audit of privacy believes no epsilon: charges are counted against what was sent, and computed anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("dp_accounting")

from support.private_accounts import (
    DELTA,
    ROUNDS,
    TARGET,
    Accounts,
    paid,
    planned,
    private_federation,
    unpaid,
)

from securefl.auditing import privacy_accounts, privacy_audit
from securefl.auditing.privacy_accounts import PrivacyAudit
from securefl.ledger.budget_state import Charge
from securefl.privacy.accounting import second_opinion
from securefl.privacy.accounting.accountants import accountant_named
from securefl.privacy.accounting.second_opinion import Opinions, opinions
from securefl.privacy.events import NonPrivate, SampledGaussian, parse_event

REAL = privacy_accounts.opinions
pytestmark = pytest.mark.usefixtures("quick")


def audited(accounts: Accounts) -> PrivacyAudit:
    return accounts.audited(accounts.budgets.parent / "clients")


def findings(accounts: Accounts) -> list[str]:
    return [str(finding) for finding in audited(accounts).findings]


def test_a_promise_that_was_kept_and_charged_in_full_passes(accounts: Accounts) -> None:
    report = audited(accounts)
    assert report.findings == ()
    assert [client.member for client in report.clients] == list(accounts.federation.cohort)
    for client in report.clients:
        assert [charge.round_number for charge in client.charges] == [1, 2, 3]
        assert 0 < client.after[1] < client.after[2] < client.after[3] == client.opinions.epsilon <= TARGET
        assert client.spent == client.opinions.epsilon
        assert client.others == 0


def test_epsilon_is_computed_by_an_accountant_that_did_not_charge(accounts: Accounts) -> None:
    report = audited(accounts)
    events = [planned().event] * ROUNDS
    for client in report.clients:
        assert client.opinions.epsilons == {
            name: pytest.approx(accountant_named(name).epsilon(events, delta=DELTA))
            for name in ("rdp", "pld")
        }


def test_a_client_that_charged_nothing_is_named(tmp_path: Path) -> None:
    accounts = unpaid(tmp_path)
    for member in ("client-1", "client-3"):
        accounts.charge(member, (1, 2, 3), planned().event.text)
    (found,) = findings(accounts)
    assert found.startswith(
        "client-2: it contributed to 3 rounds, and no ledger of its budgets has a charge of"
    )


def test_a_round_that_was_not_charged_is_named(tmp_path: Path) -> None:
    accounts = unpaid(tmp_path)
    for member, rounds in (("client-1", (1, 2, 3)), ("client-2", (1, 3)), ("client-3", (1, 2, 3))):
        accounts.charge(member, rounds, planned().event.text)
    assert findings(accounts) == [
        "client-2: it contributed to round 2, and its budget was not charged for it"
    ]


def test_less_noise_than_the_promise_needs_is_named_with_what_it_costs(tmp_path: Path) -> None:
    accounts = unpaid(tmp_path)
    halved = replace(planned().event, noise_multiplier=planned().noise_multiplier / 2)
    for member, event in (("client-1", halved), ("client-2", planned().event), ("client-3", planned().event)):
        accounts.charge(member, (1, 2, 3), event.text)
    (found,) = findings(accounts)
    assert found.startswith("client-1: its charges cost epsilon ")
    assert found.endswith("at delta 1e-05 by rdp, and 3 was promised")


@pytest.mark.parametrize(
    "change",
    [{"sampling_probability": 0.02}, {"steps": 12}, {"sampling_probability": 0.039}, {"steps": 26}],
    ids=str,
)
def test_samples_and_steps_that_no_number_of_rows_has_are_named(
    tmp_path: Path, change: dict[str, float]
) -> None:
    """Whoever charges smaller samples, or fewer steps, than were taken would need more rows for the one alone."""
    accounts = unpaid(tmp_path)
    other = replace(planned().event, **{"noise_multiplier": 50.0} | change)
    for member in accounts.federation.cohort:
        accounts.charge(member, (1, 2, 3), (other if member == "client-2" else planned().event).text)
    found = findings(accounts)
    assert len(found) == ROUNDS
    assert all(line.startswith("client-2: its budget was charged for ") for line in found)
    assert "which a batch of 8 and 1 epochs make of no number of rows" in found[0]


@pytest.mark.parametrize(("rows", "persons"), [(200, 1), (7, 1), (8, 1), (9, 1), (333, 5), (20, 5), (1, 1)])
def test_what_a_number_of_rows_makes_is_no_other_training(rows: int, persons: int) -> None:
    from securefl.auditing.noise_audit import other_releases
    from securefl.training.dp_sgd.member_plan import member_plan

    person = {"group_column": "who", "max_per_group": persons} if persons > 1 else {}
    federation = private_federation(delta=1e-3, **person)
    terms = federation.terms
    event = member_plan(terms.privacy, terms.training, rows=rows, rounds=ROUNDS).event  # type: ignore[arg-type]
    charge = Charge(
        reservation=1, federation_digest=federation.digest, round_number=1, attempt=1, release=event.text
    )
    assert list(other_releases([charge], federation)) == []


def test_a_round_that_was_trained_twice_costs_twice(accounts: Accounts) -> None:
    for attempt in (2, 3, 4):
        accounts.charge("client-1", (2,), planned().event.text, attempt=attempt)
    (found,) = findings(accounts)
    assert "its charges cost epsilon" in found


@pytest.mark.parametrize(
    ("release", "said"),
    [
        (NonPrivate().text, "which is none of unit"),
        (
            "distributed-discrete-gaussian dimension=10 squared_sensitivity=100 share_variance=4000 honest=3",
            'a release "distributed-discrete-gaussian", which is none of unit "example"',
        ),
    ],
)
def test_a_charge_of_another_unit_pays_for_nothing(tmp_path: Path, release: str, said: str) -> None:
    accounts = unpaid(tmp_path)
    parse_event(release)
    for member in accounts.federation.cohort:
        accounts.charge(member, (1, 2, 3), release if member == "client-2" else planned().event.text)
    assert any(said in found for found in findings(accounts))
    assert all(found.startswith("client-2: ") for found in findings(accounts))


def test_a_charge_for_a_round_that_is_none_of_the_federations_is_named(accounts: Accounts) -> None:
    accounts.charge("client-3", (9,), planned(rounds=4).event.text)
    found = findings(accounts)
    assert "client-3: its budget was charged for round 9, which this federation does not have" in found


def test_a_release_of_unknown_words_is_named(tmp_path: Path) -> None:
    accounts = unpaid(tmp_path)
    for member in accounts.federation.cohort:
        accounts.charge(member, (1, 2, 3), "magic" if member == "client-1" else planned().event.text)
    assert findings(accounts) == [
        "client-1: its budget's ledger has an event of privacy that this version does not know"
    ]


@pytest.mark.parametrize("change", [b"federation_digest", b"sampled-gaussian", b"signature"])
def test_a_ledger_that_was_edited_is_named(accounts: Accounts, change: bytes) -> None:
    (path,) = (accounts.budgets / "client-2").glob("*.jsonl")
    data = path.read_bytes()
    place = data.rindex(change)
    path.write_bytes(data[:place] + b"x" + data[place + 1 :])
    found = findings(accounts)
    assert found[0].startswith("client-2: the ledger has been altered or damaged")
    assert any("no ledger of its budgets has a charge" in line for line in found[1:])


def test_a_ledger_of_another_client_is_named(accounts: Accounts) -> None:
    (path,) = (accounts.budgets / "client-1").glob("*.jsonl")
    (accounts.budgets / "client-3" / path.name).write_bytes(path.read_bytes())
    assert any("client-3: the budget's ledger is another client's" in found for found in findings(accounts))


def copied(accounts: Accounts, member: str) -> tuple[Path, Path]:
    """The live ledger of a client's budget, and the copy of it in the run's results."""
    (live,) = (accounts.budgets / member).glob("*.jsonl")
    copy = accounts.budgets.parent / "clients" / member / "budget.jsonl"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(live.read_bytes())
    return live, copy


def test_a_copy_in_the_results_stands_for_a_ledger_that_is_not_here(accounts: Accounts) -> None:
    copied(accounts, "client-2")
    shutil.rmtree(accounts.budgets / "client-2")
    shutil.rmtree(accounts.receipts / "client-2")
    assert findings(accounts) == []


def test_a_ledger_that_went_on_after_its_copy_counts_once(accounts: Accounts) -> None:
    copied(accounts, "client-2")
    accounts.charge("client-2", (1,), planned().event.text, digest=b"later".ljust(32))
    report = audited(accounts)
    assert report.findings == ()
    assert [client.others for client in report.clients] == [0, 1, 0]


def test_a_ledger_that_was_cut_after_its_copy_is_named_and_counts_whole(accounts: Accounts) -> None:
    live, _ = copied(accounts, "client-2")
    live.write_bytes(b"".join(live.read_bytes().splitlines(keepends=True)[:-1]))
    report = audited(accounts)
    (found,) = map(str, report.findings)
    assert found.startswith(
        "client-2: the budget's ledger ends before the copy that the run has left: it was cut"
    )
    assert len(report.clients[1].charges) == 3


def test_a_ledger_that_is_gone_is_named_where_receipts_of_it_are_here(accounts: Accounts) -> None:
    live, _ = copied(accounts, "client-2")
    live.unlink()
    (found,) = findings(accounts)
    assert found.startswith("client-2: its budget's ledger cannot be found")


def test_a_ledger_that_does_not_continue_its_receipts_is_named(accounts: Accounts) -> None:
    (live,) = (accounts.budgets / "client-2").glob("*.jsonl")
    whole = live.read_bytes()
    # Nothing of the run speaks of what comes after its last charge; the receipts do.
    accounts.charge("client-2", (1,), planned().event.text, digest=b"later".ljust(32))
    assert findings(accounts) == []
    live.write_bytes(whole)
    assert findings(accounts) == [
        "client-2: its budget's ledger lacks 1 of the entries that its receipts name (entry 5): it was cut, is an old "
        "copy, or there are two histories"
    ]


Named = Callable[[str, Mapping[int, bytes]], None]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Named:
    """Heads of one member that certificates of client-1 name."""

    def name(member: str, heads: Mapping[int, bytes]) -> None:
        monkeypatch.setattr(
            privacy_audit, "heads_in", lambda folder: {member: heads} if folder.name == "client-1" else {}
        )

    return name


def heads_of(accounts: Accounts, member: str = "client-2") -> dict[int, bytes]:
    return {number: anchor.digest for number, anchor in accounts.anchors[member].items()}


def test_heads_in_certificates_that_its_own_ledger_of_the_run_names_too_are_no_finding(
    accounts: Accounts, named: Named
) -> None:
    named("client-2", heads_of(accounts))
    assert findings(accounts) == []


def test_a_ledger_of_the_run_without_any_head_is_named_where_certificates_have_them(
    accounts: Accounts, named: Named
) -> None:
    named("client-2", heads_of(accounts))
    accounts.anchors["client-2"].clear()
    found = findings(accounts)
    for number in (1, 2, 3):
        assert (
            "client-2: its run ledger does not name the head of its budget's ledger that its header of round "
            f"{number} has" in found
        )


def test_a_head_in_a_certificate_that_the_budgets_ledger_lacks_is_named(
    accounts: Accounts, named: Named
) -> None:
    named("client-2", heads_of(accounts) | {3: b"another history".ljust(32)})
    assert findings(accounts) == [
        "client-2: its run ledger does not name the head of its budget's ledger that its header of round 3 has",
        "client-2: its budget's ledger lacks 1 of the entries that its headers name (round 3): it was cut, is an old "
        "copy, or there are two histories",
    ]


def test_a_header_that_names_no_head_under_a_promise_is_named(accounts: Accounts, named: Named) -> None:
    named("client-2", heads_of(accounts) | {2: bytes(32)})
    assert findings(accounts) == ["client-2: its header of round 2 names no head of its budget's ledger"]


def test_certificates_alone_show_that_no_budget_was_charged(tmp_path: Path, named: Named) -> None:
    accounts = paid(tmp_path / "budgets")
    named("client-2", heads_of(accounts))
    for path in (accounts.budgets / "client-2").iterdir():
        path.unlink()
    accounts.anchors["client-2"].clear()
    found = findings(accounts)
    assert any(
        "lacks 3 of the entries that its headers name (round 1, round 2, round 3)" in line for line in found
    )
    assert any(
        "it contributed to 3 rounds, and no ledger of its budgets has a charge" in line for line in found
    )


def test_a_ledger_that_tells_another_history_than_its_copy_is_named(accounts: Accounts) -> None:
    live, _ = copied(accounts, "client-2")
    live.write_bytes(b"".join(live.read_bytes().splitlines(keepends=True)[:-1]))
    accounts.forget_receipts("client-2")
    accounts.charge("client-2", (1,), planned().event.text, digest=b"later".ljust(32))
    assert any(
        "two copies of the budget's ledger tell different histories" in found for found in findings(accounts)
    )


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_ledger_that_was_cut_or_turned_back_is_named(accounts: Accounts, kept: int) -> None:
    (live,) = (accounts.budgets / "client-2").glob("*.jsonl")
    live.write_bytes(b"".join(live.read_bytes().splitlines(keepends=True)[:kept]))
    found = findings(accounts)
    said = "it was cut, is an old copy, or" if kept > 1 else "no ledger of its budgets has a charge"
    assert any(said in line for line in found)
    assert all(line.startswith("client-2: ") for line in found)


def test_a_second_history_is_named(accounts: Accounts) -> None:
    (live,) = (accounts.budgets / "client-2").glob("*.jsonl")
    live.write_bytes(b"".join(live.read_bytes().splitlines(keepends=True)[:2]))
    accounts.forget_receipts("client-2")
    before = dict(accounts.anchors["client-2"])
    accounts.charge("client-2", (2, 3), planned().event.text)
    accounts.anchors["client-2"].update(before)
    (found,) = findings(accounts)
    assert "there are two histories" in found


def test_a_ledger_that_was_begun_anew_with_another_key_is_named(accounts: Accounts) -> None:
    shutil.rmtree(accounts.budgets / "client-2")
    shutil.rmtree(accounts.receipts / "client-2")
    before = dict(accounts.anchors["client-2"])
    accounts.charge("client-2", (1, 2, 3), planned().event.text)
    accounts.anchors["client-2"].update(before)
    assert findings(accounts) == [
        "client-2: no ledger of its budgets here is signed with the key that its ledger of the run names"
    ]


def test_a_round_that_no_head_was_named_for_is_named(accounts: Accounts) -> None:
    del accounts.anchors["client-2"][2]
    assert findings(accounts) == [
        "client-2: its ledger of the run names no head of its budget's ledger for round 2"
    ]


@pytest.mark.parametrize("kept_by", ["run", "certificate"])
def test_a_round_that_was_charged_after_its_contribution_is_named(
    tmp_path: Path, named: Named, kept_by: str
) -> None:
    """The member named its budget's head, and wrote the charge behind it once the run was over."""
    accounts = unpaid(tmp_path)
    for member in accounts.federation.cohort:
        accounts.charge(member, (1, 2, 3), planned().event.text)
    heads = accounts.anchors["client-2"]
    early = heads | {3: heads[2]}
    if kept_by == "run":
        heads |= early
    else:
        named("client-2", {number: anchor.digest for number, anchor in early.items()})
    assert findings(accounts) == [
        "client-2: its budget was charged for round 3 only after its contribution to that round had left"
    ]


def test_charges_in_two_budgets_are_added_up_and_named(accounts: Accounts) -> None:
    accounts.charge("client-1", (1, 2, 3), planned().event.text, data=b"o" * 32)
    found = findings(accounts)
    assert "client-1: its charges lie in 2 budgets, so its data changed while the federation ran" in found
    assert any("its charges cost epsilon" in line for line in found)


def test_other_federations_on_the_same_data_are_added_up_beside_this_one(accounts: Accounts) -> None:
    accounts.charge("client-1", (1, 2), planned().event.text, digest=b"other".ljust(32))
    report = audited(accounts)
    assert report.findings == ()
    first = report.clients[0]
    assert first.others == 2
    assert first.spent > first.opinions.epsilon


@pytest.mark.parametrize(("unit", "epsilon"), [("none", "infinity"), ("example", "8.0")])
def test_a_ledger_that_began_with_another_promise_is_named(
    accounts: Accounts, unit: str, epsilon: str
) -> None:
    accounts.starts["client-2"] = (unit, epsilon)
    assert findings(accounts) == [
        f'client-2: its ledger began with unit "{unit}" and epsilon {epsilon}, and the federation file promises unit '
        '"example" and epsilon 3.0'
    ]


def test_accountants_that_cannot_both_be_right_are_named() -> None:
    right = Opinions(charged_by="pld", epsilons={"pld": 3.0, "prv": 3.05, "rdp": 3.4})
    assert list(right.contradictions()) == []
    apart = Opinions(charged_by="pld", epsilons={"pld": 2.0, "prv": 3.0, "rdp": 3.4})
    assert list(apart.contradictions()) == ["pld computes epsilon 2 and prv 3"]
    above = Opinions(charged_by="rdp", epsilons={"rdp": 1.5, "pld": 3.0})
    assert list(above.contradictions()) == ["pld computes epsilon 3, above the bound of rdp, 1.5"]


def test_an_accountant_that_counts_too_little_is_found(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from securefl.privacy.accounting.rdp import RdpAccountant

    monkeypatch.setattr(privacy_accounts, "opinions", REAL)
    right = RdpAccountant._epsilon
    monkeypatch.setattr(RdpAccountant, "_epsilon", lambda *arguments: right(*arguments) / 2)
    assert any("the accountants do not agree on its charges" in found for found in findings(accounts))


@pytest.mark.slow
def test_all_three_accountants_agree_on_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opacus")
    monkeypatch.setattr(second_opinion.PrvAccountant, "installed", staticmethod(lambda: True))
    event = SampledGaussian(noise_multiplier=1.1, sampling_probability=0.05, steps=20)
    asked = opinions([event] * 3, delta=1e-5, charged_by="pld")
    assert set(asked.epsilons) == {"rdp", "pld", "prv"}
    assert list(asked.contradictions()) == []
