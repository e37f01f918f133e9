"""A member's weight in a round by the federation's rule, in steps of the grid.

Reference: ``weighting``, for what each rule counts and what its sum tells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, assert_never

from securefl.adapters.update import Update
from securefl.adapters.update_norm import update_norm
from securefl.aggregation.weighting import norm_steps, sample_steps, weight_steps
from securefl.config.aggregation import WeightsName

NORM_CAP: Final = "aggregation.norm_cap"
"""Stands in the place of a tensor's name among what was clipped, where a norm was."""


@dataclass(frozen=True, slots=True)
class OwnSteps:
    """A member's weight in a round.

    Attributes:
        steps: In steps of 1 / limit.
        clipped: 1 under ``NORM_CAP`` where its norm is above the cap; it stays with the member.
    """

    steps: int = field(repr=False)
    clipped: dict[str, int] = field(repr=False, default_factory=dict)


@dataclass(frozen=True, slots=True)
class WeightRule:
    """The rule of all members' weights.

    Attributes:
        name: Of the rule.
        samples_cap: The sample count from which on every client weighs the same, or that none may exceed.
        norm_cap: The largest norm that weighs, where members weigh by norms.
    """

    name: WeightsName
    samples_cap: int
    norm_cap: float

    def of(self, samples: int, update: Update, *, limit: int) -> OwnSteps:
        """The weight of a member that sends this update.

        Args:
            samples: What it trained on.
            update: What it changed.
            limit: The grid's largest integer, which is the largest weight.

        Raises:
            DataError: if there are no samples, or more than the rule allows.
        """
        match self.name:
            case "capped":
                return OwnSteps(weight_steps(samples, cap=self.samples_cap, limit=limit))
            case "samples":
                return OwnSteps(sample_steps(samples, cap=self.samples_cap, limit=limit))
            case "equal":
                return OwnSteps(limit)
            case "norm":
                norm = update_norm(update)
                clipped = {NORM_CAP: 1} if norm > self.norm_cap else {}
                return OwnSteps(norm_steps(norm, cap=self.norm_cap, limit=limit), clipped)
            case _:
                assert_never(self.name)
