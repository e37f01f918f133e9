"""Charges of a member's rounds, as its session and its training ask for them.

The rule kept here: charged before it is trained, recorded before its first byte leaves, and never taken back: a round
is one release however many attempts it takes, and that nobody can open a contribution which no sum has is hard to
prove. A federation without differential privacy has nothing to charge; its headers name no ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from securefl.config.privacy import NoPrivacySection, PrivacySection
from securefl.ledger.anchors import Anchor
from securefl.ledger.events import BudgetAnchored, Event
from securefl.ledger.receipts import parse_receipts, receipt_line
from securefl.privacy.events import Event as Release
from securefl.privacy.plan import last_round
from securefl.privacy.sampled_training import SampledTraining
from securefl.protocol.agreement.commitment import NO_BUDGET
from securefl.protocol.client_noise import client_plan, round_event
from securefl.results.client import BUDGET_COPY, PrivacyReport
from securefl.storage.durable import DurableFile
from securefl_client.data_budget import DataBudget
from securefl_client.folder import ClientFolder

HEADS_FILE: Final = "budget.heads"
"""File of heads of the budget's ledger, beside the journal."""


def _nothing(round_number: int) -> None:
    """A federation that noises no updates releases none."""


@dataclass(slots=True)
class RoundCharges:
    """One federation's rounds on one member's data.

    Attributes:
        budget: Of the data; None without differential privacy.
        release: What every round releases at most; None until it is planned, under unit ``example`` from the data.
        noised: Gives what a round releases under unit ``client``, whatever is trained in it; None under the others.
        kept: File in the member's folder that keeps the ledger's head before each contribution; None for none.
    """

    budget: DataBudget | None = None
    release: Release | None = field(default=None)
    noised: Callable[[int], Release | None] = field(default=_nothing)
    kept: Path | None = None

    def plan(self, release: Release) -> None:
        """Note what every round will release."""
        self.release = release

    def require(self, round_number: int) -> None:
        """Refuse a round that would not fit; nothing is charged.

        Raises:
            BudgetError: naming the last affordable round.
            StateError, IdentityError: if a ledger does not hold together.
        """
        release = self.noised(round_number) or self.release
        if self.budget is not None and release is not None:
            self.budget.require(round_number, release)

    def begin(self, round_number: int) -> None:
        """Charge a round whose update will be noised, before it is trained; nothing happens under another unit.

        The noisy integers are made once and sent in every attempt of the round, so that it is one release.

        Raises:
            BudgetError: if it would exceed the budget, and nothing was charged.
            StateError, IdentityError: if a ledger does not hold together, or could not be written.
        """
        release = self.noised(round_number)
        if self.budget is not None and release is not None:
            self.budget.reserve(round_number, release)

    def charge(self, round_number: int, release: SampledTraining) -> None:
        """Charge a training of rows; a ``private_rounds.Charge``.

        Raises:
            BudgetError: if it would exceed the budget, and nothing was charged.
            StateError, IdentityError: if a ledger does not hold together, or could not be written.
        """
        assert self.budget is not None  # whoever trains privately was given one
        self.budget.reserve(round_number, release.event)

    def contribute(
        self, round_number: int, attempt: int, *, integers_digest: bytes, note: Callable[[Event], None]
    ) -> bytes:
        """Record that a round's integers are about to leave; give the ledger's head for the header (32 bytes).

        Args:
            round_number: The round.
            attempt: The attempt that they leave in.
            integers_digest: SHA-256 of the integers (32 bytes), the same in every attempt of the round.
            note: Writes an event to the run's ledger.

        Raises:
            StateError: if the round was not charged, or for something else.
        """
        if self.budget is None:
            return NO_BUDGET
        anchor = self.budget.contribute(round_number, body_digest=integers_digest)
        self._keep(anchor)
        note(anchored(round_number, attempt, anchor))
        return anchor.digest

    def _keep(self, anchor: Anchor) -> None:
        """Keep a head in the member's folder, whatever the folder of results; the next start holds it against it."""
        if self.kept is not None:
            log = DurableFile(self.kept)
            try:
                whole = log.read()
                # A torn line is of a head whose header has not left.
                log.cut(whole.rfind(b"\n") + 1)
                log.append(receipt_line(anchor))
            finally:
                log.close()

    def warning(self, applied: int) -> str | None:
        """A sentence for people where the budget does not allow all rounds that are left; None where it does.

        Args:
            applied: Number of the last round that was applied.
        """
        if self.budget is None or self.release is None:
            return None
        left, limit = self.budget.rounds - max(applied, 0), self.budget.budget
        fitting = self.budget.spending(self.release).affordable
        assert fitting is not None
        if fitting >= left:
            return None
        return (
            f"its privacy budget of epsilon {limit.epsilon:g} at delta {limit.delta:g} on this data allows "
            f"{fitting} of the {left} rounds that are left: {last_round(max(applied, 0) + fitting)}, and it sits "
            "out the others"
        )

    def report(self, privacy: PrivacySection, *, sat_out: tuple[int, ...]) -> PrivacyReport | None:
        """Account of what was promised, spent and left; None without differential privacy.

        Args:
            privacy: The federation's promise.
            sat_out: Numbers of the rounds that the budget did not allow.
        """
        if self.budget is None or isinstance(privacy, NoPrivacySection):
            return None
        spending = self.budget.spending(self.release)
        return PrivacyReport(
            unit=privacy.unit,
            delta=privacy.delta,
            budget_delta=self.budget.budget.delta,
            accountant=self.budget.budget.accountant,
            target_epsilon=privacy.target_epsilon,
            epsilon=spending.epsilon,
            rounds_charged=spending.rounds,
            trainings=spending.trainings,
            rounds_sat_out=sat_out,
            budget_epsilon=self.budget.budget.epsilon,
            spent=spending.spent,
            left=spending.left,
            affordable_rounds=spending.affordable,
        )

    def copy_to(self, folder: Path) -> None:
        """Leave a copy of the budget's ledger with a run's results, for an audit; nothing where there is none.

        It names releases of other federations on the same data, and the data's fingerprint: results are their owner's.
        """
        if self.budget is not None:
            self.budget.copy_to(folder / BUDGET_COPY)


def charges_of(own: ClientFolder, *, kept: Path) -> RoundCharges:
    """Charges of a member's rounds; its data is read for them where something is charged.

    Args:
        own: Its folder.
        kept: File of heads of the budget's ledger in that folder; it may be missing.

    Raises:
        DataError: if the data cannot be read.
        StateError: if the file of heads is malformed.
    """
    heads = parse_receipts(kept.read_bytes(), where=str(kept)) if kept.exists() else ()
    plan = client_plan(own.federation)
    return RoundCharges(
        DataBudget.of(own, anchors=heads),
        release=None if plan is None else plan.event,
        noised=partial(round_event, own.federation),
        kept=kept,
    )


def anchored(round_number: int, attempt: int, anchor: Anchor) -> BudgetAnchored:
    """The event of a run's ledger that keeps a head of the budget's."""
    return BudgetAnchored(
        round_number=round_number,
        attempt=attempt,
        ledger_key=anchor.ledger_key,
        sequence=anchor.sequence,
        head=anchor.digest,
    )
