"""A classification head in closed form, from sums of the members' statistics: linear discriminant analysis.

The rule kept here: nothing of a row of a class that is not shared enters a sum by class, and no sum over all classes
is made beside the sums by class, because the two would differ by the rows of classes that few members hold. The
scatter is taken about *local* class means and is of all rows: no sum by class can be taken away from it.

Every value is an average times a weight from 0 to 1, as in every other contribution: a class mean times
u = min(rows of the class / class cap, 1), the within-class covariance times min(degrees of freedom / samples cap, 1).
While no cap is reached, dividing the sums gives the pooled class means and the pooled covariance. ``HeadSpace``
keeps the averages near 1; if one does not fit its bound, it is sent with a smaller weight, never clipped.

    members     HeadStatistics.of -> packed        (then the grid and the cipher)
    everybody   HeadStatistics.unpacked(sum) -> closed_form -> the head that rounds start from
    a holder    home_rows(sum, own class means) -> its rows of classes that are not shared

With m_c the class means, m their mean and S' = (1 - g) S + g tr(S) / p I, the rows are w_c = T S'^-1 (m_c - m) and
b_c = -T (m_c - m)^T S'^-1 (m_c + m) / 2. Another m adds the same to every logit.

References: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, section 4.3; the shrinkage towards a
multiple of the identity after Ledoit and Wolf 2004, with a fixed share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.head_space import HeadSpace
from securefl.adapters.layout import Layout
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
        class_weights: u (C,), from 0 to 1 a member; 0 for classes that are not shared or not held.
        class_means: (C, p), class means times u.
        weight: Weight of the covariance, from 0 to 1 a member; 0 for a member with one row a class at most.
        scatter: Upper triangle (p (p + 1) / 2,), by rows, of the within-class covariance about local class means,
            times ``weight``.
    """

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
            features: (n, p), in the federation's ``HeadSpace``.
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
        return cls(weights, weights[:, None] * means, weight, weight * scatter)

    @staticmethod
    def bounds(classes: int, width: int) -> tuple[Block, ...]:
        """Blocks of a packed vector, in order, for C classes and width p."""
        return (
            Block("class weights", classes, 1.0),
            Block("class means", classes * width, MEAN_BOUND),
            Block("weight", 1, 1.0),
            Block("scatter", width * (width + 1) // 2, SCATTER_BOUND),
        )

    def packed(self) -> Vector:
        """All values in one vector (K,), within ``bounds``; they are weighted already, and divided by no cap."""
        return np.concatenate([self.class_weights, self.class_means.ravel(), [self.weight], self.scatter])

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
        weights, means, weight, scatter = np.split(vector, np.cumsum(sizes)[:-1])
        return cls(weights, means.reshape(classes, width), float(weight[0]), scatter)


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """Rows of a linear head on the model's features.

    Attributes:
        weight: W (C, d).
        bias: b (C, 1).
    """

    weight: Matrix = field(repr=False)
    bias: Matrix = field(repr=False)

    def named(self, layout: Layout) -> dict[str, Matrix]:
        """The rows under the names of the layout's two heads, the matrix and the bias.

        Raises:
            ConfigError: if the layout has no such heads.
        """
        shapes = [self.weight.shape, self.bias.shape]
        if [(tensor.rows, tensor.columns) for tensor in layout.heads] != shapes:
            raise ConfigError(
                "the shared tensors have no head with one row a class",
                where="head.rows",
                hint='write rows = "together" and start = "zeros" in [head]',
            )
        return dict(zip([tensor.name for tensor in layout.heads], [self.weight, self.bias], strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class HeadStart:
    """A candidate for the start of the head and the way of its training.

    Attributes:
        name: ``zeros`` or ``closed-form``.
        temperature: T; 0 for a head of zeros.
        rate_factor: Factor of ``head_learning_rate`` in all rounds.
        adjusted: True where members train with logits adjusted by their own label shares.
        heads: Values by tensor name; None for zeros.
    """

    name: str
    temperature: float
    rate_factor: float
    adjusted: bool
    heads: Mapping[str, Matrix] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class HeadOpening:
    """Outcome of the openings for the head, told to every member before round 1.

    Attributes:
        shared: (C,), true for classes whose rows are summed.
        start: The start that was chosen.
        statistics: Sum over the cohort; None where the start asks for none.
        exponent: The cohort's exponent of features.
    """

    shared: Flags = field(repr=False)
    start: HeadStart
    statistics: HeadStatistics | None = field(default=None, repr=False)
    exponent: int = 0


def class_cap(classes: int, samples_cap: int) -> int:
    """Rows of a class from which on every member weighs the same in the class's row: four even shares, at least 1."""
    return max(1, -(-4 * samples_cap // classes))


def class_weights(counts: NDArray[np.integer], *, samples_cap: int) -> Vector:
    """Weights u (C,) of a member's rows of a head: min(rows of the class / ``class_cap``, 1)."""
    weights: Vector = np.minimum(counts / class_cap(len(counts), samples_cap), 1.0)
    return weights


def class_means(features: Matrix, labels: NDArray[np.int64], *, classes: int) -> Matrix:
    """Mean feature (C, p) of every class; zeros for a class without rows."""
    sums = np.zeros((classes, features.shape[1]))
    np.add.at(sums, labels, features)
    return sums / np.maximum(np.bincount(labels, minlength=classes), 1)[:, None]


def closed_form(
    sums: HeadStatistics, shared: Flags, *, space: HeadSpace, temperature: float, shrinkage: float
) -> LinearHead:
    """The head of all shared classes; rows of other classes, and of classes without weight, are zeros.

    Args:
        sums: The cohort's statistics.
        shared: (C,), true for classes whose rows are summed.
        space: The space of the statistics.
        temperature: T, by which all logits are multiplied.
        shrinkage: g, from 0 to 1.
    """
    means, there = _shared_means(sums, shared)
    discriminant = _Discriminant.of(sums, shared, shrinkage=shrinkage)
    return discriminant.rows(means, there, space=space, temperature=temperature)


def home_rows(
    sums: HeadStatistics,
    shared: Flags,
    *,
    own_means: Matrix,
    home: Flags,
    space: HeadSpace,
    temperature: float,
    shrinkage: float,
) -> LinearHead:
    """A holder's rows of classes that are not shared: its own class means with the cohort's covariance and mean.

    Args:
        sums: The cohort's statistics.
        shared: (C,), as for ``closed_form``.
        own_means: (C, p), this member's class means in the space.
        home: (C,), true for the classes whose rows are made; all others are zeros.
        space: The space of the statistics.
        temperature: T.
        shrinkage: g.
    """
    discriminant = _Discriminant.of(sums, shared, shrinkage=shrinkage)
    return discriminant.rows(own_means, home, space=space, temperature=temperature)


@dataclass(frozen=True, slots=True, eq=False)
class _Discriminant:
    """Everything that a row of the head needs beside its own class mean.

    Attributes:
        centre: m (p,), mean of the shared class means; zeros without a shared class.
        inverse: S'^-1 (p, p); zeros where no member had a covariance, so that the head stays at zero.
    """

    centre: Vector
    inverse: Matrix

    @classmethod
    def of(cls, sums: HeadStatistics, shared: Flags, *, shrinkage: float) -> _Discriminant:
        means, there = _shared_means(sums, shared)
        weights = np.where(there, sums.class_weights, 0.0)
        centre = weights @ means / max(float(weights.sum()), np.finfo(np.float64).tiny)
        return cls(centre, _shrunk_inverse(sums, shrinkage))

    def rows(self, means: Matrix, wanted: Flags, *, space: HeadSpace, temperature: float) -> LinearHead:
        """Rows of the wanted classes, on the model's features."""
        inside = np.where(wanted[:, None], temperature * (means - self.centre) @ self.inverse, 0.0)
        bias = -0.5 * np.sum(inside * (means + self.centre), axis=1, keepdims=True)
        return LinearHead(space.rows(inside), bias)


def _shared_means(sums: HeadStatistics, shared: Flags) -> tuple[Matrix, Flags]:
    """Pooled class means (C, p), zeros where there is none, and the classes that have one."""
    there = shared & (sums.class_weights > 0)
    means = np.where(there[:, None], sums.class_means, 0.0)
    return means / np.where(there, sums.class_weights, 1.0)[:, None], there


def _shrunk_inverse(sums: HeadStatistics, shrinkage: float) -> Matrix:
    """The inverse of (1 - g) S + g tr(S) / p I; the grid's rounding can leave S with eigenvalues just below 0."""
    width = sums.class_means.shape[1]
    upper = np.zeros((width, width))
    if sums.weight > 0:
        upper[np.triu_indices(width)] = sums.scatter / sums.weight
    values, directions = np.linalg.eigh(upper, UPLO="U")
    values = np.maximum(values, 0.0)
    floor = shrinkage * float(values.mean())
    shrunk = (1 - shrinkage) * values + floor
    if shrunk.min() == 0:
        return np.zeros((width, width))
    inverse: Matrix = (directions / shrunk) @ directions.T
    return inverse


def _scatter(deviations: Matrix) -> Vector:
    """Upper triangle of the summed outer products of rows (n, p)."""
    whole = deviations.T @ deviations
    triangle: Vector = whole[np.triu_indices(len(whole))]
    return triangle


def _fitting(largest: NDArray[np.float64] | np.floating, bound: float) -> NDArray[np.float64]:
    """Factors of at most 1 that bring averages of this magnitude within their bound."""
    return bound / np.maximum(largest, bound)
