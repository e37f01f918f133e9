"""Candidates of a fusion, measured on numbered rows: of each pair of weights, the rows are read once.

The rule kept here: a candidate is measured by the task's own metric, from numbers that one exact pass over the rows
gave; trying another subset of the rows, or other scales of the head, reads nothing again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.update import Matrix
from securefl.training.scales import ClassNumbers, HeadPair, HeadScales
from securefl.training.tasks.base import Metric

Weights = tuple[float, float]
"""(w_global, w_personal)."""
RowNumbers = NDArray[np.int64]

ALONE: Final[tuple[Weights, ...]] = ((1.0, 0.0), (0.0, 1.0))
"""Each adapter by itself."""
MEAN: Final[Weights] = (0.5, 0.5)
SUM: Final[Weights] = (1.0, 1.0)
GRID: Final[tuple[Weights, ...]] = (
    *ALONE,
    MEAN,
    (0.75, 0.25),
    (0.25, 0.75),
    (0.75, 0.5),
    (1.0, 0.5),
    (0.5, 1.0),
)
"""Weights of the adapters that are tried. Measured on seven pairs of adapters: scales of the heads gain more than a
finer grid."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way of making one adapter of two.

    Attributes:
        weights: Of the factors; and of the heads, without scales.
        scales: Of the heads; None where they are added with the weights.
    """

    weights: Weights
    scales: HeadScales | None = None


MetricOfRows = Callable[[Matrix, RowNumbers], Metric]
"""From the outcomes of rows (rows, k) and their numbers to the task's metric."""


class Trials(Protocol):
    """Candidates and their metric."""

    def candidates(self, rows: RowNumbers) -> Sequence[Candidate]:
        """All candidates; what is fitted is fitted on these rows alone. Those of ``ALONE`` come first."""
        ...

    def metric(self, candidate: Candidate, rows: RowNumbers) -> Metric:
        """A candidate's metric on these rows."""
        ...


@dataclass(frozen=True, slots=True)
class GridTrials:
    """The grid alone, for tasks whose outcomes are no linear function of features.

    Attributes:
        outcomes: (rows, k) of every pair of weights.
        metric_of: The task's.
    """

    outcomes: Mapping[Weights, Matrix]
    metric_of: MetricOfRows

    def candidates(self, rows: RowNumbers) -> Sequence[Candidate]:
        """The grid: nothing is fitted."""
        return [Candidate(weights) for weights in GRID]

    def metric(self, candidate: Candidate, rows: RowNumbers) -> Metric:
        """A candidate's metric on these rows."""
        return self.metric_of(self.outcomes[candidate.weights][rows], rows)


@dataclass(frozen=True, slots=True)
class HeadTrials:
    """The grid, and beside every pair of it the same pair with fitted scales of the heads.

    Attributes:
        features: (rows, width) of every pair of weights.
        heads: Both heads.
        classes: (rows,) class numbers.
        metric_of: The task's; its outcomes are logits.
    """

    features: Mapping[Weights, Matrix]
    heads: HeadPair
    classes: ClassNumbers
    metric_of: MetricOfRows

    def candidates(self, rows: RowNumbers) -> Sequence[Candidate]:
        """The grid as it is, then with scales fitted on these rows."""
        classes = self.classes[rows]
        fitted = (self.heads.fitted(self.features[weights][rows], classes, start=weights) for weights in GRID)
        return [
            *(Candidate(weights) for weights in GRID),
            *(Candidate(weights, scales) for weights, scales in zip(GRID, fitted, strict=True)),
        ]

    def metric(self, candidate: Candidate, rows: RowNumbers) -> Metric:
        """A candidate's metric on these rows."""
        scales = candidate.scales
        head = self.heads.added(candidate.weights) if scales is None else self.heads.scaled(scales)
        return self.metric_of(head.logits(self.features[candidate.weights][rows]), rows)
