"""Charges of members whose rows have a budget in a folder of the test: for all rounds, or for as many as it says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from securefl.ledger.budget_files import BudgetPlace
from securefl.ledger.row_marks import MarkedData
from securefl.privacy.budget import Budget
from securefl.privacy.events import SampledGaussian
from securefl_client.data_budget import DataBudget
from securefl_client.round_charges import RoundCharges
from support.federations import TestFederation

RELEASE = SampledGaussian(noise_multiplier=2.0, sampling_probability=1.0, steps=1)
ROUNDS = 3


def charges_of(
    made: TestFederation, folder: Path, *, affords: Mapping[str, int] | None = None
) -> dict[str, RoundCharges]:
    """Charges of all members, by id.

    Args:
        made: A federation of three rounds.
        folder: Where ledgers, receipts and kept heads lie.
        affords: Rounds that the members' budgets are for, all three where one is not named; None for ample budgets.
    """
    return {member: _charges(made, folder, member, affords) for member in made.federation.cohort}


def _charges(
    made: TestFederation, folder: Path, member: str, affords: Mapping[str, int] | None
) -> RoundCharges:
    data = MarkedData.of([f"{member}, row {number}".encode() for number in range(9)])
    place = BudgetPlace(
        ledgers=folder / "ledgers",
        kept_receipts=folder / "receipts",
        client=member,
        data_fingerprint=data.fingerprint,
    )
    budget = DataBudget(
        place=place,
        marks=data.marks,
        budget=_ample() if affords is None else _budget_for(affords.get(member, ROUNDS)),
        federation_digest=made.federation.digest,
        rounds=ROUNDS,
    )
    return RoundCharges(budget=budget, release=RELEASE, kept=folder / f"{member}.heads")


def _ample() -> Budget:
    return Budget(unit="example", epsilon=100.0, delta=1e-5, accountant="rdp")


def _budget_for(rounds: int) -> Budget:
    spent = _ample().spent
    epsilon = spent((RELEASE,) * rounds) if rounds else spent((RELEASE,)) / 2
    return Budget(unit="example", epsilon=epsilon, delta=1e-5, accountant="rdp")
