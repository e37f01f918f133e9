"""The part of a task in the openings, and in every round after them: rows of the head by class.

The rule kept here: outside a task nobody knows what a row of a head stands for. A task whose head has rows of classes
gives a ``TaskHead`` that does; every other head is a ``WholeHead``, which is averaged as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.closed_form import HeadOpening
from securefl.adapters.head_statistics import HeadStatistics
from securefl.adapters.layout import Layout
from securefl.adapters.update import Adapter, Update
from securefl.config.head import HeadSection
from securefl.config.training import TrainingSection
from securefl.errors import TrainingError

if TYPE_CHECKING:
    from securefl.training.devices import Compute
    from securefl.training.kept import Kept
    from securefl.training.rows.tokens import Tokenised
    from securefl.training.tasks.model import TaskModel


class TaskHead(Protocol):
    """A member's head in the openings and in the rounds."""

    def row_counts(self) -> NDArray[np.int64]:
        """Own training rows of each class (C,).

        Raises:
            TrainingError: if the head has no rows of classes; so do the next four.
        """

    def feature_exponent(self) -> int:
        """Power of two nearest to the root mean square of the features of the own training rows."""

    def statistics(self, *, shared: NDArray[np.bool_], exponent: int) -> HeadStatistics:
        """Statistics of the own training rows; see ``HeadStatistics``."""

    def trial_losses(self, candidates: Sequence[HeadOpening]) -> NDArray[np.float64]:
        """Mean loss (K,) of each candidate on the own validation rows after a short trial, nats."""

    def begin_heads(self, opening: HeadOpening) -> None:
        """Take the start that the cohort chose."""

    @property
    def rate_factor(self) -> float:
        """Factor of the head's learning rate in rounds."""

    @property
    def step_factor(self) -> float:
        """Factor of all learning rates in rounds, the head's among them."""

    def adjusted(self, model: TaskModel) -> AbstractContextManager[None]:
        """The model's loss as rounds train it, for as long as the context is open."""

    def with_home(self, adapter: Adapter, *, round_number: int | None = None) -> Adapter:
        """A redistributed global adapter as this member uses it, with its own rows in it.

        Args:
            adapter: As redistributed.
            round_number: The round that is to start from it; None for the newest rows.
        """

    def without_home(self, update: Update, *, round_number: int) -> Update:
        """A round's update without what stays at home, which is kept."""

    def go_back_to(self, round_number: int) -> None:
        """Take what stays at home as it was after an earlier round, whose adapter is the global one again."""

    def kept(self) -> Kept:
        """All of it that later rounds depend on and that follows from no sum."""

    def restore(self, kept: Kept) -> None:
        """Go on from what was kept; what follows from the cohort's sums was told before."""

    def own_mix(self) -> NDArray[np.float64] | None:
        """Own label mix (C,) as terms of logits that the rounds have left out; None where they have not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadContext:
    """Everything of a trainer that a task's head works with.

    Attributes:
        layout: The shared tensors.
        model: Gives the model without an adapter.
        train: Own training rows.
        validation: Rows held out of training.
        head: ``[head]``.
        training: ``[training]``.
        samples_cap: The number of rows from which on every member weighs the same.
        seed: The federation's.
        compute: Device and precision.
        order: Gives the generator that orders a trial's rows, the same one for every candidate.
        step_done: Called with the number of texts read so far and their number in all.
    """

    layout: Layout
    model: Callable[[], TaskModel]
    train: Tokenised = field(repr=False)
    validation: Tokenised = field(repr=False)
    head: HeadSection
    training: TrainingSection
    samples_cap: int
    seed: int
    compute: Compute
    order: Callable[[], np.random.Generator]
    step_done: Callable[[int, int], None]


class WholeHead:
    """A ``TaskHead`` that is averaged as a whole, or none at all: nothing stays at home."""

    rate_factor = 1.0
    step_factor = 1.0

    def row_counts(self) -> NDArray[np.int64]:
        """Refuse: see ``TaskHead``."""
        _refuse()

    def feature_exponent(self) -> int:
        """Refuse: see ``TaskHead``."""
        _refuse()

    def statistics(self, *, shared: NDArray[np.bool_], exponent: int) -> HeadStatistics:
        """Refuse: see ``TaskHead``."""
        _refuse()

    def trial_losses(self, candidates: Sequence[HeadOpening]) -> NDArray[np.float64]:
        """Refuse: see ``TaskHead``."""
        _refuse()

    def begin_heads(self, opening: HeadOpening) -> None:
        """Refuse: see ``TaskHead``."""
        _refuse()

    def adjusted(self, model: TaskModel) -> AbstractContextManager[None]:
        """The plain loss."""
        return nullcontext()

    def with_home(self, adapter: Adapter, *, round_number: int | None = None) -> Adapter:
        """The adapter as it is."""
        return adapter

    def without_home(self, update: Update, *, round_number: int) -> Update:
        """The update as it is."""
        return update

    def go_back_to(self, round_number: int) -> None:
        """Do nothing: the head is all in the global adapter."""

    def kept(self) -> Kept:
        """Nothing."""
        from securefl.training.kept import Kept

        return Kept()

    def restore(self, kept: Kept) -> None:
        """Do nothing: the head is all in the global adapter."""

    def own_mix(self) -> NDArray[np.float64] | None:
        """None: nothing was left out."""
        return None


def _refuse() -> NoReturn:
    raise TrainingError(
        "this head has no rows of classes", hint='write rows = "together" and start = "zeros" in [head]'
    )
