"""Charges that earlier federations have left on the data of a federation that is only planned; nothing is written.

The rule kept here: the budget that is looked at is the one that a member will be charged on. Under unit ``client`` that
is all charges of its id, whatever rows they were made on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from securefl.config.federation import FederationConfig
from securefl.config.member import client_settings_of
from securefl.ledger.budget_files import BudgetPlace, receipts_folder, state_folder
from securefl.privacy.budget import Budget
from securefl.privacy.plan import PrivacyPlan
from securefl.protocol.federation import Federation
from securefl_client.data_budget import DataBudget, Spending
from securefl_client.own_rows import rows_of


def earlier_charges(
    config: FederationConfig, federation: Federation, plans: Mapping[str, PrivacyPlan]
) -> dict[str, Spending]:
    """State of the budgets of members whose data lies here, under the budget that a member has if it names none.

    Args:
        config: The federation's file.
        federation: The preview of it.
        plans: By member; see ``planning.noise_forecast``.

    Returns:
        By member; whole clients without any budget on this machine are left out.

    Raises:
        StateError, IdentityError: if a ledger does not hold together.
        DataError: if data cannot be read.
    """
    return {
        member: _budget(config, federation, member, plan).look(plan.event)
        for member, plan in plans.items()
        if plan.unit == "example" or _has_budget(config, member)
    }


def _has_budget(config: FederationConfig, member: str) -> bool:
    """True where a client was charged before: its folders are there."""
    return any((folder / member).exists() for folder in _folders(config, member))


def _folders(config: FederationConfig, member: str) -> tuple[Path, Path]:
    """Folders of ledgers and of receipts."""
    privacy = client_settings_of(config, member).privacy
    return privacy.ledger or state_folder(), privacy.receipts or receipts_folder()


def _budget(config: FederationConfig, federation: Federation, member: str, plan: PrivacyPlan) -> DataBudget:
    settings = client_settings_of(config, member)
    ledgers, receipts = _folders(config, member)
    data = rows_of(settings.data, settings.cohort, member=member, terms=federation.terms)
    return DataBudget(
        place=BudgetPlace(
            ledgers=ledgers,
            kept_receipts=receipts,
            client=member,
            data_fingerprint=data.fingerprint,
        ),
        marks=data.marks,
        budget=Budget(
            unit=plan.unit, epsilon=plan.target_epsilon, delta=plan.delta, accountant=plan.accountant
        ),
        federation_digest=federation.digest,
        rounds=plan.rounds,
    )
