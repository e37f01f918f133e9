"""Audit of a promise of differential privacy: charged in full, and kept, as the ledgers alone show it.

The rule kept here: no epsilon of the run is believed. Every one is computed here from the releases that the clients'
budget ledgers name, by the accountant of the promise and by others that had no part in the run.

    charges of a client = releases of its own ledger of the run -> epsilon of them, after every round
    -> at most the promise, by every accountant's account -> named where not
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from securefl.api.budget_anchors import anchors_of, check_budget_ledger, heads_in
from securefl.api.budget_records import BudgetRecord, records_of, total
from securefl.api.findings import Finding
from securefl.api.noise_audit import broken_promise, other_releases
from securefl.config.privacy import ClientPrivacySection, ExamplePrivacySection
from securefl.errors import SecureFLError
from securefl.ledger.budget_files import state_folder
from securefl.ledger.budget_state import Charge
from securefl.ledger.charges import charged
from securefl.ledger.events import BudgetAnchored, RunStarted
from securefl.ledger.ledger import VerifiedLedger
from securefl.privacy.accounting.accountants import AccountantName
from securefl.privacy.accounting.second_opinion import Opinions, opinions
from securefl.privacy.budget import events_of, unit_of
from securefl.privacy.events import Event
from securefl.privacy.plan import Unit
from securefl.protocol.federation import Federation
from securefl.results.client import BUDGET_COPY, FILE_NAME, read_client_result

ROUNDING = 1e-6
"""Part by which a computed epsilon may exceed a promise that its noise was calibrated to."""
SHOWN_ROUNDS = 40
"""Most rounds after which epsilon is computed for one client; a longer run has evenly spread ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Differential privacy as a federation file promises it.

    Attributes:
        unit: What is protected.
        epsilon: Of all rounds together, at most.
        delta: At this delta.
        accountant: Who computes it.
        clip: Norm that a row's gradient, or a client's update, is clipped to.
        per_person: Most rows of a person; None where single rows are protected, or whole clients.
    """

    unit: Unit
    epsilon: float
    delta: float
    accountant: AccountantName
    clip: float
    per_person: int | None = None

    @classmethod
    def of(cls, federation: Federation) -> Promise | None:
        """The promise of a federation; None under ``unit = "none"``."""
        match federation.terms.privacy:
            case ExamplePrivacySection() as rows:
                named = "example", rows.accountant, rows.max_per_group
                section: ExamplePrivacySection | ClientPrivacySection = rows
            case ClientPrivacySection() as clients:
                named = "client", clients.accounted_by, None
                section = clients
            case _:
                return None
        return cls(
            unit="example" if named[0] == "example" else "client",
            epsilon=section.target_epsilon,
            delta=section.delta,
            accountant=named[1],
            clip=section.clip,
            per_person=named[2],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPrivacy:
    """One client's account.

    Attributes:
        member: Its id.
        charges: Charges of this federation that count, in the order of its ledger.
        after: By round, epsilon of all charges up to it; the rounds are spread evenly where there are many.
        opinions: Epsilon of this federation's charges by each accountant.
        others: How many charges of other federations stand in the same budgets.
        spent: Epsilon of all charges of all federations on the same data, by the accountant of the promise.
    """

    member: str
    charges: tuple[Charge, ...]
    after: Mapping[int, float]
    opinions: Opinions
    others: int
    spent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyAudit:
    """Result of the audit of a promise.

    Attributes:
        promise: What was promised; None where nothing was.
        rounds: Rounds that the federation file names.
        clients: Accounts of the clients whose ledgers hold together, in the roster's order.
        findings: Everything that does not hold.
    """

    promise: Promise | None
    rounds: int
    clients: tuple[ClientPrivacy, ...] = ()
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain values of the audit."""
        promise = self.promise
        return {
            "unit": promise.unit if promise else "none",
            "promised": None
            if promise is None
            else {"epsilon": promise.epsilon, "delta": promise.delta, "accountant": promise.accountant},
            "clients": [
                {
                    "id": client.member,
                    "charges": [
                        {"round": charge.round_number, "attempt": charge.attempt, "release": charge.release}
                        for charge in client.charges
                    ],
                    "epsilon": dict(client.opinions.epsilons),
                    "epsilon_after": {str(number): value for number, value in client.after.items()},
                    "charges_of_other_federations": client.others,
                    "epsilon_of_all_federations": client.spent,
                }
                for client in self.clients
            ],
        }


@dataclass(frozen=True, slots=True)
class _Bookkeeper:
    """Epsilon of releases; the same ones are computed once, as clients with equally many rows have the same."""

    promise: Promise
    _known: Callable[[tuple[Event, ...]], Opinions] = field(init=False)

    def __post_init__(self) -> None:
        def computed(events: tuple[Event, ...]) -> Opinions:
            return opinions(events, delta=self.promise.delta, charged_by=self.promise.accountant)

        object.__setattr__(self, "_known", cache(computed))

    def of(self, charges: Sequence[Charge]) -> Opinions:
        """Opinions on what was charged to the promise's unit.

        Raises:
            ValueError: if a release is none that this version knows.
        """
        events = events_of(charge.release for charge in charges)
        own = (event for event in events if unit_of(event) in (self.promise.unit, None))
        return self._known(tuple(sorted(own, key=lambda event: event.text)))

    def epsilon(self, charges: Sequence[Charge]) -> float:
        """Epsilon of what was charged, by the accountant of the promise."""
        return self.of(charges).epsilon


def audit_privacy(
    federation: Federation,
    ledgers: Mapping[str, VerifiedLedger],
    *,
    results: Path,
    budgets: Path | None = None,
) -> PrivacyAudit:
    """Audit the promise of a federation against its clients' ledgers.

    Args:
        federation: The pinned federation.
        ledgers: Verified ledgers of the run, by member; a member without one has a finding already.
        results: Folder of the clients' results, which may hold copies of their budgets' ledgers.
        budgets: Folder of the budgets' ledgers; None for the one of this machine's user.

    Returns:
        Accounts and findings; without a promise there are no accounts.

    Guarantee:
        Where there is no finding, every contribution that a client's signed ledger of the run names was charged, the
        budget's ledger goes on where the run's ledger and everybody's certificates say that it stood, and the charges
        of the federation cost at most the promised epsilon at its delta, by upper bounds of accountants that agree. It
        assumes that members ran the mechanism which they charged; ``--empirical`` tries the one that is installed here.

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
    books, accounts = _Bookkeeper(promise), []
    for member, ledger in ledgers.items():
        found, broken = records_of(
            member, copy=results / member / BUDGET_COPY, live=budgets or state_folder()
        )
        findings += (Finding(member, what) for what in broken)
        records = [record for record in found if record.knows(federation.digest)]
        findings += (
            Finding(member, what) for what in _of_heads(ledger, records, member, heads.get(member, {}))
        )
        charges = tuple(charge for record in records for charge in record.of_federation(federation.digest))
        findings += (Finding(member, what) for what in _of_charges(ledger, charges, records, federation))
        findings += (Finding(member, what) for what in other_releases(charges, federation))
        try:
            account = _account(member, charges, records, books)
        except ValueError as error:
            findings.append(Finding(member, f"its budget's ledger has {error}"))
            continue
        accounts.append(account)
        findings += (Finding(member, what) for what in _of_epsilon(account, promise))
        findings += (Finding(member, what) for what in _of_result(results / member / FILE_NAME, account))
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


def _heads(results: Path, members: Sequence[str]) -> tuple[dict[str, dict[int, bytes]], list[Finding]]:
    """Heads of budgets' ledgers that any member's certificates name, by member and round."""
    heads: dict[str, dict[int, bytes]] = {}
    findings: list[Finding] = []
    for keeper in members:
        try:
            kept = heads_in(results / keeper)
        except SecureFLError as error:
            findings.append(Finding(keeper, str(error).rstrip(".")))
            continue
        for member, by_round in kept.items():
            heads.setdefault(member, {}).update(by_round)
    return heads, findings


def _of_heads(
    ledger: VerifiedLedger, records: Sequence[BudgetRecord], member: str, heads: Mapping[int, bytes]
) -> Iterator[str]:
    """A budget's ledger that does not continue what the run's ledger and everybody's certificates say of it."""
    anchors = anchors_of(entry.event for entry in ledger.entries)
    if not records or not anchors:
        return
    own = [record for record in records if record.state.opened.ledger_key == anchors[-1].ledger_key]
    if not own:
        yield "no ledger of its budgets here is signed with the key that its ledger of the run names"
    for record in own:
        try:
            check_budget_ledger(record.data, member=member, anchors=anchors, heads=heads)
        except SecureFLError as error:
            yield str(error).rstrip(".")


def _of_result(path: Path, account: ClientPrivacy) -> Iterator[str]:
    """A result that says another epsilon than its ledger's charges cost; one that cannot be read is named elsewhere."""
    try:
        said = read_client_result(path).privacy if path.is_file() else None
    except SecureFLError:
        return
    if said is None:
        return
    if not math.isclose(said.epsilon, account.opinions.epsilon, rel_tol=1e-6):
        yield (
            f"its result says that it spent epsilon {said.epsilon:.4g}, and its charges cost "
            f"{account.opinions.epsilon:.4g}"
        )
    if account.spent > said.budget_epsilon * (1 + ROUNDING):
        yield (
            f"all federations together spent epsilon {account.spent:.4g} of its data, and its own limit is "
            f"{said.budget_epsilon:g}"
        )


def _of_charges(
    ledger: VerifiedLedger, charges: Sequence[Charge], records: Sequence[BudgetRecord], federation: Federation
) -> Iterator[str]:
    """Contributions without a charge, and charges that fit no contribution of this federation."""
    sent = sorted({number for number, _ in charged(entry.event for entry in ledger.entries)})
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
    anchored = {
        entry.event.round_number for entry in ledger.entries if isinstance(entry.event, BudgetAnchored)
    }
    for number in sent:
        if number not in paid:
            yield f"it contributed to round {number}, and its budget was not charged for it"
        elif number not in anchored:
            yield f"its ledger of the run names no head of its budget's ledger for round {number}"
    last = federation.terms.federation.rounds
    for number in sorted(paid):
        if not federation.first_round <= number <= last:
            yield f"its budget was charged for round {number}, which this federation does not have"


def _account(
    member: str, charges: tuple[Charge, ...], records: Sequence[BudgetRecord], books: _Bookkeeper
) -> ClientPrivacy:
    everything = total(records)
    rounds = sorted({charge.round_number for charge in charges})
    return ClientPrivacy(
        member=member,
        charges=charges,
        after={
            number: books.epsilon([charge for charge in charges if charge.round_number <= number])
            for number in _spread(rounds)
        },
        opinions=books.of(charges),
        others=len(everything) - len(charges),
        spent=books.epsilon(everything),
    )


def _spread(rounds: Sequence[int]) -> list[int]:
    """At most ``SHOWN_ROUNDS`` of some rounds, the last one among them."""
    stride = -(-len(rounds) // SHOWN_ROUNDS) or 1
    return sorted(set(rounds[::-1][::stride]))


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
