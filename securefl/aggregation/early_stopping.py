"""Early stopping: a federation ends where the cohort's validation loss has stopped falling, by sums that all decrypt.

The rule kept here: what decides is the decrypted sum of one integer a member and round, divided by their number, both
exact, so every member decides the same, whoever is missing; nobody, and least of all the server, can tell a member that
the federation is over.

A member's integer of round r is its mean validation loss of the adapter that round r starts from, so the adapter after
round r - 1; 0 is the start. The loss is cut to 0 to ``LOSS_BOUND`` nats, and rounded to the nearest step of
``LOSS_BOUND / limit``, where the limit is the grid's. All members weigh the same. A member that knows its rows' losses
cuts each of them before it takes the mean (``Metric.bounded_loss``): a row of a class without a logit costs 10,000.

Guarantee: the server sees ciphertexts of these integers, as of all others, and in which round the federation ends;
members see the cohort's sum in every round, so with the own loss the sum of the others'. Not for differential privacy,
where an exact sum of losses would be a release of its own.

    >>> stopping = EarlyStopping(patience=2)
    >>> for round_number, total in ((1, 900), (2, 700), (3, 710), (4, 700)):
    ...     stopping = stopping.told(round_number, Fraction(total, 3))
    >>> stopping.best_round, stopping.over
    (1, True)

Reference: Prechelt, Early Stopping - But When?, in Neural Networks: Tricks of the Trade (1998); the criterion UP.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from securefl.errors import ProtocolError, TrainingError

LOSS_BOUND: Final = 16.0
"""Nats; guessing at random among nine million labels costs as much."""


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """The cohort's losses so far, as far as they decide anything.

    Attributes:
        patience: Rounds without a smaller loss after which the federation ends, at least 1.
        best_round: Number of the round after which the loss was smallest, of equal ones the earliest.
        best_mean: That loss, the mean over its survivors, in steps; None before the first sum.
        measured: Number of the round after which the loss was measured last.
    """

    patience: int
    best_round: int = 0
    best_mean: Fraction | None = None
    measured: int = -1

    def told(self, round_number: int, mean: Fraction) -> EarlyStopping:
        """The state after the sum of a round; it is the loss of the adapter that the round started from.

        Args:
            round_number: The round.
            mean: The sum by the number of survivors, in steps.

        Raises:
            ProtocolError: if it is not the next round's.
        """
        if round_number != self.measured + 2:
            raise ProtocolError(
                f"the losses of round {round_number} do not follow those of {self.measured + 1}"
            )
        measured = round_number - 1
        if self.best_mean is None or mean < self.best_mean:
            return replace(self, best_round=measured, best_mean=mean, measured=measured)
        return replace(self, measured=measured)

    @property
    def over(self) -> bool:
        """True where the loss has not fallen for ``patience`` rounds."""
        return self.measured - self.best_round >= self.patience


def loss_steps(loss: float | None, *, limit: int) -> int:
    """A loss in nats as the integer that a member sends, from 0 to ``limit``.

    Raises:
        ProtocolError: if it is missing.
        TrainingError: if it is not finite.
    """
    if loss is None:
        raise ProtocolError("the round asks for a validation loss, and none was measured")
    if not math.isfinite(loss):
        raise TrainingError("the validation loss is not finite", hint="lower the learning rate")
    return round(min(max(loss, 0.0), LOSS_BOUND) / LOSS_BOUND * limit)
