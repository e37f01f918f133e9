"""A budget over all federations on one data set: what is spent, and whether one more round fits.

The rule kept here: units are charged apart. Rows (``example``) and whole clients (``client``) have budgets of their
own; a release of one unit costs nothing of the other's, and promises nothing for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from securefl.errors import BudgetError, ConfigError
from securefl.privacy.accounting.accountants import AccountantName, accountant_named
from securefl.privacy.events import (
    DistributedGaussian,
    DistributedSkellam,
    Event,
    NonPrivate,
    SampledGaussian,
    parse_event,
)
from securefl.privacy.plan import Unit, last_round


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit for one unit.

    Attributes:
        unit: What is protected.
        epsilon: Most epsilon of all releases together.
        delta: At this delta.
        accountant: Who computes it; events that it has no bound for are computed by ``rdp``.

    Raises:
        ConfigError: if a number is out of its range.
    """

    unit: Unit
    epsilon: float
    delta: float
    accountant: AccountantName

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < math.inf or not 0 < self.delta < 1:
            raise ConfigError(
                f"a budget of epsilon {self.epsilon:g} at delta {self.delta:g}",
                hint="epsilon is positive, and delta lies between 0 and 1",
            )

    def spent(self, events: Iterable[Event]) -> float:
        """Epsilon of all of a data set's releases that belong to the unit."""
        own = tuple(event for event in events if unit_of(event) in (self.unit, None))
        accountant = accountant_named(self.accountant)
        known = all(isinstance(event, NonPrivate) or accountant.supports(event) for event in own)
        return (accountant if known else accountant_named("rdp")).epsilon(own, delta=self.delta)

    def affordable(self, events: Iterable[Event], event: Event, *, most: int) -> int:
        """Number of further releases, up to ``most``, that fit beside earlier ones."""
        earlier = tuple(events)

        def fits(count: int) -> bool:
            return self.spent((*earlier, *(event,) * count)) <= self.epsilon

        # On data of which nothing was released yet, a plan's noise allows all of its rounds.
        if fits(most):
            return most
        low, high = 0, most
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

    def require(self, events: Iterable[Event], event: Event, *, round_number: int, rounds: int) -> None:
        """Refuse a round before training, if it would exceed the budget.

        Args:
            events: Everything charged on this data set already, also by other federations.
            event: What the round will release.
            round_number: Number of the round.
            rounds: Number of the federation's last round.

        Guarantee: a client that calls this with all charges of its ledger before it reserves the next never releases
        more than epsilon at delta on this data, if its ledger is whole; see ``accounting.base.Accountant.epsilon``.

        Raises:
            BudgetError: naming the last affordable round.
        """
        earlier = tuple(events)
        if self.spent((*earlier, event)) <= self.epsilon:
            return
        raise BudgetError(
            f"round {round_number} of {rounds} would exceed this client's budget of epsilon {self.epsilon:g} at delta "
            f"{self.delta:g} on this data, of which {self.spent(earlier):.3g} is spent: {last_round(round_number - 1)}",
            hint="nothing was charged for it; the federation goes on without this client if the others suffice, and a "
            "larger privacy.budget_epsilon in client.toml is its owner's decision",
        )


def unit_of(event: Event) -> Unit | None:
    """The unit that an event is charged to; None for a release without noise, which exceeds every budget."""
    match event:
        case SampledGaussian():
            return "example"
        case DistributedGaussian() | DistributedSkellam():
            return "client"
        case NonPrivate():
            return None
        case _:
            assert_never(event)


def events_of(releases: Iterable[str]) -> tuple[Event, ...]:
    """Events from their texts in a ledger.

    Raises:
        ValueError: if one is none.
    """
    return tuple(parse_event(release) for release in releases)
