"""Adapters against the base model on the same rows: which one to take, and if its lead is more than chance.

The rule kept here: the rows that choose are not the rows that judge. Of several adapters the one that is best on
the validation rows is compared with the base, on the test rows and once, so that its p-value means what it says;
the best of three on the test rows themselves would look better than it is. (The fused adapter was made on validation
rows as well, which favours ``fused`` in the choice and not in the comparison.)

Reference: McNemar, Psychometrika 12 (1947); the exact form is a sign test on the rows that one model alone has
right, or, where rows have figures instead, on all that differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
"""A lead counts as more than chance from this p-value down."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """An adapter against the base, by the rows on which they score differently.

    Attributes:
        wins: Rows on which the adapter scores more: of right and wrong, those that only the adapter has right.
        losses: Rows on which the base does.
    """

    wins: int
    losses: int

    @property
    def p(self) -> float:
        """The two-sided p-value of McNemar's exact test; see ``exact_p``."""
        return exact_p(self.wins, self.losses)


class Scored(Protocol):
    """Facts that the choice goes by, of a metric on the validation rows."""

    @property
    def merit(self) -> tuple[float, float]:
        """Order of metrics; more is better."""


def compare(adapter: NDArray[np.float64], base: NDArray[np.float64]) -> Comparison:
    """Count the rows on which one of two models scores more; of right (1) and wrong (0), McNemar's counts.

    Args:
        adapter: (rows,) ``Metric.scores`` of the adapter.
        base: (rows,) the same of the base, in the same order.

    Raises:
        ValueError: if there are not as many rows of both.
    """
    if adapter.shape != base.shape:
        raise ValueError(f"{len(adapter)} rows cannot be paired with {len(base)}")
    return Comparison(wins=int((adapter > base).sum()), losses=int((base > adapter).sum()))


def exact_p(wins: int, losses: int) -> float:
    """The probability that rows split at least as unevenly, if each fell to either side like a fair coin.

    Computed in integers: 2 * (C(n, 0) + ... + C(n, k)) / 2^n for n = wins + losses and the smaller count k, at
    most 1. Without any such row it is 1.
    """
    rows, fewer = wins + losses, min(wins, losses)
    term = tail = 1
    for count in range(fewer):
        term = term * (rows - count) // (count + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << rows))


def chosen(validation: Mapping[str, Scored]) -> str:
    """The adapter that is best on the validation rows; of equal values the one of smaller loss.

    Args:
        validation: The metric of every adapter, at least one, by its name.
    """
    return max(validation, key=lambda name: validation[name].merit)
