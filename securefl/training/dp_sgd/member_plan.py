"""One member's plan of private training, from the federation's file and the number of its rows.

The rule kept here: the expected batch is ``per_device_train_batch_size``, and a round has as many steps as it would
have without privacy; so what a file says of training keeps its meaning.

*The limit of it.* The number of rows is taken as public: noise, samples and steps follow from it, and an update tells
the number of its steps by its length. So the neighbour of a data set has a row more or less under the same plan.
"""

from __future__ import annotations

from typing import Protocol

from securefl.config.privacy import ExamplePrivacySection
from securefl.privacy.least_noise import plan_examples
from securefl.privacy.plan import PrivacyPlan
from securefl.training.schedule import steps_of_a_round


class RoundLength(Protocol):
    """Length of a round of training, as ``[training]`` and a federation's terms have it."""

    @property
    def per_device_train_batch_size(self) -> int:
        """Rows of a step."""
        ...

    @property
    def num_train_epochs(self) -> float:
        """Pass over the rows in a round."""
        ...


def member_plan(
    privacy: ExamplePrivacySection, training: RoundLength, *, rows: int, rounds: int
) -> PrivacyPlan:
    """Find the least noise with which all rounds keep the target on this member's rows.

    Args:
        privacy: ``[privacy]``.
        training: ``[training]``, or what the federation's terms have of it.
        rows: Rows that the member trains on, after any bound on persons.
        rounds: Rounds of the federation.

    Returns:
        The plan; its ``release`` is what ``TrainerSettings.privacy`` takes, and its ``event`` what a round is charged.

    Raises:
        ConfigError: if delta is not below 1 / rows, or no noise keeps the target.
    """
    size = training.per_device_train_batch_size
    return plan_examples(
        target_epsilon=privacy.target_epsilon,
        delta=privacy.delta,
        accountant=privacy.accountant,
        clip=privacy.clip,
        clipping=privacy.clipping,
        rows=rows,
        batch_size=size,
        steps=steps_of_a_round(rows, epochs=training.num_train_epochs, batch_size=size),
        rounds=rounds,
        group_size=privacy.max_per_group or 1,
    )
