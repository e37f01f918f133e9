"""The choice among a fusion's candidates, which never loses to the better of both adapters on the rows it was made on.

The rule kept here: of the candidates whose metric is at least that of the better adapter alone, the one of least loss;
the better adapter is among them. A choice on few rows can still be luck, so it is tried first in small: chosen on
half of the rows and compared, on the other half, with the adapter that was the better one on the first; and the other
way round, so that every row judges once. If it loses there by more than one standard error of the paired rows, the
better of both by all rows is taken. Without that allowance nineteen rows a half decide by chance: of the quickstart's
four clients one lost its fusion so.
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
    """The choice in small: made on one half of the rows and measured on the other, both ways round.

    Attributes:
        fused: Mean metric of the candidates that the halves chose, on the other half each.
        alone: The same of the adapter that was the better one on the half that chose.
        samples: Rows that were measured on: all of the search.
        held: False where the candidates lost by more than one standard error of the paired rows.
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
    """Choose on the rows of one half, compare on those of the other, and the other way round.

    Args:
        trials: The candidates.
        first: Numbers of the rows of one half.
        second: Numbers of the other rows.
    """
    turns = [_turn(trials, *turn) for turn in ((first, second), (second, first))]
    gains = np.concatenate([fused.scores - alone.scores for fused, alone in turns])
    # Under no difference the sum of paired gains has this standard deviation (McNemar 1947, for rows right or wrong).
    held = bool(gains.sum() >= -np.sqrt(np.square(gains).sum()))
    fused, alone = (float(np.mean([turn[place].value for turn in turns])) for place in (0, 1))
    return NestedCheck(fused=fused, alone=alone, samples=len(first) + len(second), held=held)


def _turn(trials: Trials, choosing: RowNumbers, judging: RowNumbers) -> tuple[Metric, Metric]:
    """Metrics of the candidate and of the better adapter that some rows choose, on other rows."""
    chosen = best(trials, choosing)[0], better_alone(trials, choosing)[0]
    return trials.metric(chosen[0], judging), trials.metric(chosen[1], judging)


def halves(strata: NDArray[np.int64], rng: np.random.Generator) -> tuple[RowNumbers, RowNumbers]:
    """Row numbers of two halves, each in order, with every stratum's rows dealt in turn.

    Args:
        strata: (rows,).
        rng: Orders the rows of a stratum.
    """
    order = rng.permutation(len(strata))
    dealt = order[np.argsort(strata[order], kind="stable")]
    return np.sort(dealt[::2]), np.sort(dealt[1::2])
