"""Audit of a promise of differential privacy: charged in full, and kept, as the ledgers alone show it.

The rule kept here: no epsilon of the run is believed. Every one is computed here from the releases that the clients'
budget ledgers name, by the accountant of the promise and by others that had no part in the run.

    charges of a client = releases of its own ledger of the run -> epsilon of them, after every round
    -> at most the promise, by every accountant's account -> named where not
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from securefl.auditing.budget_anchors import (
    Anchors,
    anchor_findings,
    anchored_in,
    copy_findings,
    heads_in,
    late_charges,
)
from securefl.auditing.budget_records import BudgetRecord, ClientBudgets, budgets_of
from securefl.auditing.findings import Finding
from securefl.auditing.noise_audit import broken_promise, other_releases
from securefl.auditing.privacy_accounts import Bookkeeper, ClientPrivacy, PrivacyAudit, Promise, account_of
from securefl.auditing.privacy_results import result_findings
from securefl.errors import SecureFLError
from securefl.ledger.budget_files import receipts_folder, state_folder
from securefl.ledger.budget_state import Charge
from securefl.ledger.charges import charged
from securefl.ledger.events import RunStarted
from securefl.ledger.ledger import VerifiedLedger
from securefl.privacy.budget import events_of, unit_of
from securefl.protocol.federation import Federation
from securefl.results.client import BUDGET_COPY, FILE_NAME

ROUNDING = 1e-6
"""Part by which a computed epsilon may exceed a promise that its noise was calibrated to."""


def audit_privacy(
    federation: Federation,
    ledgers: Mapping[str, VerifiedLedger],
    *,
    results: Path,
    budgets: Path | None = None,
    receipts: Path | None = None,
) -> PrivacyAudit:
    """Audit the promise of a federation against its clients' ledgers.

    Args:
        federation: The pinned federation.
        ledgers: Verified ledgers of the run, by member; a member without one has a finding already.
        results: Folder of the clients' results, which may hold copies of their budgets' ledgers.
        budgets: Folder of the budgets' ledgers; None for the one of this machine's user.
        receipts: Folder of their receipts; None for the one of this machine's user.

    Returns:
        Accounts and findings; without a promise there are no accounts.

    Guarantee:
        Where there is no finding, every contribution that a client's signed ledger of the run names was charged before
        it left, the budget's ledger goes on where the run's ledger and everybody's certificates say that it stood, and
        the charges of the federation cost at most the promised epsilon at its delta, by upper bounds of accountants
        that agree. It assumes that members ran the mechanism which they charged; ``--empirical`` tries the one that is
        installed here.

    Raises:
        ConfigError: if the accountant of the promise is not installed.
    """
    promise, rounds = Promise.of(federation), federation.terms.federation.rounds
    findings = [
        Finding(member, what) for member, ledger in ledgers.items() for what in _of_start(ledger, federation)
    ]
    if promise is None:
        return PrivacyAudit(promise=None, rounds=rounds, findings=tuple(findings))
    findings += (Finding("", what) for what in broken_promise(federation))
    heads, missing = _heads(results, tuple(ledgers))
    findings += missing
    books, accounts = Bookkeeper(promise), []
    for member, ledger in ledgers.items():
        run, headers = anchored_in(entry.event for entry in ledger.entries), frozenset(heads.get(member, ()))
        found = budgets_of(
            member,
            copy=results / member / BUDGET_COPY,
            live=budgets or state_folder(),
            kept=receipts or receipts_folder(),
            named={event.head for event in run} | {head for _, head in headers},
        )
        findings += (Finding(member, what) for what in found.broken)
        anchors = Anchors(run=run, headers=headers, receipts=found.receipts)
        findings += (Finding(member, what) for what in anchor_findings(found.records, anchors))
        findings += (Finding(member, what) for what in _of_copy(found, anchors, folder=results / member))
        records = [record for record in found.records if record.knows(federation.digest)]
        charges = tuple(charge for record in records for charge in record.of_federation(federation.digest))
        findings += (
            Finding(member, what) for what in _of_charges(_sent(ledger, anchors), charges, records, anchors)
        )
        findings += (
            Finding(member, what) for what in late_charges(records, anchors, federation=federation.digest)
        )
        findings += (Finding(member, what) for what in _of_rounds(charges, federation))
        findings += (Finding(member, what) for what in other_releases(charges, federation))
        try:
            account = account_of(member, charges, records, books)
        except ValueError as error:
            findings.append(Finding(member, f"its budget's ledger has {error}"))
            continue
        accounts.append(account)
        findings += (Finding(member, what) for what in _of_epsilon(account, promise))
        findings += (
            Finding(member, what)
            for what in result_findings(results / member / FILE_NAME, account, promise, books=books)
        )
    return PrivacyAudit(promise=promise, rounds=rounds, clients=tuple(accounts), findings=tuple(findings))


def _of_start(ledger: VerifiedLedger, federation: Federation) -> Iterator[str]:
    """A ledger that began with another promise than the federation file's, which may promise nothing."""
    privacy, first = federation.terms.privacy, ledger.entries[0].event
    promised = privacy.unit, privacy.promised_epsilon
    if isinstance(first, RunStarted) and (first.unit, first.epsilon) != promised:
        yield (
            f'its ledger began with unit "{first.unit}" and epsilon {first.epsilon}, and the federation file promises '
            f'unit "{promised[0]}" and epsilon {promised[1]}'
        )


def _heads(results: Path, members: Sequence[str]) -> tuple[dict[str, set[tuple[int, bytes]]], list[Finding]]:
    """Rounds and heads of budgets' ledgers that any member's certificates name, by member."""
    heads: dict[str, set[tuple[int, bytes]]] = {}
    findings: list[Finding] = []
    for keeper in members:
        try:
            kept = heads_in(results / keeper)
        except SecureFLError as error:
            findings.append(Finding(keeper, str(error).rstrip(".")))
            continue
        for member, by_round in kept.items():
            heads.setdefault(member, set()).update(by_round.items())
    return heads, findings


def _sent(ledger: VerifiedLedger, anchors: Anchors) -> frozenset[int]:
    """Rounds that a member contributed to, by its ledger of the run or by a header that anybody's certificate has."""
    own = {number for number, _ in charged(entry.event for entry in ledger.entries)}
    return frozenset(own | {number for number, _ in anchors.headers})


def _of_copy(found: ClientBudgets, anchors: Anchors, *, folder: Path) -> Iterator[str]:
    """The copy that a finished member left, where it is gone or ends before the member's own heads of this run.

    It is written before the result, so a result without it says that somebody took it away; and a run's folder that
    travels has no other ledger.
    """
    if found.copy is not None:
        yield from copy_findings(found.copy, anchors)
    elif anchors.run and (folder / FILE_NAME).is_file() and not (folder / BUDGET_COPY).is_file():
        yield f"it left no copy of its budget's ledger with its results: {folder / BUDGET_COPY}"


def _of_charges(
    sent: frozenset[int], charges: Sequence[Charge], records: Sequence[BudgetRecord], anchors: Anchors
) -> Iterator[str]:
    """Contributions without a charge."""
    if not records:
        if sent:
            yield (
                f"it contributed to {len(sent)} rounds, and no ledger of its budgets has a charge of this federation: "
                "name their folder with --budgets"
            )
        return
    if len(records) > 1:
        yield f"its charges lie in {len(records)} budgets, so its data changed while the federation ran"
    paid = {charge.round_number for charge in charges}
    anchored = {event.round_number for event in anchors.run}
    for number in sorted(sent):
        if number not in paid:
            yield f"it contributed to round {number}, and its budget was not charged for it"
        elif number not in anchored:
            yield f"its ledger of the run names no head of its budget's ledger for round {number}"


def _of_rounds(charges: Sequence[Charge], federation: Federation) -> Iterator[str]:
    """Charges for rounds that the federation does not have."""
    last = federation.terms.federation.rounds
    for number in sorted({charge.round_number for charge in charges}):
        if not federation.first_round <= number <= last:
            yield f"its budget was charged for round {number}, which this federation does not have"


def _of_epsilon(account: ClientPrivacy, promise: Promise) -> Iterator[str]:
    foreign = {
        charge.release.split(" ", 1)[0]
        for charge, event in zip(account.charges, events_of(c.release for c in account.charges), strict=True)
        if unit_of(event) != promise.unit
    }
    for name in sorted(foreign):
        yield f'its budget was charged for a release "{name}", which is none of unit "{promise.unit}"'
    if account.opinions.epsilon > promise.epsilon * (1 + ROUNDING):
        yield (
            f"its charges cost epsilon {account.opinions.epsilon:.4g} at delta {promise.delta:g} by "
            f"{account.opinions.charged_by}, and {promise.epsilon:g} was promised"
        )
    for clause in account.opinions.contradictions():
        yield f"the accountants do not agree on its charges: {clause}"
    epsilon, by = account.opinions.epsilon, account.opinions.charged_by
    if epsilon < account.least * (1 - ROUNDING):
        yield (
            f"{by} computes epsilon {epsilon:.4g} of its charges, and a test on two neighbouring sums alone shows "
            f"epsilon {account.least:.4g}"
        )
