"""The values that travel: factors, adapters, updates, means.

The rule kept here: float64 throughout, keyed by tensor name, in the shapes of the layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Factors:
    """A low-rank matrix, kept as ``left @ right`` and never multiplied out where factors do.

    Attributes:
        left: (m, k).
        right: (k, n).
    """

    left: Matrix
    right: Matrix

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.left.shape[0], self.right.shape[1]

    def product(self) -> Matrix:
        """The (m, n) matrix."""
        return self.left @ self.right


@dataclass(frozen=True, slots=True)
class LoraFactors:
    """One weight's adapter as PEFT holds it: the weight's change is ``(alpha / r) * B @ A``.

    Attributes:
        A: (r, n).
        B: (m, r).
    """

    A: Matrix
    B: Matrix


@dataclass(frozen=True, slots=True)
class Adapter:
    """A whole adapter at one rank: factors of every adapted weight, values of every head."""

    weights: Mapping[str, LoraFactors]
    heads: Mapping[str, Matrix]


@dataclass(frozen=True, slots=True)
class Update:
    """What one client changed since the round's start.

    Attributes:
        weights: The change of each adapted weight as factors whose product is the change itself, (alpha / r)
            included. Under ``basis`` one factor is the round's frozen basis cut to the client's rank, row for
            row.
        heads: The change of each head, (rows, columns).
    """

    weights: Mapping[str, Factors]
    heads: Mapping[str, Matrix]


@dataclass(frozen=True, slots=True)
class MeanUpdate:
    """The decoded mean of the cohort's updates.

    Attributes:
        weights: (m, n) for ``dense``, factors for ``basis``.
        heads: (rows, columns).
        noise_std: Largest standard deviation that the grid's rounding can have left in one adapter
            coordinate.
    """

    weights: Mapping[str, Matrix | Factors]
    heads: Mapping[str, Matrix]
    noise_std: float = 0.0
