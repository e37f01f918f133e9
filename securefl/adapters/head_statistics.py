"""One member's statistics for a head in closed form: class shares, class means, within-class covariance.

The rule kept here: of the number of a member's rows of a class there is one function in all sums, its *class share*
s = rows of the class / max(rows of shared classes, samples cap), and none for classes that are not shared. Every other
weight is linear in the shares, with public constants: what a member weighs as a whole, and what its covariance and its
means are multiplied by. A second function, such as a count with another cap, would agree with the first one for all
members below the caps, so that the difference of both sums told of the few above; a sum over all classes beside the
sums by class would tell of the rows of classes that few members hold.

While no member has more rows than the cap, dividing the sums gives the pooled class means and the cohort's shares. The
covariance is about *local* class means and of all rows: no sum by class can be taken away from it. ``HeadSpace`` keeps
the averages near 1.

Where the head starts at zero, statistics have width 0: the shares are needed all the same, because members train with
logits adjusted by log(own share / cohort's share); see ``cohort_log_shares``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.update import Matrix
from securefl.errors import ConfigError

Vector = NDArray[np.float64]
Flags = NDArray[np.bool_]
MEAN_BOUND = 8.0
"""Of the entries of a class mean: eight times the root mean square; a random rotation all but never reaches it."""
SCATTER_BOUND = 8.0
"""Of the entries of the within-class covariance."""
LEAST_PART = 16
"""A member weighs at least 1 / 16 of the most, so that one whose classes are not shared still adapts with the rest."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a packed vector whose values have one bound.

    Attributes:
        name: What it holds.
        values: Number of values.
        bound: Largest magnitude of a member's value.
    """

    name: str
    values: int
    bound: float


@dataclass(frozen=True, slots=True, eq=False)
class HeadStatistics:
    """One member's statistics of its pooled features, or the sum of several members'.

    Attributes:
        class_shares: s (C,), from 0 to 1 a member; 0 for classes that are not shared or not held.
        class_means: (C, p), class means times s.
        weight: w of ``member_weight``, from 0 to 1 a member.
        scatter: Upper triangle (p (p + 1) / 2,), by rows, of the within-class covariance about local class means,
            times w.
    """

    class_shares: Vector = field(repr=False)
    class_means: Matrix = field(repr=False)
    weight: float = field(repr=False)
    scatter: Vector = field(repr=False)

    @classmethod
    def of(
        cls, features: Matrix, labels: NDArray[np.int64], *, shared: Flags, samples_cap: int
    ) -> HeadStatistics:
        """Statistics of one member's own training rows.

        Args:
            features: (n, p), in the federation's ``HeadSpace``; p is 0 where the head starts at zero.
            labels: (n,) class numbers.
            shared: (C,), true for classes that may enter sums.
            samples_cap: The number of rows from which on every member weighs the same.
        """
        counts = np.bincount(labels, minlength=len(shared))
        means = class_means(features, labels, classes=len(shared))
        shares = class_shares(counts, shared, samples_cap=samples_cap)
        weight = member_weight(shares, shared)
        freedom = len(labels) - int(np.count_nonzero(counts))
        covariance = _scatter(features - means[labels]) / max(freedom, 1)
        return cls(shares, shares[:, None] * means, weight, weight * covariance)

    @staticmethod
    def bounds(classes: int, width: int) -> tuple[Block, ...]:
        """Blocks of a packed vector, in order, for C classes and width p."""
        return (
            Block("class means", classes * width, MEAN_BOUND),
            Block("scatter", width * (width + 1) // 2, SCATTER_BOUND),
        )

    def reweighted(self, *, class_shares: Vector, weight: float) -> HeadStatistics:
        """The same averages of one member under other weights, such as those that a grid has."""
        held = self.class_shares > 0
        factors = np.where(held, class_shares, 0.0) / np.where(held, self.class_shares, 1.0)
        scatter = self.scatter * (weight / self.weight) if self.weight else self.scatter
        return HeadStatistics(class_shares, factors[:, None] * self.class_means, weight, scatter)

    def packed(self) -> Vector:
        """Means and covariance in one vector (K,), times their weights, which are not in it; see ``bounds``."""
        return np.concatenate([self.class_means.ravel(), self.scatter])

    @classmethod
    def unpacked(cls, vector: Vector, *, width: int, class_shares: Vector, weight: float) -> HeadStatistics:
        """The inverse of ``packed``, for one member's vector or a sum of several, with the sums of their weights.

        Raises:
            ConfigError: if the vector has another length.
        """
        classes = len(class_shares)
        sizes = [block.values for block in cls.bounds(classes, width)]
        if vector.shape != (sum(sizes),):
            raise ConfigError(
                f"{vector.size} values are no statistics of {classes} classes of width {width}",
                hint="take the task and the head's projection from one federation file",
            )
        means, scatter = vector[: sizes[0]], vector[sizes[0] :]
        return cls(class_shares, means.reshape(classes, width), weight, scatter)


def class_shares(counts: NDArray[np.integer], shared: Flags, *, samples_cap: int) -> Vector:
    """Class shares s (C,) of a member: its rows of each shared class by the larger of all those and the cap."""
    there = np.where(shared, counts, 0)
    shares: Vector = there / max(float(there.sum()), float(samples_cap))
    return shares


def weighs_by_shares(shared: Flags) -> bool:
    """True where members weigh by their rows: at least half of the classes are shared, so that these tell of most.

    Else all members weigh the same, since the rows of few classes would decide for all; it follows from what
    everybody knows.
    """
    return 2 * int(np.count_nonzero(shared)) >= len(shared)


def member_weight(shares: Vector, shared: Flags) -> float:
    """Weight w of a member as a whole, of its adapters and its covariance: (1 + 15 sum of s) / 16, or 1 for all.

    Args:
        shares: s (C,).
        shared: (C,).
    """
    if not weighs_by_shares(shared):
        return 1.0
    return (1.0 + (LEAST_PART - 1) * float(shares.sum())) / LEAST_PART


def cohort_log_shares(
    sums: HeadStatistics, shared: Flags, own: NDArray[np.integer], *, samples_cap: int
) -> Vector:
    """The cohort's log(q_c C) (C,), as far as a member knows it; minus infinity where it knows of no row.

    Args:
        sums: The cohort's statistics.
        shared: (C,), true for classes whose rows are summed.
        own: (C,), the member's own rows of each class, which are all that it knows of the others.
        samples_cap: The number of rows from which on every member weighs the same.
    """
    there = float(np.where(shared, own, 0).sum())
    at_home = own / max(there, float(samples_cap))
    known = np.where(shared, np.maximum(sums.class_shares, at_home), at_home)
    whole = float(np.where(shared, known, 0.0).sum()) or float(known.sum())
    with np.errstate(divide="ignore"):
        logs: Vector = np.log(known * len(known) / whole) if whole > 0 else np.zeros(len(known))
    return logs


def class_means(features: Matrix, labels: NDArray[np.int64], *, classes: int) -> Matrix:
    """Mean feature (C, p) of every class; zeros for a class without rows."""
    sums = np.zeros((classes, features.shape[1]))
    np.add.at(sums, labels, features)
    return sums / np.maximum(np.bincount(labels, minlength=classes), 1)[:, None]


def _scatter(deviations: Matrix) -> Vector:
    """Upper triangle of the summed outer products of rows (n, p)."""
    whole = deviations.T @ deviations
    triangle: Vector = whole[np.triu_indices(len(whole))]
    return triangle
