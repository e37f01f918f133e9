"""An audit of noise that protects clients believes neither the file of the lead nor the releases that clients name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from support.private_accounts import (
    ROUNDS,
    client_federation,
    pinned_otherwise,
    private_federation,
    release_of,
    started,
)

pytest.importorskip("dp_accounting")

from securefl.auditing.privacy_accounts import PrivacyAudit, Promise
from securefl.auditing.privacy_words import promised
from securefl.config.aggregation import AggregationSection
from securefl.privacy.accounting import second_opinion
from securefl.protocol.federation import Federation
from securefl.protocol.terms import PinnedClientPrivacy


@pytest.fixture(autouse=True)
def _without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opacus imports torch."""
    monkeypatch.setattr(second_opinion.PrvAccountant, "installed", staticmethod(lambda: False))


@pytest.fixture
def federation() -> Federation:
    return client_federation()


def findings(
    federation: Federation, folder: Path, *, but: str = "", charged_by: Federation | None = None
) -> list[str]:
    """An audit's, where all members but one have charged all rounds; by another file if there is one."""
    accounts = started(federation, folder / "budgets")
    for member in federation.cohort:
        for number in () if member == but else range(1, ROUNDS + 1):
            accounts.charge(member, [number], release_of(charged_by or federation, number))
    return [str(finding) for finding in accounts.audited(folder / "clients").findings]


def halved(federation: Federation) -> Federation:
    privacy = federation.terms.privacy
    assert isinstance(privacy, PinnedClientPrivacy)
    return pinned_otherwise(federation, share_variance_16ths=privacy.share_variance_16ths // 4)


def test_a_run_that_kept_its_promise_has_no_finding(federation: Federation, tmp_path: Path) -> None:
    assert findings(federation, tmp_path) == []


def test_a_client_that_was_charged_nothing_is_named(federation: Federation, tmp_path: Path) -> None:
    (found,) = findings(federation, tmp_path, but="client-2")
    assert found.startswith("client-2: it contributed to 3 rounds, and no ledger of its budgets")


def test_a_file_with_half_of_the_noise_is_named(federation: Federation, tmp_path: Path) -> None:
    found = findings(halved(federation), tmp_path)
    assert found[0].startswith("the federation's rounds do not keep its promise to clients")
    assert any("and 8 was promised" in each for each in found[1:])


def test_a_file_that_sums_weights_by_rows_beside_the_noise_of_rows_is_named(tmp_path: Path) -> None:
    honest = private_federation()
    capped = honest.terms.model_copy(update={"aggregation": AggregationSection(weights="capped")})
    audits = [
        started(each, tmp_path / name / "budgets").audited(tmp_path / name / "clients")
        for name, each in (("honest", honest), ("capped", replace(honest, terms=capped)))
    ]
    said = "the federation's rounds do not keep its promise to rows: weights or statistics"
    assert [any(said in str(finding) for finding in audit.findings) for audit in audits] == [False, True]


def test_charges_for_more_noise_than_was_sent_are_named(federation: Federation, tmp_path: Path) -> None:
    """The members ran half of the noise, and charged what the honest file says."""
    found = findings(halved(federation), tmp_path, charged_by=federation)
    assert sum("another release in round" in each for each in found) == 3 * ROUNDS


def test_shares_for_more_honest_survivors_than_the_roster_is_sure_of_are_named(
    federation: Federation, tmp_path: Path
) -> None:
    counted = len(federation.roster)
    assert counted > federation.constants.min_honest
    (found,) = findings(pinned_otherwise(federation, honest=counted), tmp_path)
    assert f"counts on {counted} honest survivors" in found


@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_a_file_that_counts_on_more_than_one_share_where_contributions_can_be_read_is_named(
    federation: Federation, tmp_path: Path, scheme: str
) -> None:
    encryption = federation.terms.encryption.model_copy(update={"scheme": scheme})
    opened = replace(federation, terms=federation.terms.model_copy(update={"encryption": encryption}))
    (found,) = findings(opened, tmp_path)
    assert f"under 'encryption.scheme' = \"{scheme}\" single contributions" in found


@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_charges_for_several_shares_where_contributions_can_be_read_are_named(
    federation: Federation, tmp_path: Path, scheme: Literal["bfv", "none"]
) -> None:
    readable = client_federation(scheme)
    assert findings(readable, tmp_path / "honest") == []
    found = findings(readable, tmp_path, charged_by=federation)
    assert sum("another release in round" in each for each in found) == 3 * ROUNDS


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("kahe", "the noise of h = 2 honest clients in every sum"),
        ("bfv", 'h = 1: under encryption scheme "bfv" the server with any one client reads'),
        ("none", 'h = 1: under encryption scheme "none" the server reads'),
    ],
)
def test_an_audit_says_whose_noise_hides_a_client(scheme: Literal["kahe", "bfv", "none"], said: str) -> None:
    audit = PrivacyAudit(promise=Promise.of(client_federation(scheme)), rounds=ROUNDS)
    assert said in " ".join(promised(audit))
