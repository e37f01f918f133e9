"""The budget of a member's data: charged before a release, over all federations and all data sets that share its rows.

The rule kept here: a charge counts for the rows that it was made on. Every row of the member's data has a history: the
charges of all budgets on this machine that know the row. One more release must fit behind each of these histories.

    require -> reserve (on disk) -> train -> contribute (on disk) -> send
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from securefl.config.privacy import NoPrivacySection, PrivacySection
from securefl.errors import BudgetError, StateError
from securefl.ledger.anchors import Anchor
from securefl.ledger.budget_files import BudgetPlace, receipts_folder, state_folder
from securefl.ledger.budget_state import Charge
from securefl.ledger.row_marks import Marks
from securefl.privacy.accounting.accountants import AccountantName
from securefl.privacy.budget import Budget, events_of
from securefl.privacy.events import Event
from securefl.storage.disk import disk_errors, make_private_folder
from securefl.storage.lock import in_turn
from securefl.storage.private import put_whole
from securefl_client.budget_store import ReceiptedBudget, read_budget
from securefl_client.folder import ClientFolder
from securefl_client.own_rows import own_rows
from securefl_client.row_histories import KnownCharges, histories, shared_charges


@dataclass(frozen=True, slots=True, kw_only=True)
class DataBudget:
    """Charges of one federation on one member's data; the ledger is open only while one is made.

    Attributes:
        place: Where its files are.
        marks: Of the data's rows.
        budget: The limit.
        federation_digest: Whose rounds these are (32 bytes).
        rounds: Number of the federation's last round.
        anchors: Heads of the ledger that others have kept, beside its receipts.
        promise: Limit of this federation's charges alone, whatever their owner's budget allows; None for no other one.
    """

    place: BudgetPlace
    marks: Marks = field(repr=False)
    budget: Budget
    federation_digest: bytes
    rounds: int
    anchors: tuple[Anchor, ...] = ()
    promise: Budget | None = None

    @classmethod
    def of(cls, own: ClientFolder, *, anchors: tuple[Anchor, ...] = ()) -> Self | None:
        """The budget of a member's data, which is read for it; None without differential privacy.

        Args:
            own: The member's folder.
            anchors: Heads of the ledger that were kept elsewhere.

        Raises:
            DataError: if the data cannot be read.
        """
        privacy = own.federation.terms.privacy
        if isinstance(privacy, NoPrivacySection):
            return None
        choice, data = own.settings.privacy, own_rows(own)
        promise = Budget(
            unit=privacy.unit,
            epsilon=privacy.target_epsilon,
            delta=privacy.delta,
            accountant=_accountant(privacy),
        )
        return cls(
            place=BudgetPlace(
                ledgers=choice.ledger or state_folder(),
                kept_receipts=choice.receipts or receipts_folder(),
                client=own.member,
                data_fingerprint=data.fingerprint,
            ),
            marks=data.marks,
            budget=replace(
                promise,
                epsilon=choice.budget_epsilon or privacy.target_epsilon,
                delta=choice.delta_beside(privacy.delta),
            ),
            federation_digest=own.federation.digest,
            rounds=own.federation.terms.federation.rounds,
            anchors=anchors,
            promise=promise,
        )

    def require(self, round_number: int, event: Event) -> None:
        """Refuse a round whose release would not fit; nothing is charged.

        A round with a charge that ``reserve`` would take up again fits.

        Raises:
            BudgetError: naming the last affordable round.
            StateError, IdentityError: if a ledger does not hold together.
        """
        with self._open() as ledger:
            if self._unused(ledger, round_number, event) is not None:
                return
            charges, shared = tuple(ledger.charges), self._shared()
        # Accounting takes seconds, and other clients of this machine wait for the lock; their files are read under it.
        self._require(charges, shared, round_number, event)

    def reserve(self, round_number: int, event: Event) -> None:
        """Charge a release; it is on disk when this returns.

        A round that is trained a second time, after a stop, has new noise. It is charged anew if the first update may
        have left: ``contribute`` is on disk before that. Else the first charge is taken up again.

        Raises:
            BudgetError: if it would exceed the budget, and nothing was charged.
            StateError, IdentityError: if a ledger does not hold together, or could not be written.
        """
        with self._open() as ledger:
            if self._unused(ledger, round_number, event) is not None:
                return
            self._require(ledger.charges, self._shared(), round_number, event)
            ledger.reserve(
                federation_digest=self.federation_digest,
                round_number=round_number,
                attempt=1 + max(self._attempts(ledger, round_number), default=0),
                release=event.text,
            )

    def contribute(self, round_number: int, *, body_digest: bytes) -> Anchor:
        """Record that the newest charge of a round is about to leave, and give the ledger's head.

        Args:
            round_number: Its number.
            body_digest: SHA-256 of what is released (32 bytes): the round's integers, the same in every attempt.

        Raises:
            StateError: if the round was not charged, or its charge paid for something else.
        """
        with self._open() as ledger:
            return ledger.contribute(self._newest(ledger, round_number), body_digest=body_digest)

    def spending(self, event: Event | None = None) -> Spending:
        """State of the budget: spent and left.

        Args:
            event: A round's release, to count how many more fit; None to leave that out.

        Raises:
            StateError, IdentityError: if a ledger does not hold together.
        """
        with self._open() as ledger:
            charges, shared = tuple(ledger.charges), self._shared()
        # As in ``require``.
        return self._spending(charges, shared, event)

    def look(self, event: Event) -> Spending:
        """The same without writing anything, for a federation that is only planned.

        Raises:
            StateError, IdentityError: if a ledger does not hold together.
        """
        state = read_budget(self.place)
        return self._spending(() if state is None else state.charges, self._shared(), event)

    def _spending(
        self, charges: Sequence[Charge], shared: Sequence[KnownCharges], event: Event | None
    ) -> Spending:
        found = self._histories(charges, shared)
        own = self._own(charges)
        here = self._here(charges, shared)
        spent = max(self.budget.spent(events) for events in found)
        return Spending(
            epsilon=(self.promise or self.budget).spent(here),
            rounds=tuple(sorted({charge.round_number for charge in own})),
            trainings=len(own),
            spent=spent,
            left=max(0.0, self.budget.epsilon - spent),
            affordable=None if event is None else self._affordable(found, here, event),
        )

    def copy_to(self, path: Path) -> None:
        """Write a copy of the ledger, whole: it names releases of other federations and the data's fingerprint too.

        Raises:
            StateError: if it cannot be read.
        """
        with self._open(), disk_errors(path):
            put_whole(path, self.place.ledger.read_bytes())

    @contextmanager
    def _open(self) -> Iterator[ReceiptedBudget]:
        """The ledger, while no other process of this user charges anything."""
        self.place.make()
        with disk_errors(self.place.kept_receipts):
            make_private_folder(self.place.kept_receipts)
        with (
            in_turn(self.place.kept_receipts),
            ReceiptedBudget(self.place, marks=self.marks, anchors=self.anchors) as ledger,
        ):
            yield ledger

    def _require(
        self, charges: Sequence[Charge], shared: Sequence[KnownCharges], round_number: int, event: Event
    ) -> None:
        for earlier in self._histories(charges, shared):
            self.budget.require(earlier, event, round_number=round_number, rounds=self.rounds)
        if self.promise is None:
            return
        cost = self.promise.spent((*self._here(charges, shared), event))
        if cost > self.promise.epsilon:
            raise BudgetError(
                f"round {round_number} of {self.rounds} would bring this client's charges in this federation to "
                f"epsilon {cost:.3g} at delta {self.promise.delta:g}, and {self.promise.epsilon:g} is promised",
                hint="nothing was charged for it; a round that was trained again was charged again, and a budget of "
                "the client's own does not raise the promise",
            )

    def _affordable(self, found: Sequence[tuple[Event, ...]], here: Sequence[Event], event: Event) -> int:
        most = max(self.rounds, 1)
        limits = [self.budget.affordable(earlier, event, most=most) for earlier in found]
        if self.promise is not None:
            limits.append(self.promise.affordable(here, event, most=most))
        return min(limits)

    def _own(self, charges: Sequence[Charge]) -> list[Charge]:
        """Charges of this federation for these rows."""
        return [charge for charge in charges if charge.federation_digest == self.federation_digest]

    def _here(self, charges: Sequence[Charge], shared: Sequence[KnownCharges]) -> tuple[Event, ...]:
        """Everything that this client was charged in this federation, also under other rows."""
        under_other_rows = (
            event
            for each in shared
            if each.client == self.place.client
            for event in each.charges.get(self.federation_digest, ())
        )
        return (*events_of(charge.release for charge in self._own(charges)), *under_other_rows)

    def _shared(self) -> list[KnownCharges]:
        return shared_charges(self.place, self.marks, whole_client=self.budget.unit == "client")

    def _histories(
        self, charges: Sequence[Charge], shared: Sequence[KnownCharges]
    ) -> list[tuple[Event, ...]]:
        return histories(
            charges,
            shared,
            client=self.place.client,
            federation_digest=self.federation_digest,
            cost=self.budget.spent,
        )

    def _attempts(self, ledger: ReceiptedBudget, round_number: int) -> Iterator[int]:
        return (charge.attempt for charge in self._of_round(ledger.charges, round_number))

    def _unused(self, ledger: ReceiptedBudget, round_number: int, event: Event) -> Charge | None:
        """The newest charge of a round, if it is for this release and nothing of it has left."""
        charges = list(self._of_round(ledger.charges, round_number))
        if not charges or charges[-1].release != event.text or ledger.has_left(charges[-1]):
            return None
        return charges[-1]

    def _newest(self, ledger: ReceiptedBudget, round_number: int) -> Charge:
        charges = list(self._of_round(ledger.charges, round_number))
        if not charges:
            raise StateError(
                f"round {round_number} leaves without a charge on the privacy budget of its data",
                hint="start this member from a whole folder",
            )
        return charges[-1]

    def _of_round(self, charges: Sequence[Charge], round_number: int) -> Iterator[Charge]:
        place = self.federation_digest, round_number
        return (charge for charge in charges if (charge.federation_digest, charge.round_number) == place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """State of a budget as a member reports it.

    Attributes:
        epsilon: Of this federation's charges alone.
        rounds: Numbers of its rounds that were charged.
        trainings: Number of its charges: a round that was trained anew after its first update had left has several.
        spent: Epsilon of everything that was charged on one of the data's rows, by all federations.
        left: Of the budget, epsilon minus what is spent; epsilons of further rounds do not simply add up.
        affordable: Number of further rounds that fit, at most the federation's; None where it was not asked for.
    """

    epsilon: float
    rounds: tuple[int, ...]
    trainings: int
    spent: float
    left: float
    affordable: int | None


def _accountant(privacy: PrivacySection) -> AccountantName:
    if isinstance(privacy, NoPrivacySection):
        raise BudgetError("there is nothing to account for without differential privacy")
    return privacy.accountant if privacy.unit == "example" else privacy.accounted_by
