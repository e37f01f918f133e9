"""Accuracy: the share of rows whose largest logit is the label's; with F1 of the second label, where there are two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from securefl.training.rows.tokens import Tokenised
from securefl.training.tasks.base import Metric


def class_numbers(rows: Tokenised) -> NDArray[np.int64]:
    """Class numbers (rows,) of tokenised rows."""
    return np.concatenate(rows.targets)


def measured(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> Metric:
    """Accuracy, cross-entropy and, of two labels, F1 of logits (rows, labels) against labels (rows,)."""
    guesses = logits.argmax(axis=1)
    shifted = logits - logits.max(axis=1, keepdims=True)
    likelihoods = shifted[np.arange(len(labels)), labels] - np.log(np.exp(shifted).sum(axis=1))
    hits = guesses == labels
    return Metric(
        name="accuracy",
        value=int(hits.sum()) / len(labels),
        loss=-float(likelihoods.mean()),
        extras={"f1": _f1(guesses, labels)} if logits.shape[1] == 2 else {},
        samples=len(labels),
        scores=hits.astype(np.float64),
    )


def _f1(guesses: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    hits = int((guesses & labels).sum())
    named = int(guesses.sum()) + int(labels.sum())
    return 2 * hits / named if named else 0.0
