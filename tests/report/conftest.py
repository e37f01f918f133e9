"""Pages of two audits: one that holds, and one with findings and names that try to be markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.federations import make_federation
from support.private_accounts import private_federation

from securefl.auditing.findings import Finding
from securefl.auditing.privacy_accounts import ClientPrivacy, PrivacyAudit, Promise
from securefl.auditing.run_audit import AuditReport
from securefl.ledger.budget_state import Charge
from securefl.privacy.accounting.second_opinion import Opinions

ROUNDS = 12
MARKUP = "<script>document.title='run'</script><img src=http://192.0.2.1/x.png>"


def account(member: str, epsilon: float) -> ClientPrivacy:
    """A client that spent evenly up to an epsilon."""
    charges = tuple(
        Charge(
            reservation=n, federation_digest=bytes(32), round_number=n, attempt=1, release="sampled-gaussian"
        )
        for n in range(1, ROUNDS + 1)
    )
    return ClientPrivacy(
        member=member,
        charges=charges,
        after={number: epsilon * (number / ROUNDS) ** 0.5 for number in range(1, ROUNDS + 1)},
        opinions=Opinions(charged_by="rdp", epsilons={"rdp": epsilon, "pld": 0.9 * epsilon}),
        others=0,
        spent=1.5 * epsilon,
    )


def report(*clients: ClientPrivacy, findings: tuple[Finding, ...] = (), name: str = "quarter") -> AuditReport:
    federation = private_federation()
    privacy = PrivacyAudit(promise=Promise.of(federation), rounds=ROUNDS, clients=clients)
    members = tuple(client.member for client in clients)
    return AuditReport(Path("runs") / name, members, ROUNDS, findings, privacy, federation)


@pytest.fixture
def holds() -> AuditReport:
    return report(*(account(f"hospital-{place}", 2.4 + place / 10) for place in range(1, 6)))


@pytest.fixture
def fails() -> AuditReport:
    found = (
        Finding("client-2", "it contributed to round 3, and its budget was not charged for it"),
        Finding("", f"result.json says {MARKUP}"),
    )
    return report(account("client-1", 2.9), account(MARKUP, 9.5), findings=found)


@pytest.fixture
def in_doubt() -> AuditReport:
    """One of whose two clients something does not hold."""
    found = Finding("client-2", "it contributed to round 3, and its budget was not charged for it")
    return report(account("client-1", 2.9), account("client-2", 1.0), findings=(found,))


@pytest.fixture
def promised_nothing() -> AuditReport:
    federation = make_federation(scheme="none").federation
    privacy = PrivacyAudit(promise=None, rounds=2)
    return AuditReport(Path("runs/plain"), federation.cohort, 2, (), privacy, federation)
