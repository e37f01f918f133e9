"""Private rounds of a member: planned from its rows, and charged to the budget of its data before they train.

The rule kept here: every training is a charge of its own. A round that is trained a second time, after a crash, has
new noise and is charged anew, because nobody here knows whether the first update has left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from securefl.config.privacy import ExamplePrivacySection
from securefl.config.training import TrainingSection
from securefl.ledger.budget_files import budget_file
from securefl.ledger.budget_state import Charge
from securefl.ledger.fingerprint import data_fingerprint
from securefl.privacy.budget import Budget, events_of
from securefl.privacy.sampled_training import SampledTraining
from securefl_client.budget_store import open_budget

if TYPE_CHECKING:
    from securefl.training.rows.examples import ClientData
    from securefl_client.folder import ClientFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleBudget:
    """Charges of one federation's private rounds; the ledger is open only while one is made.

    Attributes:
        folder: Where budgets' ledgers are; None for the state folder of this machine's user.
        member: The member's id.
        data_fingerprint: Of its data (32 bytes).
        budget: The limit.
        federation_digest: Whose rounds these are (32 bytes).
        rounds: Number of the federation's last round.
    """

    folder: Path | None
    member: str
    data_fingerprint: bytes
    budget: Budget
    federation_digest: bytes
    rounds: int

    @classmethod
    def of(cls, own: ClientFolder, privacy: ExamplePrivacySection, data: ClientData) -> Self:
        """The budget of a member's data; without a limit of its own, that of the federation's target."""
        choice = own.settings.privacy
        return cls(
            folder=choice.ledger,
            member=own.member,
            data_fingerprint=data_fingerprint(rows_of(data)),
            budget=Budget(
                unit="example",
                epsilon=choice.budget_epsilon or privacy.target_epsilon,
                delta=privacy.delta,
                accountant=privacy.accountant,
            ),
            federation_digest=own.federation.digest,
            rounds=own.federation.terms.federation.rounds,
        )

    def charge(self, round_number: int, release: SampledTraining) -> None:
        """Charge a training; it is on disk when this returns. A ``private_rounds.Charge``.

        Raises:
            BudgetError: if it would exceed the budget, and nothing was charged.
            StateError, IdentityError: if the ledger does not hold together, another process has it open, or it could
                not be written.
        """
        path = budget_file(self.folder, client=self.member, data_fingerprint=self.data_fingerprint)
        with open_budget(path, client=self.member, data_fingerprint=self.data_fingerprint) as ledger:
            charges = ledger.charges
            earlier = events_of(charge.release for charge in charges)
            self.budget.require(earlier, release.event, round_number=round_number, rounds=self.rounds)
            ledger.reserve(
                federation_digest=self.federation_digest,
                round_number=round_number,
                attempt=1 + self._trainings(charges, round_number),
                release=release.event.text,
            )

    def _trainings(self, charges: Iterable[Charge], round_number: int) -> int:
        place = (self.federation_digest, round_number)
        return sum((charge.federation_digest, charge.round_number) == place for charge in charges)


def planned_release(
    privacy: ExamplePrivacySection, training: TrainingSection, data: ClientData, *, rounds: int
) -> SampledTraining:
    """Sampling, clip and noise of each of a member's rounds.

    Raises:
        ConfigError: if delta is not below 1 / rows, or no noise keeps the target.
    """
    from securefl.training.dp_sgd.member_plan import member_plan

    release = member_plan(privacy, training, rows=len(data.train), rounds=rounds).release
    assert isinstance(release, SampledTraining)
    return release


def rows_of(data: ClientData) -> Iterator[bytes]:
    """All rows of a member in one encoding, whatever each is for: another seed only parts them differently."""
    for part in (data.train, data.validation, data.test):
        for texts, targets in zip(part.texts, part.targets, strict=True):
            yield repr((texts, targets.tolist())).encode()
