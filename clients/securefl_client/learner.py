"""Learners: what a member's model and data must offer, and the check of what they give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.frozen import Frozen
from securefl.adapters.layout import Layout
from securefl.adapters.selection import Scores, feature_count
from securefl.adapters.update import Adapter, Factors, Matrix, Update
from securefl.aggregation.update_source import UpdateSource
from securefl.errors import DataError, ModelError, TrainingError


class Learner(UpdateSource, Protocol):
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
                ``lora_alpha / r * B @ A``, or ``lora_alpha / sqrt(r) * B @ A`` where ``[lora] use_rslora`` is set;
                under ``one_scaling`` r is that of ``[lora]`` for every member.
                Under ``core`` with several ``heads`` r is so many times this member's rank.
            frozen: Under the payloads ``basis``, ``state`` and ``core`` the factors to train against; None under the
                others. Under ``state`` it holds the shared adapter too, as ``frozen.shared``: A (R, n) and B (m, R) of
                every weight, whose change is ``B @ A``; a model that computes with it in the place of ``start``
                computes with all of it, whatever this member's rank.

        Returns:
            The change since ``start``, float64; see ``update_between``. Under ``[layers]`` the changes of layers that
            this member does not own in the round are left out. Under ``basis``, ``state`` and
            ``core`` one factor of every weight is the frozen one, and under ``head-only`` no weight changes: factors
            (m, 0) and (0, n). Entries beyond the bounds in ``[grid]`` are clipped, and a ``Warned`` says how many: a
            model whose weights move far needs a larger ``adapter_bound``.
        """
        ...

    def sensitivity(self, round_number: int, /) -> Scores:
        """Sensitivity scores (F,) from 0 to 1, after ``learn``; asked for under selective encryption only.

        Under ``select = { by = "columns" }`` those of columns alone are read; see ``adapters.selection``.
        """
        ...

    def evaluate(self, adapter: Adapter, /) -> Mapping[str, float]:
        """Metrics of the model with this adapter, on data that it was not trained on; the first is the main one."""
        ...


@runtime_checkable
class KeepsState(Protocol):
    """A learner with a state of its own beside the global adapter: it is kept, so that a restarted member goes on."""

    def kept(self) -> Mapping[str, NDArray[np.generic]]:
        """Arrays by name that later rounds depend on, after a round."""
        ...

    def restore(self, arrays: Mapping[str, NDArray[np.generic]], /) -> None:
        """Go on from such arrays."""
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
        if isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < 1:
            raise DataError(
                "the learner's 'samples' is no whole number from 1", hint="it weighs this member's update"
            )
        return int(samples)

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
        scores = _real_numbers(self._learner.sensitivity(round_number))
        features = feature_count(self._layout)
        if scores is None or scores.shape != (features,) or not ((scores >= 0) & (scores <= 1)).all():
            raise ModelError(
                f"the learner's sensitivity scores are not {features} numbers from 0 to 1",
                hint="give one for every row and column of every adapted weight, in the layout's order",
            )
        return scores

    def kept(self) -> Mapping[str, NDArray[np.generic]]:
        """The learner's own state; empty where it has none.

        Raises:
            ModelError: if it is no mapping of names to arrays of numbers.
        """
        if not isinstance(self._learner, KeepsState):
            return {}
        given: object = self._learner.kept()
        if not isinstance(given, Mapping) or not all(
            isinstance(name, str) and isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
            for name, array in given.items()
        ):
            raise ModelError(
                "the learner's 'kept' gives no arrays by name", hint="return numpy arrays of numbers"
            )
        return dict(given)

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Give a learner the state back that it gave."""
        if isinstance(self._learner, KeepsState):
            self._learner.restore(arrays)

    def evaluate(self, adapter: Adapter, /) -> Mapping[str, float]:
        """The learner's metrics.

        Raises:
            TrainingError: if there is none, or one is no finite number.
        """
        given: object = self._learner.evaluate(adapter)
        if not isinstance(given, Mapping) or not given:
            raise TrainingError(
                "the learner's 'evaluate' gives no metric",
                hint='return at least one, such as {"accuracy": 0.9}',
            )
        return {str(name): _metric(str(name), value) for name, value in given.items()}


def _metric(name: str, value: object) -> float:
    number = _real_numbers(value)
    if number is None or number.size != 1:
        raise TrainingError(
            f"the learner's metric '{name}' is no number", hint='return one, such as {"accuracy": 0.9}'
        )
    if not np.isfinite(number).all():
        raise TrainingError(f"the learner's metric '{name}' is not finite")
    return float(number.item())


def check_offers(learner: object) -> None:
    """Refuse a learner that lacks what every federation asks for, before rounds are trained in vain.

    Raises:
        ModelError: naming what is missing.
    """
    missing = [name for name in ("learn", "evaluate") if not callable(getattr(learner, name, None))]
    if not hasattr(learner, "samples"):
        missing.insert(0, "samples")
    if missing:
        raise ModelError(
            f"the learner {type(learner).__name__} has no {' and no '.join(map(repr, missing))}",
            hint="write what securefl.Learner names; help(securefl.Learner) says what each gives",
        )


def _real_numbers(value: object) -> Scores | None:
    """A learner's numbers as float64, of any shape; None where it gave something else."""
    try:
        array = np.asarray(value)
        return array.astype(np.float64) if array.dtype.kind in "biuf" else None
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ):  # what lists of unlike lengths and tensors of a device raise
        return None


def check_update(update: object, layout: Layout) -> None:
    """Hold an update against the layout that the federation pins.

    Raises:
        ModelError: if it is no update, or a tensor is missing, foreign, or of another shape.
        TrainingError: if a value is not finite.
    """
    if not isinstance(update, Update):
        raise ModelError(
            "the learner's 'learn' gives no Update", hint="return what securefl.update_between gives"
        )
    _check_names(update.weights, {tensor.name for tensor in layout.adapted}, what="adapted weights")
    _check_names(update.heads, {tensor.name for tensor in layout.heads}, what="heads")
    for tensor in layout.adapted:
        factors = update.weights[tensor.name]
        _check_arrays(tensor.name, getattr(factors, "left", None), getattr(factors, "right", None))
        shapes = _shapes(factors)
        fits = shapes is not None and shapes[0] == tensor.rows and shapes[1] == tensor.columns
        if not fits:
            raise ModelError(
                f"the learner's change of '{tensor.name}' is not of the layout's shape",
                hint=f"give factors ({tensor.rows}, k) and (k, {tensor.columns})",
            )
        # Finite factors may have a product that is not.
        _check_finite(tensor.name, factors.left, factors.right, _bound(factors))
    for tensor in layout.heads:
        _check_arrays(tensor.name, update.heads[tensor.name])
        if np.shape(update.heads[tensor.name]) != (tensor.rows, tensor.columns):
            raise ModelError(
                f"the learner's change of '{tensor.name}' is not of the layout's shape",
                hint=f"give an array ({tensor.rows}, {tensor.columns})",
            )
        _check_finite(tensor.name, update.heads[tensor.name])


def _check_names(given: object, known: set[str], *, what: str) -> None:
    if not isinstance(given, Mapping):
        raise ModelError(
            f"the learner's update has no {what} by name",
            hint="give a mapping from the layout's names to arrays",
        )
    names = set(given)
    if names != known:
        odd = min(names ^ known, key=str)
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


def _check_arrays(name: str, *values: object) -> None:
    for array in values:
        if not (isinstance(array, np.ndarray) and array.dtype == np.float64):
            raise ModelError(
                f"the learner's change of '{name}' is no array of float64", hint="convert it with numpy"
            )


def _bound(factors: Factors) -> Matrix:
    """A number that no entry of the product exceeds, infinite where it is too large for float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        largest = [np.abs(array).max(initial=0.0) for array in (factors.left, factors.right)]
        return np.asarray(largest[0] * largest[1] * factors.left.shape[1])


def _check_finite(name: str, *arrays: Matrix) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise TrainingError(f"the learner's change of '{name}' has a value that is not finite")
