"""Everything that the rest of training asks of a task.

Two protocols, because the lead checks data and has no torch: ``RowTask`` reads rows, ``Task`` trains on them. Two more
are for tasks that have more to tell: ``LinearHead`` and ``Answering``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.layout import Layout
from securefl.config.training import TrainingSection
from securefl.training.rows.columns import Columns
from securefl.training.rows.examples import Examples
from securefl.training.rows.splits import Rows
from securefl.training.rows.tables import Table

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from securefl.training.backbones import Skeleton
    from securefl.training.devices import Attention, Compute
    from securefl.training.rows.tokens import Batch, Tokenised
    from securefl.training.tasks.head import HeadContext, TaskHead
    from securefl.training.tasks.model import TaskModel

MOST_ROW_LOSS: Final = 16.0
"""Nats that a row counts at most where losses of several members are added up: a class without a logit costs 10,000,
and would drown all other rows."""
Resampled = Callable[[NDArray[np.int64]], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Metric:
    """Figures of a model on some rows.

    Attributes:
        name: What ``value`` is called, such as ``accuracy``.
        value: The figure that reports show.
        loss: Mean loss, nats.
        samples: Number of rows.
        extras: Further figures by name, such as ``f1``.
        scores: (samples,) float64, what each row counts, in the rows' order, more is better; for comparing two models
            row by row.
        losses: (samples,) float64, nats, each row's loss, in the rows' order; None where a task cannot tell.
        smaller_is_better: Of ``value``.
        resampled: From numbers of rows, in which one may stand several times, to the figures of these rows by name;
            None where a task cannot tell.
    """

    name: str
    value: float
    loss: float
    samples: int
    extras: Mapping[str, float] = field(default_factory=dict)
    scores: NDArray[np.float64] = field(
        repr=False, compare=False, default_factory=lambda: np.empty(0, dtype=np.float64)
    )
    losses: NDArray[np.float64] | None = field(repr=False, compare=False, default=None)
    smaller_is_better: bool = False
    resampled: Resampled | None = field(repr=False, compare=False, default=None)

    @property
    def merit(self) -> tuple[float, float]:
        """Order of two models: the value, then the loss; more is better."""
        return (-self.value if self.smaller_is_better else self.value, -self.loss)

    @property
    def bounded_loss(self) -> float:
        """Mean loss with each row's cut to ``MOST_ROW_LOSS``, nats; where rows' losses are not known, ``loss``."""
        if self.losses is None:
            return self.loss
        return float(np.minimum(self.losses, MOST_ROW_LOSS).mean())

    @property
    def figures(self) -> dict[str, float]:
        """Every figure by name: the value, ``loss``, ``samples`` and the extras."""
        return {self.name: self.value, "loss": self.loss, "samples": self.samples, **self.extras}

    @property
    def reported(self) -> dict[str, float]:
        """Every figure by name but the number of rows, which is the same for all models of a report."""
        return {name: value for name, value in self.figures.items() if name != "samples"}


MetricOf = Callable[[NDArray[np.float64], "Tokenised"], Metric]
"""From the outcomes of rows (rows, k), in their order, and the rows to the metric."""


class RowTask(Protocol):
    """A task's reading of rows; it takes no torch."""

    @property
    def columns(self) -> Columns:
        """The columns that are read, and the one that splits go by."""

    def examples(self, table: Table, rows: Rows) -> Examples:
        """The rows of these numbers, as the task trains on them.

        Raises:
            DataError: if a row does not fit the task; it names the place.
        """


class Task(Protocol):
    """A task's model, loss and metric."""

    @property
    def name(self) -> str:
        """Its name in ``[task]`` and in the terms."""

    def check(self, skeleton: Skeleton, forms: Collection[str] = ()) -> None:
        """Refuse a backbone that cannot learn the task.

        Args:
            skeleton: The backbone without numbers.
            forms: Forms of the rows that were read (see ``Columns.forms``); none where no file was, or the task has
                one form alone.

        Raises:
            ConfigError: if a choice of ``[task]`` does not fit it, or the rows.
        """

    def layout(self, skeleton: Skeleton, target_modules: Sequence[str]) -> Layout:
        """The tensors that members share: adapted weights, then the task's heads.

        Raises:
            ModelError: if a name matches no linear module.
        """

    def hollow(self, skeleton: Skeleton) -> TaskModel:
        """The model around a backbone without numbers."""

    def model(self, skeleton: Skeleton, path: str, *, attention: Attention) -> TaskModel:
        """The model with the pretrained weights, in float32 on the CPU.

        Raises:
            ModelError: if the weights are incomplete.
            ConfigError: see ``check``.
        """

    def tokenise(
        self, examples: Examples, tokenizer: PreTrainedTokenizerBase, *, max_length: int
    ) -> Tokenised:
        """Token ids and targets of examples, of ``max_length`` tokens at most."""

    def head(self, context: HeadContext) -> TaskHead:
        """The task's part in the openings and the rounds; ``WholeHead`` where rows of the head are of no classes.

        Raises:
            ConfigError: if ``[head]`` does not fit the task.
        """

    def metric(self, outcomes: NDArray[np.float64], rows: Tokenised) -> Metric:
        """The metric of ``TaskModel.outcomes`` (rows, k), in the rows' order."""

    def baseline(
        self,
        model: TaskModel,
        train: Tokenised,
        test: Tokenised,
        *,
        section: TrainingSection,
        compute: Compute,
        rng: np.random.Generator,
        step_done: Callable[[int, int], None],
    ) -> Metric:
        """The test metric without any adapter: the least that one must beat.

        Args:
            model: The model, no adapter in use.
            train: Rows that the task may fit its own head on.
            test: Rows to measure.
            section: Batch sizes and rates.
            compute: Device and precision.
            rng: Orders the batches.
            step_done: Called with the number of texts read so far and their number in all.
        """

    def description(self) -> Mapping[str, object]:
        """The task's part of a saved folder's ``task.json``: JSON values."""


@runtime_checkable
class LinearHead(Protocol):
    """A task whose outcomes are logits of classes, linear in features of the backbone; optional beside ``Task``.

    Its heads in the layout are a matrix (classes, width) and, but for some models, a bias (classes, 1).
    """

    def features(self, model: TaskModel, batch: Batch) -> Tensor:
        """Features (rows, width) of the model as it is in use; times the head they are its outcomes."""

    def classes(self, rows: Tokenised) -> NDArray[np.int64]:
        """Class numbers (rows,)."""


@runtime_checkable
class Answering(Protocol):
    """A task whose model writes answers; optional beside ``Task``."""

    def prompt(self, question: str, tokenizer: PreTrainedTokenizerBase) -> NDArray[np.int64]:
        """Token ids (tokens,) of a prompt whose answer is still to be written."""

    def written(self, model: TaskModel, prompts: Sequence[Tensor]) -> list[str]:
        """Answers to prompts, (tokens,) int64 each on the model's device, in their order."""
