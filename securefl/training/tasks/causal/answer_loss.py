"""The metric of a language model: the mean loss of an answer's token, and what the written answers are worth.

The rule kept here: losses are summed over all answer tokens of all rows and divided once, so that the figure does not
depend on batches. A row's score, for comparing two models row by row, is minus the mean loss of its own tokens.

``answer_loss``  nats a token; smaller is better
``perplexity``   its exponential; smaller is better
``exact_match``  the share of rows whose last answer is written as it stands, but for spaces around it
``rouge_l``      the mean ROUGE-L of the last answers
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.config.task import AnswerFigure, AnswerMetric
from securefl.training.tasks.base import Metric

Floats = NDArray[np.float64]
LOSS_COLUMNS: Final = 2
"""Figures of a row without writing: its summed loss, and the number of its answers' tokens."""
WRITTEN: Final[tuple[AnswerFigure, ...]] = ("exact_match", "rouge_l")
"""Figures of a row that a written answer adds, in this order."""
_LARGEST: Final = 700.0
"""Nats; the exponential of more is no float."""


def answer_metric(outcomes: Floats, *, main: AnswerMetric, further: Sequence[AnswerFigure]) -> Metric:
    """The metric of rows.

    Args:
        outcomes: (rows, 2) summed losses and numbers of tokens, or (rows, 4) with the figures of written answers.
        main: The figure that reports show.
        further: Others; those of written answers are left out where nothing was written.
    """
    figures = _figures(outcomes, further)
    return Metric(
        name=main,
        value=figures.pop(main),
        loss=_mean_loss(outcomes),
        samples=len(outcomes),
        extras=figures,
        scores=-outcomes[:, 0] / outcomes[:, 1],
        smaller_is_better=True,
        resampled=lambda rows: _figures(outcomes[rows], further),
    )


def _figures(outcomes: Floats, further: Sequence[AnswerFigure]) -> dict[str, float]:
    loss = _mean_loss(outcomes)
    figures = {"answer_loss": loss, "perplexity": math.exp(min(loss, _LARGEST))}
    written = outcomes[:, LOSS_COLUMNS:]
    for place, name in enumerate(WRITTEN[: written.shape[1]]):
        if name in further:
            figures[name] = float(written[:, place].mean())
    return figures


def _mean_loss(outcomes: Floats) -> float:
    return float(outcomes[:, 0].sum() / outcomes[:, 1].sum())
