"""Sequence classification, behind the protocol of tasks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from securefl.adapters.layout import Layout
from securefl.config.task import HeadKind, Pooling
from securefl.config.training import TrainingSection
from securefl.training.backbones import Skeleton, check_pooling
from securefl.training.devices import Attention, Compute
from securefl.training.rows.examples import Examples
from securefl.training.rows.tokens import Batch, Tokenised, tokenise
from securefl.training.target_modules import adapted_tensors, resolved_targets
from securefl.training.tasks.base import Metric
from securefl.training.tasks.classification.class_head import ClassHead
from securefl.training.tasks.classification.metric import ACCURACY_ALONE, Figures, class_numbers, measured
from securefl.training.tasks.classification.model import PooledClassifier, filled, shared_layout
from securefl.training.tasks.classification.own_class import check_class, class_of, hollow, loaded
from securefl.training.tasks.classification.probe import probe
from securefl.training.tasks.head import HeadContext, TaskHead, WholeHead
from securefl.training.tasks.model import TaskModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class SequenceClassification:
    """A ``Task`` with a ``LinearHead``: one label for each text.

    Args:
        labels: The federation's labels, in the order of the head's rows.
        pooling: Hidden states to one feature.
        figures: What the metric consists of.
        head: ``transformers`` for the model's own classifier, which pools in its own way.
    """

    name = "sequence-classification"

    def __init__(
        self,
        labels: Sequence[str],
        pooling: Pooling,
        *,
        head: HeadKind = "pooled",
        figures: Figures = ACCURACY_ALONE,
    ) -> None:
        self._labels = tuple(labels)
        self._pooling: Pooling = pooling
        self._own_class = head == "transformers"
        self._figures = figures

    def check(self, skeleton: Skeleton, forms: Collection[str] = ()) -> None:
        """Refuse a pooling that does not fit the backbone; see ``Task.check``."""
        if self._own_class:
            check_class(skeleton, len(self._labels))
        else:
            check_pooling(skeleton.backbone, skeleton.config, self._pooling)

    def layout(self, skeleton: Skeleton, target_modules: Sequence[str]) -> Layout:
        """The adapted weights, and weight and bias of the head; see ``Task.layout``."""
        if self._own_class:
            names = resolved_targets(skeleton.backbone, target_modules, unused=skeleton.unused)
            heads = class_of(skeleton, len(self._labels)).tensors
            return Layout((*adapted_tensors(skeleton.backbone, names), *heads))
        return shared_layout(skeleton, target_modules, labels=len(self._labels))

    def hollow(self, skeleton: Skeleton) -> PooledClassifier:
        """The classifier around a backbone without numbers."""
        if self._own_class:
            return hollow(skeleton, len(self._labels))
        return PooledClassifier(
            skeleton.backbone, hidden=skeleton.hidden, labels=len(self._labels), pooling=self._pooling
        )

    def model(self, skeleton: Skeleton, path: str, *, attention: Attention) -> PooledClassifier:
        """The classifier with pretrained weights and a head of zeros; see ``Task.model``."""
        if self._own_class:
            return loaded(skeleton, path, len(self._labels), attention=attention)
        return filled(skeleton, path, labels=len(self._labels), pooling=self._pooling, attention=attention)

    def tokenise(
        self, examples: Examples, tokenizer: PreTrainedTokenizerBase, *, max_length: int
    ) -> Tokenised:
        """Token ids of the texts, and one target a row: the number of its label."""
        return tokenise(examples, tokenizer, max_length=max_length)

    def head(self, context: HeadContext) -> TaskHead:
        """Rows of the head by class, or the whole head where ``[head] rows`` says so."""
        return ClassHead(context) if context.head.rows == "by-class" else WholeHead()

    def metric(self, outcomes: NDArray[np.float64], rows: Tokenised) -> Metric:
        """The main figure, cross-entropy and all further figures; see ``metric``."""
        return measured(outcomes, class_numbers(rows), figures=self._figures)

    def features(self, model: TaskModel, batch: Batch) -> Tensor:
        """Pooled features (rows, hidden), float32."""
        assert isinstance(model, PooledClassifier)
        return model.features(batch.input_ids, batch.attention_mask, batch.token_type_ids)

    def classes(self, rows: Tokenised) -> NDArray[np.int64]:
        """Class numbers (rows,)."""
        return class_numbers(rows)

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
        """The frozen backbone with a head trained to convergence; see ``Task.baseline``."""
        assert isinstance(model, PooledClassifier)
        return probe(
            model,
            train,
            test,
            metric=self.metric,
            section=section,
            compute=compute,
            rng=rng,
            step_done=step_done,
        )

    def description(self) -> Mapping[str, object]:
        """The kind of head, its pooling, and the labels in the order of the head's rows."""
        if self._own_class:
            return {"head": "transformers", "labels": self._labels}
        return {"head": "pooled", "pooling": self._pooling, "labels": self._labels}
