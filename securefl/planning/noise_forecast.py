"""Privacy of a federation before it runs: noise, epsilon, and what noise leaves of the signal.

The rule kept here: the plan that is shown is the ``PrivacyPlan`` that rounds run by, made from the same values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from securefl.config.privacy import ExamplePrivacySection, NoPrivacySection
from securefl.privacy.plan import PrivacyPlan
from securefl.protocol.client_noise import client_plan
from securefl.protocol.federation import Federation
from securefl.protocol.terms import PinnedClientPrivacy
from securefl.training.dp_sgd.member_plan import member_plan


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseForecast:
    """Privacy of a whole federation.

    Attributes:
        plans: A plan each for members that differ, by member; one under the name ``""`` where all have the same.
        contributors: n, members of the cohort.
        force: True where noise that drowns the signal was asked for.
    """

    plans: Mapping[str, PrivacyPlan]
    contributors: int
    force: bool

    def plan_of(self, member: str) -> PrivacyPlan:
        """The plan of a member that has one."""
        return self.plans[""] if "" in self.plans else self.plans[member]

    def require_useful(self) -> None:
        """Refuse noise that drowns the signal.

        Raises:
            ConfigError: if a predicted cosine is below 0.5, and it was not asked for.
        """
        for plan in self.plans.values():
            plan.require_useful(self.contributors, force=self.force)


def forecast_noise(federation: Federation, *, rows: Mapping[str, int]) -> NoiseForecast | None:
    """Plan a federation's noise; None without differential privacy.

    Args:
        federation: Founded, or a preview of what would be.
        rows: Rows that members train on, of those whose data was read. Under unit ``example`` others have no plan here:
            each makes its own from its rows.

    Raises:
        ConfigError: if no noise keeps the target.
    """
    privacy = federation.terms.privacy
    if isinstance(privacy, NoPrivacySection):
        return None
    if isinstance(privacy, PinnedClientPrivacy):
        plan = client_plan(federation)
        assert plan is not None
        return NoiseForecast(plans={"": plan}, contributors=len(federation.cohort), force=privacy.force)
    return NoiseForecast(
        plans=_example_plans(federation, privacy, rows), contributors=len(federation.cohort), force=False
    )


def _example_plans(
    federation: Federation, privacy: ExamplePrivacySection, rows: Mapping[str, int]
) -> dict[str, PrivacyPlan]:
    """A plan each for members with different numbers of rows; finding one takes seconds."""
    terms = federation.terms
    by_rows: dict[int, PrivacyPlan] = {}
    for count in sorted(set(rows.values())):
        by_rows[count] = member_plan(privacy, terms.training, rows=count, rounds=terms.federation.rounds)
    return {member: by_rows[count] for member, count in rows.items()}
