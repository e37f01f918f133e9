"""A classification head in closed form, from sums of the members' statistics: linear discriminant analysis.

The rule kept here: a head follows from integer sums alone, so every member has the same one to rounding error; what a
member adds of its own are rows of classes that are not shared, which stay with it.

    members     HeadStatistics.of -> packed        (then the grid and the cipher)
    everybody   HeadStatistics.unpacked -> closed_form -> the head that rounds start from
    a holder    home_rows(sum, own class means) -> its rows of classes that are not shared

With m_c the class means, m their mean and S' = (1 - g) S + g tr(S) / p I, the rows are w_c = T S'^-1 (m_c - m) and
b_c = T (log(q_c C) - (m_c - m)^T S'^-1 (m_c + m) / 2), where q_c is the cohort's share of the class among the rows of
shared classes. Another m adds the same to every logit.

References: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, section 4.3; the shrinkage towards a
multiple of the identity after Ledoit and Wolf 2004, with a fixed share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from securefl.adapters.head_space import HeadSpace
from securefl.adapters.head_statistics import Flags, HeadStatistics, Vector, cohort_log_shares
from securefl.adapters.layout import Layout
from securefl.adapters.update import Matrix
from securefl.errors import ConfigError


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """Rows of a linear head on the model's features.

    Attributes:
        weight: W (C, d).
        bias: b (C, 1).
    """

    weight: Matrix = field(repr=False)
    bias: Matrix = field(repr=False)

    def with_bias(self, added: Vector, wanted: Flags) -> LinearHead:
        """The same rows with a term (C,) added to the biases of the wanted classes, where it is finite."""
        term = np.where(wanted & np.isfinite(added), added, 0.0)
        return LinearHead(self.weight, self.bias + term[:, None])

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
        statistics: Sum over the cohort.
        exponent: The cohort's exponent of features; 0 where no features were asked for.
    """

    shared: Flags = field(repr=False)
    start: HeadStart
    statistics: HeadStatistics = field(repr=False)
    exponent: int = 0


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
    rows = discriminant.rows(means, there, space=space, temperature=temperature)
    nobody = np.zeros(len(shared), dtype=np.int64)
    return rows.with_bias(temperature * cohort_log_shares(sums, shared, nobody, samples_cap=1), there)


def home_rows(
    sums: HeadStatistics,
    shared: Flags,
    *,
    own_means: Matrix,
    home: Flags,
    log_shares: Vector,
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
        log_shares: (C,), ``cohort_log_shares`` with the holder's own rows.
        space: The space of the statistics.
        temperature: T.
        shrinkage: g.
    """
    discriminant = _Discriminant.of(sums, shared, shrinkage=shrinkage)
    rows = discriminant.rows(own_means, home, space=space, temperature=temperature)
    return rows.with_bias(temperature * log_shares, home)


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
        weights = np.where(there, sums.class_shares, 0.0)
        centre = weights @ means / max(float(weights.sum()), np.finfo(np.float64).tiny)
        return cls(centre, _shrunk_inverse(sums, shrinkage))

    def rows(self, means: Matrix, wanted: Flags, *, space: HeadSpace, temperature: float) -> LinearHead:
        """Rows of the wanted classes, on the model's features."""
        inside = np.where(wanted[:, None], temperature * (means - self.centre) @ self.inverse, 0.0)
        bias = -0.5 * np.sum(inside * (means + self.centre), axis=1, keepdims=True)
        return LinearHead(space.rows(inside), bias)


def _shared_means(sums: HeadStatistics, shared: Flags) -> tuple[Matrix, Flags]:
    """Pooled class means (C, p), zeros where there is none, and the classes that have one."""
    there = shared & (sums.class_shares > 0)
    means = np.where(there[:, None], sums.class_means, 0.0)
    return means / np.where(there, sums.class_shares, 1.0)[:, None], there


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
