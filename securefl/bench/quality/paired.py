"""Differences of two adapters on the same test rows, and their standard errors.

The rule kept here: a figure is the mean over clients, each weighing the same whatever its number of rows, and a
standard error is that of exactly this figure: rows are paired (both adapters are measured on each), drawn within each
client, and independent between clients.

With d_ki the difference of the scores of row i of client k, n_k rows of it, and K clients:

    D  = (1 / K) sum_k mean_i d_ki          SE^2 = (1 / K^2) sum_k s_k^2 / n_k

and s_k^2 the sample variance of d_k. A client with a single row takes the mean variance of the others. This is the
stratified mean of survey sampling (Cochran, Sampling Techniques, 1977, section 5.4); what a repeated training with
another seed would change is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean

import numpy as np

Scores = Sequence[float]


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference and its standard error, both in parts of one.

    Attributes:
        mean: One adapter's metric less the other's; the mean over clients.
        error: Its standard error.
    """

    mean: float
    error: float

    def reaches(self, margin: float, *, errors: float = 2.0) -> bool:
        """True where the difference is at least ``margin``, give or take so many standard errors."""
        return self.mean >= margin - errors * self.error


def difference(ours: Sequence[Scores], theirs: Sequence[Scores]) -> Difference:
    """The mean over clients of the difference of two adapters.

    Args:
        ours: By client, what each test row counts under the one adapter.
        theirs: The same under the other, in the same order.

    Raises:
        ValueError: if there is no client, one has no rows, or rows cannot be paired.
    """
    if not ours:
        raise ValueError("there is no client")
    gaps = [_gaps(one, other) for one, other in zip(ours, theirs, strict=True)]
    known = [float(gap.var(ddof=1)) for gap in gaps if len(gap) > 1]
    usual = mean(known) if known else 0.0
    variances = [float(gap.var(ddof=1)) if len(gap) > 1 else usual for gap in gaps]
    squares = sum(variance / len(gap) for variance, gap in zip(variances, gaps, strict=True))
    return Difference(mean(float(gap.mean()) for gap in gaps), sqrt(squares) / len(gaps))


def joint(differences: Sequence[Sequence[Difference]]) -> Difference:
    """The mean over groups of differences, such as data sets, each weighing the same.

    Args:
        differences: By group; those of one group share test rows (splits and seeds of one data set), so that their
            errors are taken to go together, which is the worst case; groups are independent.

    Raises:
        ValueError: if there is no group, or one is empty.
    """
    if not differences or not all(differences):
        raise ValueError("there is nothing to take the mean of")
    means = [mean(each.mean for each in group) for group in differences]
    errors = [mean(each.error for each in group) for group in differences]
    return Difference(mean(means), sqrt(sum(error**2 for error in errors)) / len(errors))


def _gaps(one: Scores, other: Scores) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if len(one) != len(other) or not one:
        raise ValueError(f"{len(one)} rows cannot be paired with {len(other)}")
    return np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)
