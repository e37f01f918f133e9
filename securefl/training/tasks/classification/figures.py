"""Figures of classification by name, and the same figures of resampled rows.

The rule kept here: a figure of all rows is scikit-learn's, so that it is the one that other papers report; of the
thousand resamples that an interval takes, the figures are counted here, a hundred times as fast. A test holds both
equal. What is not defined is resolved as scikit-learn does:

``accuracy``           the share of rows whose largest logit is the label's
``balanced_accuracy``  the mean recall of the labels that rows have; labels without a row do not count
``macro_f1``           the mean F1 of the labels that rows have or that are guessed; of a label that is only guessed, or
                       never guessed, F1 is 0
``f1``                 F1 of the second of two labels; 0 where no row has it and none is guessed to
``mcc``                Matthews' correlation; 0 where all rows have one label, or all guesses are one
``ece``                expected calibration error, see ``calibration_error``; smaller is better
``brier``              Brier score: the mean squared distance of the probabilities from the label's, from 0 to 2, and of
                       two labels half of it, from 0 to 1; smaller is better

References: Matthews, Biochimica et Biophysica Acta 405 (1975), for many labels Gorodkin, Computational Biology and
Chemistry 28 (2004); Brier, Monthly Weather Review 78 (1950); Guo et al., ICML 2017 (arXiv 1706.04599), section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS: Final = 15
"""Bins of the calibration error, as in Guo et al."""


@dataclass(frozen=True)
class Judged:
    """Rows with their labels and what a model makes of them.

    Attributes:
        logits: (rows, C) float64.
        labels: (rows,) int64, from 0 to C - 1.
    """

    logits: Floats
    labels: Ints

    @property
    def classes(self) -> int:
        """C."""
        return int(self.logits.shape[1])

    @cached_property
    def guesses(self) -> Ints:
        """(rows,) the label of each row's largest logit; of equal ones the first."""
        return np.asarray(self.logits.argmax(axis=1))

    @cached_property
    def log_probabilities(self) -> Floats:
        """(rows, C) logarithms of the softmax."""
        shifted = self.logits - self.logits.max(axis=1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))

    @cached_property
    def probabilities(self) -> Floats:
        """(rows, C) softmax of the logits."""
        return np.asarray(np.exp(self.log_probabilities))

    @cached_property
    def confidences(self) -> Floats:
        """(rows,) the largest probability of each row."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def hits(self) -> Floats:
        """(rows,) 1 where the guess is the label, else 0."""
        return np.asarray(self.guesses == self.labels, dtype=np.float64)

    @cached_property
    def distances(self) -> Floats:
        """(rows,) each row's part of the Brier score."""
        wanted = np.eye(self.classes)[self.labels]
        squares = ((self.probabilities - wanted) ** 2).sum(axis=1)
        return np.asarray(squares / 2 if self.classes == 2 else squares)


def calibration_error(confidences: Floats, hits: Floats) -> float:
    """Expected calibration error: the mean distance, over rows, of a bin's accuracy from its mean confidence.

    There are 15 bins of equal width, (0, 1/15] to (14/15, 1]; empty ones do not count.

    Args:
        confidences: (rows,) from 0 to 1.
        hits: (rows,) 1 where the guess is right, else 0.
    """
    edges = np.linspace(0.0, 1.0, BINS + 1)[1:-1]
    bins = np.searchsorted(edges, confidences, side="left")
    gaps = np.bincount(bins, weights=hits - confidences, minlength=BINS)
    return float(np.abs(gaps).sum() / len(hits))


def _accuracy(judged: Judged) -> float:
    return int(judged.hits.sum()) / len(judged.labels)


def _balanced_accuracy(judged: Judged) -> float:
    # As balanced_accuracy_score, which warns of labels that are guessed and in no row.
    from sklearn.metrics import recall_score

    labels = np.unique(judged.labels)
    return float(
        recall_score(judged.labels, judged.guesses, labels=labels, average="macro", zero_division=0.0)
    )


def _macro_f1(judged: Judged) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(judged.labels, judged.guesses, average="macro", zero_division=0.0))


def _f1(judged: Judged) -> float:
    return _f1_counted(_confusion(judged)(np.arange(len(judged.labels))))


def _mcc(judged: Judged) -> float:
    from sklearn.metrics import matthews_corrcoef

    if min(len(np.unique(judged.labels)), len(np.unique(judged.guesses))) == 1:
        return 0.0  # as scikit-learn's, which warns of a single label
    return float(matthews_corrcoef(judged.labels, judged.guesses))


def _ece(judged: Judged) -> float:
    return calibration_error(judged.confidences, judged.hits)


def _brier(judged: Judged) -> float:
    from sklearn.metrics import brier_score_loss

    if judged.classes == 2:
        return float(brier_score_loss(judged.labels, judged.probabilities[:, 1], pos_label=1))
    return float(brier_score_loss(judged.labels, judged.probabilities, labels=np.arange(judged.classes)))


FIGURES: Final[Mapping[str, Callable[[Judged], float]]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "f1": _f1,
    "mcc": _mcc,
    "ece": _ece,
    "brier": _brier,
}
"""All figures by name."""


def _confusion(judged: Judged) -> Callable[[Ints], Floats]:
    """From numbers of rows to how many of them have each label (down) and guess (across): (C, C)."""
    classes = judged.classes
    pairs = judged.labels * classes + judged.guesses

    def counted(rows: Ints) -> Floats:
        counts = np.bincount(pairs[rows], minlength=classes * classes)
        return counts.reshape(classes, classes).astype(np.float64)

    return counted


def _accuracy_counted(confusion: Floats) -> float:
    return float(np.trace(confusion) / confusion.sum())


def _balanced_accuracy_counted(confusion: Floats) -> float:
    held = confusion.sum(axis=1)
    there = held > 0
    return float((np.diagonal(confusion)[there] / held[there]).mean())


def _macro_f1_counted(confusion: Floats) -> float:
    named = confusion.sum(axis=1) + confusion.sum(axis=0)
    there = named > 0
    return float((2 * np.diagonal(confusion)[there] / named[there]).mean())


def _f1_counted(confusion: Floats) -> float:
    named = confusion[1].sum() + confusion[:, 1].sum()
    return float(2 * confusion[1, 1] / named) if named else 0.0


def _mcc_counted(confusion: Floats) -> float:
    held, guessed, rows = confusion.sum(axis=1), confusion.sum(axis=0), confusion.sum()
    spread = (rows**2 - held @ held) * (rows**2 - guessed @ guessed)
    return float((np.trace(confusion) * rows - held @ guessed) / np.sqrt(spread)) if spread > 0 else 0.0


_COUNTED: Final[Mapping[str, Callable[[Floats], float]]] = {
    "accuracy": _accuracy_counted,
    "balanced_accuracy": _balanced_accuracy_counted,
    "macro_f1": _macro_f1_counted,
    "f1": _f1_counted,
    "mcc": _mcc_counted,
}
"""Figures that follow from the counts of labels and guesses alone."""


def resampling(judged: Judged, names: Sequence[str]) -> Callable[[Ints], dict[str, float]]:
    """From numbers of rows, in which one may stand several times, to the figures of these rows.

    Args:
        judged: All rows.
        names: Of the figures.
    """
    confusion = _confusion(judged)
    counted = {name: _COUNTED[name] for name in names if name in _COUNTED}

    def figures(rows: Ints) -> dict[str, float]:
        found: dict[str, float] = {}
        if counted:
            table = confusion(rows)
            found = {name: count(table) for name, count in counted.items()}
        if "ece" in names:
            found["ece"] = calibration_error(judged.confidences[rows], judged.hits[rows])
        if "brier" in names:
            found["brier"] = float(judged.distances[rows].mean())
        return found

    return figures
