"""The space in which a head is computed: pooled features, scaled to about 1 and turned by a public rotation.

The rule kept here: the space follows from the federation's seed, the width of the features and one exponent that is
equal everywhere, so that statistics of all members add up.

The rotation spreads what a few features would hold alone (decoders have some that are fifty times the others), so that
all statistics fit one grid. A linear discriminant is the same after any rotation. Features wider than ``WIDEST`` are
projected by rows of such a rotation instead, because the scatter has half as many values as the width squared.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.linalg import random_orthonormal_rows
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Matrix

WIDEST = 1024
"""The widest features that are rotated and not projected: 524,800 values of scatter."""
MOST_EXPONENT = 16
"""An exponent lies between minus this and this."""


@dataclass(frozen=True, slots=True)
class HeadSpace:
    """A rotation or projection of features, and their common scale.

    Attributes:
        projection: P (p, d), orthonormal rows.
        exponent: Features are divided by 2 to this power.
    """

    projection: Matrix = field(repr=False)
    exponent: int

    @classmethod
    def of(cls, width: int, *, exponent: int, seed: int, projection: int) -> HeadSpace:
        """Draw the space of a federation.

        Args:
            width: d, features of a row.
            exponent: The cohort's, from -16 to 16.
            seed: The federation's.
            projection: p, where d is above ``WIDEST``; p is d elsewhere.
        """
        rng = seeded_generator(seed, "head-space", width)
        rows = random_orthonormal_rows(width_within(width, projection), width, rng=rng)
        return cls(rows, exponent)

    @property
    def width(self) -> int:
        """p, the width of features in this space."""
        return int(self.projection.shape[0])

    def features(self, raw: NDArray[np.floating]) -> Matrix:
        """Features (n, d) of the model as features (n, p) of this space."""
        moved: Matrix = raw.astype(np.float64) @ self.projection.T / 2.0**self.exponent
        return moved

    def rows(self, inside: Matrix) -> Matrix:
        """Rows (C, d) of a head on the model's features that give what rows (C, p) give in this space."""
        return (inside @ self.projection) / 2.0**self.exponent


def width_within(width: int, projection: int) -> int:
    """Give p for features of width d: d itself up to ``WIDEST``, else the projection's."""
    return width if width <= WIDEST else min(projection, width)


def exponent_of(features: NDArray[np.floating]) -> int:
    """The power of two nearest to the root mean square of features (n, d), from -16 to 16; -16 for zeros."""
    square = float(np.mean(np.square(features, dtype=np.float64)))
    if square == 0.0:
        return -MOST_EXPONENT
    return int(np.clip(round(np.log2(square) / 2), -MOST_EXPONENT, MOST_EXPONENT))
