"""Learners: what a member's model and data must offer, and the check of what they give."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

from securefl.adapters.frozen import Frozen
from securefl.adapters.layout import Layout
from securefl.adapters.selection import Scores, feature_count
from securefl.adapters.update import Adapter, Factors, Update
from securefl.errors import DataError, ModelError, TrainingError


class Learner(Protocol):
    """A model and data of a member's own, as a federation asks for them; any class with these names will do.

    Raises:
        Exception: whatever a method raises ends the member's part in the federation; the others learn its kind only.

    Example:
        ``examples/own_model.py`` is a whole federation of such learners.
    """

    @property
    def samples(self) -> int:
        """Number of samples that it trains on, at least 1 and the same in every round: this member's weight."""
        ...

    def learn(self, round_number: int, start: Adapter, frozen: Frozen | None, /) -> Update:
        """Train for one round, and give the change.

        Args:
            round_number: From 1.
            start: The global adapter at this member's rank r, float64: for every adapted weight of the layout A
                (r, n) and B (m, r), and every head; heads count from the base model's. A weight's change is
                ``lora_alpha / r * B @ A``.
            frozen: Under the payloads ``basis`` and ``core`` the factors to train against; None under the others.

        Returns:
            The change since ``start``, float64; see ``update_between``. Under ``basis`` and ``core`` one factor of
            every weight is the frozen one.
        """
        ...

    def sensitivity(self, round_number: int, /) -> Scores:
        """Sensitivity scores (F,) from 0 to 1, after ``learn``; asked for under selective encryption only."""
        ...

    def evaluate(self, adapter: Adapter, /) -> Mapping[str, float]:
        """Metrics of the model with this adapter, on data that it was not trained on; the first is the main one."""
        ...


class CheckedLearner:
    """A learner whose answers are checked before the aggregation sees them.

    The rule kept here: tensors that are not the layout's end the member's part before anything of them is sent.

    Args:
        learner: Whose answers.
        layout: The federation's tensors.
    """

    def __init__(self, learner: Learner, layout: Layout) -> None:
        self._learner = learner
        self._layout = layout

    @property
    def samples(self) -> int:
        """Number of samples.

        Raises:
            DataError: if it is no whole number from 1.
        """
        samples = self._learner.samples
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
            raise DataError(
                "the learner's 'samples' is no whole number from 1", hint="it weighs this member's update"
            )
        return samples

    def learn(self, round_number: int, start: Adapter, frozen: Frozen | None, /) -> Update:
        """The learner's update.

        Raises:
            ModelError: if its tensors are not those of the layout.
            TrainingError: if a value is not finite.
        """
        update = self._learner.learn(round_number, start, frozen)
        check_update(update, self._layout)
        return update

    def sensitivity(self, round_number: int, /) -> Scores:
        """The learner's scores.

        Raises:
            ModelError: if they are not (F,) numbers from 0 to 1.
        """
        scores = np.asarray(self._learner.sensitivity(round_number), dtype=np.float64)
        features = feature_count(self._layout)
        if scores.shape != (features,) or not ((scores >= 0) & (scores <= 1)).all():
            raise ModelError(
                f"the learner's sensitivity scores are not {features} numbers from 0 to 1",
                hint="give one for every row and column of every adapted weight, in the layout's order",
            )
        return scores

    def evaluate(self, adapter: Adapter, /) -> Mapping[str, float]:
        """The learner's metrics.

        Raises:
            TrainingError: if there is none, or one is no finite number.
        """
        metrics = {str(name): float(value) for name, value in self._learner.evaluate(adapter).items()}
        if not metrics:
            raise TrainingError(
                "the learner's 'evaluate' gives no metric",
                hint='return at least one, such as {"accuracy": 0.9}',
            )
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise TrainingError(f"the learner's metric '{name}' is not finite")
        return metrics


def check_update(update: Update, layout: Layout) -> None:
    """Hold an update against the layout that the federation pins.

    Raises:
        ModelError: if a tensor is missing, foreign, or of another shape.
        TrainingError: if a value is not finite.
    """
    _check_names(update.weights.keys(), {tensor.name for tensor in layout.adapted}, what="adapted weights")
    _check_names(update.heads.keys(), {tensor.name for tensor in layout.heads}, what="heads")
    for tensor in layout.adapted:
        factors = update.weights[tensor.name]
        shapes = _shapes(factors)
        fits = shapes is not None and shapes[0] == tensor.rows and shapes[1] == tensor.columns
        if not fits:
            raise ModelError(
                f"the learner's change of '{tensor.name}' is not of the layout's shape",
                hint=f"give factors ({tensor.rows}, k) and (k, {tensor.columns})",
            )
        _check_finite(tensor.name, factors.left, factors.right)
    for tensor in layout.heads:
        if np.shape(update.heads[tensor.name]) != (tensor.rows, tensor.columns):
            raise ModelError(
                f"the learner's change of '{tensor.name}' is not of the layout's shape",
                hint=f"give an array ({tensor.rows}, {tensor.columns})",
            )
        _check_finite(tensor.name, update.heads[tensor.name])


def _check_names(given: Iterable[str], known: set[str], *, what: str) -> None:
    names = set(given)
    if names != known:
        odd = min(names ^ known)
        state = "does not name" if odd in known else "names, beside those of the federation,"
        raise ModelError(
            f"the learner's update {state} '{odd}' among its {what}",
            hint="its tensors must be exactly those of the layout that the federation file pins",
        )


def _shapes(factors: Factors) -> tuple[int, int] | None:
    """(m, n) of factors that can be multiplied; None of others."""
    left, right = np.shape(factors.left), np.shape(factors.right)
    if len(left) != 2 or len(right) != 2 or left[1] != right[0]:
        return None
    return left[0], right[1]


def _check_finite(name: str, *values: object) -> None:
    for array in values:
        if not (isinstance(array, np.ndarray) and array.dtype == np.float64):
            raise ModelError(
                f"the learner's change of '{name}' is no array of float64", hint="convert it with numpy"
            )
        if not np.isfinite(array).all():
            raise TrainingError(f"the learner's change of '{name}' has a value that is not finite")
