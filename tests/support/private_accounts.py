"""A federation that promises differential privacy, as its ledgers tell of it: nothing is trained, and no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from securefl.config.privacy import ExamplePrivacySection
from securefl.ledger.budget_files import budget_file
from securefl.ledger.chain import Entry
from securefl.ledger.events import (
    AggregateApplied,
    Event,
    RoundContributed,
    RoundReserved,
    RunFinished,
    RunStarted,
)
from securefl.ledger.ledger import VerifiedLedger
from securefl.privacy.least_noise import plan_examples
from securefl.privacy.plan import PrivacyPlan
from securefl.protocol.federation import Federation
from securefl_client.budget_store import open_budget
from support.federations import make_federation

ROUNDS = 3
TARGET = 3.0
DELTA = 1e-5


def private_federation(**keys: object) -> Federation:
    """Three members that protect their rows."""
    federation = make_federation(ranks=(2, 4, 8), rounds=ROUNDS, scheme="none").federation
    section = ExamplePrivacySection.model_validate(
        {"unit": "example", "target_epsilon": TARGET, "delta": DELTA, "accountant": "rdp"} | keys
    )
    return replace(federation, terms=federation.terms.model_copy(update={"privacy": section}))


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
        batch_size=20,
        steps=10,
        rounds=rounds,
    )


def fingerprint(member: str) -> bytes:
    """Of a member's data."""
    return member.encode().ljust(32, b".")


@dataclass(frozen=True)
class Accounts:
    """What a run left: its federation, the members' ledgers, and the folder of their budgets."""

    federation: Federation
    ledgers: Mapping[str, VerifiedLedger]
    budgets: Path

    def charge(
        self,
        member: str,
        rounds: Iterable[int],
        release: str,
        *,
        digest: bytes | None = None,
        data: bytes = b"",
    ) -> Path:
        """Charge a member's rounds; gives the file of its budget."""
        own = data or fingerprint(member)
        path = budget_file(self.budgets, client=member, data_fingerprint=own)
        with open_budget(path, client=member, data_fingerprint=own) as ledger:
            for number in rounds:
                ledger.reserve(
                    federation_digest=digest or self.federation.digest,
                    round_number=number,
                    attempt=1,
                    release=release,
                )
        return path


def ledger_of(
    federation: Federation, member: str, *, unit: str = "example", epsilon: str = "3.0"
) -> VerifiedLedger:
    """A member's ledger of the run, as it is once it has been verified."""
    events: list[Event] = [RunStarted(member, federation.digest, unit, epsilon)]
    for number in range(1, ROUNDS + 1):
        events += [RoundReserved(number, bytes(32)), RoundContributed(number, bytes(32))]
        events.append(AggregateApplied(number, bytes(32)))
    entries = [
        Entry(place, bytes(32), event, b"") for place, event in enumerate([*events, RunFinished(ROUNDS)])
    ]
    return VerifiedLedger(tuple(entries), bytes(32))


def unpaid(folder: Path, **keys: object) -> Accounts:
    """A run whose members have charged nothing."""
    federation = private_federation(**keys)
    return Accounts(
        federation, {member: ledger_of(federation, member) for member in federation.cohort}, folder
    )


def paid(folder: Path, **keys: object) -> Accounts:
    """A run whose members have charged all of their rounds."""
    accounts = unpaid(folder, **keys)
    for member in accounts.federation.cohort:
        accounts.charge(member, range(1, ROUNDS + 1), planned().event.text)
    return accounts
