"""``[task]``: the task that the model learns, a tagged union by ``name``.

A task is one section of its own here, one of terms in ``protocol.terms``, and one file in ``training.tasks``. With a
second one ``TaskSection`` becomes ``Annotated[A | B, Field(discriminator="name")]``, as ``config.data.Split`` is.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import field_validator, model_validator

from securefl.config.section import Section
from securefl.config.values import ChosenBy

Pooling = Literal["mean", "cls", "last"]
"""Hidden states to one feature: the mean over the tokens, the first token's (encoders), or the last one's."""

MainMetric = Literal["accuracy", "balanced_accuracy", "macro_f1", "mcc", "brier"]
"""Figures that adapters may be chosen by. A calibration error is none: guessing by the labels' shares has none."""
NamedMetric = Literal["accuracy", "balanced_accuracy", "macro_f1", "mcc", "ece", "brier"]


HeadKind = Literal["pooled", "transformers"]
"""A linear head on a feature that is pooled here, or the classifier that transformers has for the model."""


class SequenceClassificationSection(Section):
    """One label for each text, by a linear head on one feature."""

    name: Literal["sequence-classification"] = "sequence-classification"
    head: HeadKind = "pooled"
    pooling: Pooling = "mean"
    """Of a pooled head; the classifier of transformers pools in its own way."""
    metric: MainMetric = "accuracy"
    """The figure that reports show, and that choices on validation rows go by."""
    metrics: tuple[NamedMetric, ...] | None = None
    """Further figures in every result."""

    @field_validator("metrics", mode="before")
    @classmethod
    def _are_names(cls, value: object) -> object:
        """Names, or a single one; functions are refused: a member would run code for whoever wrote the file."""
        names = [value] if isinstance(value, str) else value
        if isinstance(names, list | tuple):
            if not names:
                raise ValueError("it is an empty list")
            if any(isinstance(name, str) and ":" in name for name in names):
                raise ValueError(
                    "it names a function, and no member runs code because a federation's file names it: write names of "
                    "metrics here; whoever starts a member adds functions with securefl client --metric MODULE:FUNCTION"
                )
        return names

    @model_validator(mode="after")
    def _pooling_is_of_a_pooled_head(self) -> Self:
        if self.head == "transformers" and "pooling" in self.model_fields_set:
            raise ValueError('head = "transformers" pools in its own way: leave pooling out')
        return self


TaskSection = Annotated[SequenceClassificationSection, ChosenBy("name")]
