"""One member's statistics for a head in closed form: class shares, class means, within-class covariance.

The rule kept here: nothing of a row of a class that is not shared enters a sum by class, and no sum over all classes
is made beside the sums by class, because the two would differ by the rows of classes that few members hold. The
scatter is taken about *local* class means and is of all rows: no sum by class can be taken away from it.

Every value is an average times a weight from 0 to 1, as in every other contribution: a class mean times
u = min(rows of the class / class cap, 1), the within-class covariance times min(degrees of freedom / samples cap, 1).
While no cap is reached, dividing the sums gives the pooled class means and the pooled covariance. ``HeadSpace``
keeps the averages near 1; if one does not fit its bound, it is sent with a smaller weight, never clipped.

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
        class_shares: (C,), the member's share of rows of each class times min(rows / samples cap, 1); 0 for classes
            that are not shared.
        class_weights: u (C,), from 0 to 1 a member; 0 for classes that are not shared or not held.
        class_means: (C, p), class means times u.
        weight: Weight of the covariance, from 0 to 1 a member; 0 for a member with one row a class at most.
        scatter: Upper triangle (p (p + 1) / 2,), by rows, of the within-class covariance about local class means,
            times ``weight``.
    """

    class_shares: Vector = field(repr=False)
    class_weights: Vector = field(repr=False)
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
        weights = np.where(shared, class_weights(counts, samples_cap=samples_cap), 0.0)
        weights *= _fitting(np.abs(means).max(axis=1, initial=0.0), MEAN_BOUND)
        freedom = len(labels) - int(np.count_nonzero(counts))
        scatter = _scatter(features - means[labels]) / max(freedom, 1)
        weight = min(freedom / samples_cap, 1.0) * float(
            _fitting(np.abs(scatter).max(initial=0.0), SCATTER_BOUND)
        )
        return cls(
            np.where(shared, class_shares(counts, samples_cap=samples_cap), 0.0),
            weights,
            weights[:, None] * means,
            weight,
            weight * scatter,
        )

    @staticmethod
    def bounds(classes: int, width: int) -> tuple[Block, ...]:
        """Blocks of a packed vector, in order, for C classes and width p."""
        return (
            Block("class shares", classes, 1.0),
            Block("class weights", classes, 1.0),
            Block("class means", classes * width, MEAN_BOUND),
            Block("weight", 1, 1.0),
            Block("scatter", width * (width + 1) // 2, SCATTER_BOUND),
        )

    def packed(self) -> Vector:
        """All values in one vector (K,), within ``bounds``; they are weighted already, and divided by no cap."""
        return np.concatenate(
            [self.class_shares, self.class_weights, self.class_means.ravel(), [self.weight], self.scatter]
        )

    @classmethod
    def unpacked(cls, vector: Vector, *, classes: int, width: int) -> HeadStatistics:
        """The inverse of ``packed``, for one member's vector or a sum of several.

        Raises:
            ConfigError: if the vector has another length.
        """
        sizes = [block.values for block in cls.bounds(classes, width)]
        if vector.shape != (sum(sizes),):
            raise ConfigError(
                f"{vector.size} values are no statistics of {classes} classes of width {width}",
                hint="take the task and the head's projection from one federation file",
            )
        shares, weights, means, weight, scatter = np.split(vector, np.cumsum(sizes)[:-1])
        return cls(shares, weights, means.reshape(classes, width), float(weight[0]), scatter)


def class_cap(classes: int, samples_cap: int) -> int:
    """Rows of a class from which on every member weighs the same in the class's row: four even shares, at least 1."""
    return max(1, -(-4 * samples_cap // classes))


def class_weights(counts: NDArray[np.integer], *, samples_cap: int) -> Vector:
    """Weights u (C,) of a member's rows of a head: min(rows of the class / ``class_cap``, 1)."""
    weights: Vector = np.minimum(counts / class_cap(len(counts), samples_cap), 1.0)
    return weights


def class_shares(counts: NDArray[np.integer], *, samples_cap: int) -> Vector:
    """Shares (C,) of a member's rows times its weight min(rows / samples cap, 1)."""
    shares: Vector = counts / max(float(counts.sum()), float(samples_cap))
    return shares


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
    known = np.where(shared, np.maximum(sums.class_shares, 0.0), class_shares(own, samples_cap=samples_cap))
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


def _fitting(largest: NDArray[np.float64] | np.floating, bound: float) -> NDArray[np.float64]:
    """Factors of at most 1 that bring averages of this magnitude within their bound."""
    return bound / np.maximum(largest, bound)
