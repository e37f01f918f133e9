"""The metric of classification: a main figure, further ones by name, and functions of whoever starts the member."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from securefl.errors import TrainingError
from securefl.training.figure_order import SMALLER_IS_BETTER
from securefl.training.rows.tokens import Tokenised
from securefl.training.tasks.base import Metric
from securefl.training.tasks.classification.figures import FIGURES, Judged, resampling

ACCURACY = "accuracy"
MetricFunction = Callable[[NDArray[np.float64], NDArray[np.int64]], float]
"""An own figure: from logits (rows, C) float64 and labels (rows,) int64 to a number."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures that a metric consists of.

    Attributes:
        main: Name of the one that reports show, and that choices on validation rows go by.
        further: Names of others.
        functions: Own ones by name.
    """

    main: str = ACCURACY
    further: tuple[str, ...] = ()
    functions: Mapping[str, MetricFunction] = field(default_factory=dict)

    def names(self, *, labels: int) -> list[str]:
        """Names of the figures that have a definition here, the main one first; accuracy is always among them."""
        two = ["f1"] if labels == 2 else []
        return list(dict.fromkeys([self.main, ACCURACY, *two, *self.further]))


ACCURACY_ALONE = Figures()


def class_numbers(rows: Tokenised) -> NDArray[np.int64]:
    """Class numbers (rows,) of tokenised rows."""
    return np.concatenate(rows.targets)


def measured(
    logits: NDArray[np.float64], labels: NDArray[np.int64], *, figures: Figures = ACCURACY_ALONE
) -> Metric:
    """The figures of logits (rows, labels) against labels (rows,), with the cross-entropy in nats.

    Raises:
        TrainingError: if an own function gives no finite number.
    """
    judged = Judged(logits, labels)
    names = figures.names(labels=judged.classes)
    found = {name: FIGURES[name](judged) for name in names}
    own = {name: _number(name, of(logits.copy(), labels.copy())) for name, of in figures.functions.items()}
    main = found.pop(figures.main)
    losses = -judged.log_probabilities[np.arange(len(labels)), labels]
    return Metric(
        name=figures.main,
        value=main,
        loss=float(losses.mean()),
        extras={**found, **own},
        samples=len(labels),
        scores=judged.hits,
        losses=losses,
        smaller_is_better=figures.main in SMALLER_IS_BETTER,
        resampled=resampling(judged, names),
    )


def _number(name: str, value: object) -> float:
    number = np.asarray(value)
    if number.dtype.kind not in "biuf" or number.size != 1 or not np.isfinite(number).all():
        raise TrainingError(
            f"the metric function '{name}' gives no finite number",
            hint="it takes logits (rows, C) and labels (rows,), and returns one float",
        )
    return float(number.item())
