"""Learning rates over a whole federation: pure functions of the round and the step.

The rule kept here: a rate depends on the number of rounds, the round and the step alone, so every member's rates fall
together, and a member that starts anew goes on with the same ones.

A *share* is what a learning rate is multiplied by. With p the part of the rounds that is over, from 0 to 1:

``linear``    1 - 0.95 p
``cosine``    0.05 + 0.95 (1 + cos(pi p)) / 2
``constant``  1

Both falling ones end at 5 %: at 0 the last steps of a federation would be for nothing. Warm-up rounds come before, and
p then counts the rounds after them, as in transformers' schedules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, assert_never

from securefl.config.training import SchedulerType, TrainingSection

FLOOR: Final = 0.05
"""Share of the learning rate that is left when a falling schedule ends."""


def steps_of_a_round(samples: int, *, epochs: float, batch_size: int) -> int:
    """Optimiser steps that a member takes in a round, at least one.

    Args:
        samples: Rows that it trains on.
        epochs: ``num_train_epochs``, passes over them.
        batch_size: Rows of a step.
    """
    return max(1, round(epochs * -(-samples // batch_size)))


@dataclass(frozen=True, slots=True)
class Rates:
    """Learning rates of one adapter before any schedule, and where they stand in a file.

    Attributes:
        factors: Of the low-rank factors.
        head: Of the head.
        section: The section that sets them; messages name its keys.
    """

    factors: float
    head: float
    section: str = "training"

    def scaled(self, *, both: float, head: float = 1.0) -> Rates:
        """The rates times a factor, the head's times one more."""
        return replace(self, factors=both * self.factors, head=both * head * self.head)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One schedule over all rounds of a federation.

    Attributes:
        kind: ``cosine``, ``linear`` or ``constant``.
        rounds: Rounds of the federation.
        warmup_rounds: Rounds, or parts of one, in which the rate rises from zero.
    """

    kind: SchedulerType
    rounds: int
    warmup_rounds: float

    @classmethod
    def of(cls, section: TrainingSection, *, rounds: int) -> Schedule:
        """The schedule that a federation's ``[training]`` says."""
        return cls(kind=section.lr_scheduler_type, rounds=rounds, warmup_rounds=section.warmup_rounds)

    def share(self, round_number: int, *, step: int, steps: int) -> float:
        """Share of the learning rate in one step, above 0 and at most 1.

        Args:
            round_number: From 1.
            step: Steps of the round that are done already, from 0.
            steps: Steps of a round.
        """
        if round_number - 1 + (step + 1) / steps <= self.warmup_rounds:
            # Counted with the step itself: a first step at rate 0 would move nothing.
            return (round_number - 1 + (step + 1) / steps) / self.warmup_rounds
        gone = round_number - 1 + step / steps - self.warmup_rounds
        left = self.rounds - self.warmup_rounds
        return self._fallen(min(max(gone / left, 0.0), 1.0) if left > 0 else 1.0)

    def _fallen(self, progress: float) -> float:
        match self.kind:
            case "constant":
                return 1.0
            case "linear":
                return 1.0 - (1.0 - FLOOR) * progress
            case "cosine":
                return FLOOR + (1.0 - FLOOR) * (1.0 + math.cos(math.pi * progress)) / 2
            case _:
                assert_never(self.kind)
