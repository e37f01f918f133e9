"""Accounts of differential privacy: what a federation promised, and what each client's charges cost, round by round.

The rule kept here: costs are computed from releases alone, and once for clients with the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from securefl.auditing.budget_records import BudgetRecord, total
from securefl.auditing.findings import Finding
from securefl.auditing.skellam_tails import least_epsilon
from securefl.config.privacy import ClientPrivacySection, ExamplePrivacySection
from securefl.ledger.budget_state import Charge
from securefl.privacy.accounting.accountants import AccountantName
from securefl.privacy.accounting.second_opinion import Opinions, opinions
from securefl.privacy.budget import events_of, unit_of
from securefl.privacy.events import Event
from securefl.privacy.plan import Unit
from securefl.protocol.federation import Federation
from securefl.protocol.terms import PinnedClientPrivacy

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
        honest: h, the honest shares of noise that a client's charges count on; None where rows are protected.
        scheme: ``[encryption] scheme``: under ``bfv`` and ``none`` single contributions can be read.
    """

    unit: Unit
    epsilon: float
    delta: float
    accountant: AccountantName
    clip: float
    per_person: int | None = None
    honest: int | None = None
    scheme: Literal["kahe", "bfv", "none"] = "kahe"

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
            honest=section.honest if isinstance(section, PinnedClientPrivacy) else None,
            scheme=federation.terms.encryption.scheme,
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
        least: Epsilon that a test on two neighbouring sums shows of this federation's charges; 0 where none is known.
    """

    member: str
    charges: tuple[Charge, ...]
    after: Mapping[int, float]
    opinions: Opinions
    others: int
    spent: float
    least: float = 0.0


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
            else {
                "epsilon": promise.epsilon,
                "delta": promise.delta,
                "accountant": promise.accountant,
                "honest": promise.honest,
            },
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
                    "epsilon_at_least": client.least,
                }
                for client in self.clients
            ],
        }


@dataclass(frozen=True, slots=True)
class Bookkeeper:
    """Bookkeeping of epsilon: the same releases are computed once, as clients with equally many rows have the same."""

    promise: Promise
    _known: Callable[[tuple[Event, ...]], Opinions] = field(init=False)
    _least: Callable[[tuple[Event, ...]], float] = field(init=False)

    def __post_init__(self) -> None:
        def computed(events: tuple[Event, ...]) -> Opinions:
            return opinions(events, delta=self.promise.delta, charged_by=self.promise.accountant)

        def shown(events: tuple[Event, ...]) -> float:
            return least_epsilon(events, delta=self.promise.delta)

        object.__setattr__(self, "_known", cache(computed))
        object.__setattr__(self, "_least", cache(shown))

    def of(self, charges: Sequence[Charge]) -> Opinions:
        """Opinions on what was charged to the promise's unit.

        Raises:
            ValueError: if a release is none that this version knows.
        """
        return self._known(self._own(charges))

    def epsilon(self, charges: Sequence[Charge]) -> float:
        """Epsilon of what was charged, by the accountant of the promise."""
        return self.of(charges).epsilon

    def least(self, charges: Sequence[Charge]) -> float:
        """Epsilon that a test shows of what was charged; see ``skellam_tails.least_epsilon``."""
        return self._least(self._own(charges))

    def at(self, charges: Sequence[Charge], *, delta: float) -> float:
        """Epsilon of what was charged at another delta, such as that of a client's own budget."""
        if delta == self.promise.delta:
            return self.epsilon(charges)
        return opinions(
            self._own(charges), delta=delta, charged_by=self.promise.accountant, every=False
        ).epsilon

    def _own(self, charges: Sequence[Charge]) -> tuple[Event, ...]:
        """Releases of the promise's unit, in one order."""
        events = events_of(charge.release for charge in charges)
        own = (event for event in events if unit_of(event) in (self.promise.unit, None))
        return tuple(sorted(own, key=lambda event: event.text))


def account_of(
    member: str, charges: tuple[Charge, ...], records: Sequence[BudgetRecord], books: Bookkeeper
) -> ClientPrivacy:
    """Account for a client's charges.

    Args:
        member: Its id.
        charges: Of the federation, in the order of its ledger.
        records: Ledgers of the budgets that they stand in.
        books: Of the promise.

    Raises:
        ValueError: if a release is none that this version knows.
    """
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
        least=books.least(charges),
    )


def _spread(rounds: Sequence[int]) -> list[int]:
    """At most ``SHOWN_ROUNDS`` of some rounds, the last one among them."""
    stride = -(-len(rounds) // SHOWN_ROUNDS) or 1
    return sorted(set(rounds[::-1][::stride]))
