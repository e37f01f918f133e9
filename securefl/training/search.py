"""The choice among a fusion's candidates, which never loses to the better of both adapters on the rows it was made on.

The rule kept here: of the candidates whose metric is at least that of the better adapter alone, the one of least loss;
the better adapter is among them. A choice on few rows can still be luck, so it is tried first in small: chosen on
half of the rows and compared, on the other half, with the adapter that was the better one on the first. If it has the
worse metric there, the better of both by all rows is taken; a tie is no loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from securefl.training.tasks.base import Metric
from securefl.training.trials import ALONE, Candidate, RowNumbers, Trials


@dataclass(frozen=True, slots=True)
class NestedCheck:
    """The choice in small: made on half of the rows, measured on the other half.

    Attributes:
        fused: Metric of the candidate that the first half chose.
        alone: Metric of the adapter that was the better one on the first half.
        samples: Rows of the second half.
        held: False where the candidate had the worse metric.
    """

    fused: float
    alone: float
    samples: int
    held: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate to use.

    Attributes:
        candidate: What to make.
        metric: Of it on all rows of the search.
        nested: What the nested check said.
        candidates: How many were compared on all rows.
    """

    candidate: Candidate
    metric: Metric
    nested: NestedCheck
    candidates: int


def search(trials: Trials, *, strata: NDArray[np.int64], rng: np.random.Generator) -> Choice:
    """The best candidate on all rows, or the better adapter alone where the nested check fails.

    Args:
        trials: The candidates.
        strata: (rows,) numbers of what both halves shall have alike, such as classes.
        rng: Deals the rows into halves.
    """
    rows = np.arange(len(strata))
    nested = nested_check(trials, *halves(strata, rng))
    if not nested.held:
        candidate, metric = better_alone(trials, rows)
        return Choice(candidate, metric, nested, candidates=len(ALONE))
    candidates = trials.candidates(rows)
    candidate, metric = _best(trials, candidates, rows)
    return Choice(candidate, metric, nested, candidates=len(candidates))


def best(trials: Trials, rows: RowNumbers) -> tuple[Candidate, Metric]:
    """The candidate of least loss among those not worse, by metric, than the better adapter alone; of equals the first.

    Args:
        trials: The candidates.
        rows: Numbers of the rows that fit and judge them.
    """
    return _best(trials, trials.candidates(rows), rows)


def _best(trials: Trials, candidates: Sequence[Candidate], rows: RowNumbers) -> tuple[Candidate, Metric]:
    _, least = better_alone(trials, rows)
    measured = [(candidate, trials.metric(candidate, rows)) for candidate in candidates]
    kept = [pair for pair in measured if pair[1].merit[0] >= least.merit[0]]
    return min(kept, key=lambda pair: pair[1].loss)


def better_alone(trials: Trials, rows: RowNumbers) -> tuple[Candidate, Metric]:
    """The global or the personal adapter by itself: the better metric on these rows, of equals the smaller loss."""
    measured = [(alone, trials.metric(alone, rows)) for alone in map(Candidate, ALONE)]
    return max(measured, key=lambda pair: pair[1].merit)


def nested_check(trials: Trials, first: RowNumbers, second: RowNumbers) -> NestedCheck:
    """Choose on the first rows, compare on the second ones.

    Args:
        trials: The candidates.
        first: Numbers of the rows that choose both the candidate and the better adapter.
        second: Numbers of the other rows.
    """
    fused = trials.metric(best(trials, first)[0], second)
    alone = trials.metric(better_alone(trials, first)[0], second)
    held = fused.merit[0] >= alone.merit[0]
    return NestedCheck(fused=fused.value, alone=alone.value, samples=len(second), held=held)


def halves(strata: NDArray[np.int64], rng: np.random.Generator) -> tuple[RowNumbers, RowNumbers]:
    """Row numbers of two halves, each in order, with every stratum's rows dealt in turn.

    Args:
        strata: (rows,).
        rng: Orders the rows of a stratum.
    """
    order = rng.permutation(len(strata))
    dealt = order[np.argsort(strata[order], kind="stable")]
    return np.sort(dealt[::2]), np.sort(dealt[1::2])
