"""A federation that promises differential privacy, as its ledgers tell of it: nothing is trained, and no network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal

from securefl.auditing.privacy_accounts import PrivacyAudit
from securefl.auditing.privacy_audit import audit_privacy
from securefl.config.aggregation import AggregationSection
from securefl.config.privacy import ClientPrivacySection, ExamplePrivacySection
from securefl.ledger.anchors import Anchor
from securefl.ledger.budget_files import BudgetPlace
from securefl.ledger.chain import Entry
from securefl.ledger.events import (
    AggregateApplied,
    BudgetAnchored,
    Event,
    RoundContributed,
    RoundReserved,
    RunFinished,
    RunStarted,
)
from securefl.ledger.ledger import VerifiedLedger
from securefl.ledger.row_marks import MarkedData
from securefl.privacy.least_noise import plan_examples
from securefl.privacy.plan import PrivacyPlan
from securefl.protocol.client_noise import round_event
from securefl.protocol.federation import Federation
from securefl_client.budget_store import ReceiptedBudget
from support.federations import make_federation

ROUNDS = 3
TARGET = 3.0
DELTA = 1e-5


def private_federation(**keys: object) -> Federation:
    """Three members that protect their rows."""
    federation = make_federation(
        ranks=(2, 4, 8), rounds=ROUNDS, scheme="none", aggregation=AggregationSection(weights="equal")
    ).federation
    section = ExamplePrivacySection.model_validate(
        {"unit": "example", "target_epsilon": TARGET, "delta": DELTA, "accountant": "rdp"} | keys
    )
    return replace(federation, terms=federation.terms.model_copy(update={"privacy": section}))


def client_federation(
    scheme: Literal["kahe", "bfv", "none"] = "kahe",
    *,
    members: int = 3,
    max_colluders: int | None = None,
    **keys: object,
) -> Federation:
    """Members that are protected whole, and all needed in every round."""
    section = {"unit": "client", "target_epsilon": 8, "accountant": "rdp", "force": True} | keys
    return make_federation(
        (2, 4, 8, 2, 4, 8)[:members],
        rounds=ROUNDS,
        scheme=scheme,
        min_clients=members,
        max_colluders=max_colluders,
        payload="core",
        aggregation=AggregationSection(weights="equal"),
        promise=ClientPrivacySection.model_validate(section),
    ).federation


def release_of(federation: Federation, number: int = 1) -> str:
    """Text of what a round of such a federation releases."""
    event = round_event(federation, number)
    assert event is not None
    return event.text


def pinned_otherwise(federation: Federation, **keys: object) -> Federation:
    """Such a federation whose file has other values under ``[privacy]``."""
    privacy = federation.terms.privacy.model_copy(update=keys)
    return replace(federation, terms=federation.terms.model_copy(update={"privacy": privacy}))


@cache
def planned(rounds: int = ROUNDS, target: float = TARGET) -> PrivacyPlan:
    """The plan of each of its members."""
    return plan_examples(
        target_epsilon=target,
        delta=DELTA,
        accountant="rdp",
        clip=1.0,
        clipping="flat",
        rows=200,
        batch_size=8,
        steps=25,
        rounds=rounds,
    )


def fingerprint(member: str) -> bytes:
    """Of a member's data."""
    return member.encode().ljust(32, b".")


START = ("example", "3.0")


@dataclass(frozen=True)
class Accounts:
    """What a run left: its federation, the members' ledgers, and the folder of their budgets.

    Attributes:
        anchors: By member and round, the head of its budget's ledger that its ledger of the run names.
        starts: Unit and epsilon that a member's ledger begins with, where they are not the federation's.
    """

    federation: Federation
    budgets: Path
    anchors: dict[str, dict[int, Anchor]] = field(default_factory=dict)
    starts: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def receipts(self) -> Path:
        """Folder of receipts and marks of rows."""
        return self.budgets.parent / f"{self.budgets.name}-receipts"

    @property
    def ledgers(self) -> dict[str, VerifiedLedger]:
        """Every member's ledger of the run, as it is once it has been verified."""
        return {member: self._ledger(member) for member in self.federation.cohort}

    def charge(
        self,
        member: str,
        rounds: Iterable[int],
        release: str,
        *,
        digest: bytes | None = None,
        data: bytes = b"",
        attempt: int = 1,
    ) -> Path:
        """Charge a member's rounds; gives the file of its budget."""
        own = data or fingerprint(member)
        place = self.place(member, own)
        place.make()
        with ReceiptedBudget(place, marks=MarkedData.of([own]).marks) as ledger:
            for number in rounds:
                ledger.reserve(
                    federation_digest=digest or self.federation.digest,
                    round_number=number,
                    attempt=attempt,
                    release=release,
                )
                if digest is None and not data:
                    self.anchors.setdefault(member, {})[number] = ledger.anchor
        return place.ledger

    def place(self, member: str, data: bytes = b"") -> BudgetPlace:
        """Files of a member's budget."""
        return BudgetPlace(
            ledgers=self.budgets,
            kept_receipts=self.receipts,
            client=member,
            data_fingerprint=data or fingerprint(member),
        )

    def audited(self, results: Path) -> PrivacyAudit:
        """An audit of the run, whose members left these results."""
        return audit_privacy(
            self.federation, self.ledgers, results=results, budgets=self.budgets, receipts=self.receipts
        )

    def forget_receipts(self, member: str) -> None:
        """Begin a member's receipts anew at what its ledger has now, as whoever turns it back would."""
        place = self.place(member)
        place.receipts.write_bytes(b"")
        with ReceiptedBudget(place, marks=MarkedData.of([fingerprint(member)]).marks):
            pass

    def _ledger(self, member: str) -> VerifiedLedger:
        digest, heads = self.federation.digest, self.anchors.get(member, {})
        events: list[Event] = [RunStarted(member, digest, *self.starts.get(member, START))]
        for number in range(1, ROUNDS + 1):
            events.append(RoundReserved(number, bytes(32)))
            if number in heads:
                head = heads[number]
                events.append(_anchored(number, head))
            events += [RoundContributed(number, bytes(32)), AggregateApplied(number, bytes(32))]
        events.append(RunFinished(ROUNDS))
        entries = [Entry(place, bytes(32), event, b"") for place, event in enumerate(events)]
        return VerifiedLedger(tuple(entries), bytes(32))


def _anchored(number: int, head: Anchor) -> BudgetAnchored:
    return BudgetAnchored(
        round_number=number,
        attempt=1,
        ledger_key=head.ledger_key,
        sequence=head.sequence,
        head=head.digest,
    )


def started(federation: Federation, folder: Path) -> Accounts:
    """A run of this federation, whose members have charged nothing; its ledgers begin with its promise."""
    privacy = federation.terms.privacy
    start = privacy.unit, privacy.promised_epsilon
    return Accounts(federation, folder, starts=dict.fromkeys(federation.cohort, start))


def unpaid(folder: Path, **keys: object) -> Accounts:
    """A run whose members have charged nothing."""
    return Accounts(private_federation(**keys), folder)


def paid(folder: Path, **keys: object) -> Accounts:
    """A run whose members have charged all of their rounds."""
    accounts = unpaid(folder, **keys)
    for member in accounts.federation.cohort:
        accounts.charge(member, range(1, ROUNDS + 1), planned().event.text)
    return accounts
