"""``[task]``: the task that the model learns, a tagged union by ``name``.

A task is one section of its own here, one of terms in ``protocol.terms``, and one file or folder in
``training.tasks``.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from securefl.config.section import Section

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


AnswerMetric = Literal["answer_loss", "perplexity"]
"""Figures of a language model that adapters may be chosen by: the mean loss of a token of an answer, in nats, and its
exponential."""
AnswerFigure = Literal["answer_loss", "perplexity", "exact_match", "rouge_l"]
"""The last two compare the answer that the model writes with the row's, and take as long as writing it."""
PromptForm = Literal["auto", "chat", "plain", "alpaca"]
"""The text around a prompt: the chat template, the prompt alone, or Alpaca's sentences; ``auto`` takes the template
where there is one, else the prompt alone, and Alpaca's sentences for instructions."""
Answers = Literal["all", "last"]


class CausalLmSection(Section):
    """Answers to prompts, written by a causal language model; only their tokens count in the loss."""

    name: Literal["causal-lm"]
    chat_template: str | None = None
    """A template in Jinja, or the path of a file with one; without it, the model's own. Its text is pinned."""
    prompt_form: PromptForm = "auto"
    answers: Answers = "all"
    """Answers of a conversation that are learnt: all of them, or the last one alone."""
    max_new_tokens: int = Field(default=64, ge=1, le=8192)
    """Longest answer that is written for a metric or a prediction, in tokens."""
    metric: AnswerMetric = "answer_loss"
    """The figure that reports show, and that choices on validation rows go by."""
    metrics: tuple[AnswerFigure, ...] | None = None
    """Further figures of the test rows."""

    @field_validator("metrics")
    @classmethod
    def _some_names(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and not names:
            raise ValueError(
                'it is an empty list: name figures such as metrics = ["rouge_l"], or leave it out'
            )
        return names

    @model_validator(mode="after")
    def _a_template_is_of_a_chat(self) -> Self:
        if self.chat_template is not None and self.prompt_form in ("plain", "alpaca"):
            raise ValueError(
                f'chat_template is not used where prompt_form = "{self.prompt_form}": leave one of them out'
            )
        return self


TaskSection = Annotated[SequenceClassificationSection | CausalLmSection, Field(discriminator="name")]
