"""Terms of a federation, for every member the same: the sections of ``FED.toml`` that its digest pins, resolved.

The rule kept here: paths, devices and data are each member's own business and stand in no terms.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from securefl.config.aggregation import AggregationSection
from securefl.config.encryption import EncryptionSection, GridSection
from securefl.config.head import HeadSection
from securefl.config.layers import LayersSection
from securefl.config.model import LoraTerms
from securefl.config.names import Name
from securefl.config.outer import Outer
from securefl.config.payload import Payload
from securefl.config.privacy import ClientPrivacySection, ExamplePrivacySection, NoPrivacySection
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.config.section import Section as ConfigSection
from securefl.config.task import (
    AnswerFigure,
    AnswerMetric,
    Answers,
    HeadKind,
    MainMetric,
    NamedMetric,
    Pooling,
    PromptForm,
)
from securefl.config.training import SchedulerType
from securefl.protocol.openings import Opening
from securefl.protocol.server_view import Digest


class FederationTerms(ConfigSection):
    """The name, the number of rounds, what drives the reproducible randomness, and the smallest cohort.

    Attributes:
        name: The federation's name.
        rounds: Number of rounds of training.
        seed: The federation's seed.
        min_clients: m, the smallest cohort; None in files of a lead that left the default.
    """

    name: Name
    rounds: int = Field(ge=1, le=10_000)
    seed: int = Field(ge=0, lt=2**63)
    min_clients: int | None = Field(default=None, ge=3)


class ModelTerms(ConfigSection):
    """The base model as every member must have it; where it lies is each member's business.

    Attributes:
        digest: Of its files.
        max_length: Most tokens of a text.
        id: Its public name, for whoever loads an adapter; None where none is known.
    """

    digest: Digest
    max_length: int
    id: str | None = None


class SequenceClassificationTerms(ConfigSection):
    """One label for each text.

    Attributes:
        name: The task's name.
        head: A pooled feature's head, or the last layer of transformers' own classifier.
        pooling: Hidden states to one feature, for a pooled head.
        labels: The class names, in the order of the head's rows.
        metric: The figure that reports show, and that choices on validation rows go by.
        metrics: Further figures.
    """

    name: Literal["sequence-classification"]
    head: HeadKind = "pooled"
    pooling: Pooling = "mean"
    labels: tuple[str, ...]
    metric: MainMetric = "accuracy"
    metrics: tuple[NamedMetric, ...] = ()


class CausalLmTerms(ConfigSection):
    """Answers to prompts, by a causal language model.

    Attributes:
        name: The task's name.
        chat_template: The text of a template in Jinja; None takes the model's own, which the model's digest pins.
        prompt_form: The text around a prompt.
        answers: Answers of a conversation that are learnt.
        max_new_tokens: Longest answer that is written, in tokens.
        metric: The figure that reports show, and that choices on validation rows go by.
        metrics: Further figures of the test rows.
    """

    name: Literal["causal-lm"]
    chat_template: str | None = None
    prompt_form: PromptForm = "auto"
    answers: Answers = "all"
    max_new_tokens: int = Field(default=64, ge=1, le=8192)
    metric: AnswerMetric = "answer_loss"
    metrics: tuple[AnswerFigure, ...] = ()


class OwnTaskTerms(ConfigSection):
    """A task that each member's own learner knows: only the shared tensors are pinned, and their digest as the model's.

    Attributes:
        name: The task's name.
    """

    name: Literal["own"]


TaskTerms = Annotated[SequenceClassificationTerms | CausalLmTerms | OwnTaskTerms, Field(discriminator="name")]
"""A tagged union by ``name``, as ``config.task.TaskSection`` is; a task pins here what only it knows."""


VARIANCE_UNIT: Final = 16
"""Variances of noise are pinned in whole sixteenths of a squared grid step."""


class PinnedClientPrivacy(ClientPrivacySection):
    """A promise to clients, and the mechanism that keeps it: the same integers at every member.

    Attributes:
        honest: h, the honest survivors that shares are sized for; 1 where single contributions can be read.
        dimension: d, values of the largest round.
        clip_steps: K, the clip in grid steps.
        share_variance_16ths: v, variance of a share, in sixteenths of a squared grid step.
    """

    honest: int = Field(ge=1)
    dimension: int = Field(ge=1)
    clip_steps: int = Field(ge=1)
    share_variance_16ths: int = Field(ge=1)


PrivacyTerms = Annotated[
    NoPrivacySection | ExamplePrivacySection | PinnedClientPrivacy, Field(discriminator="unit")
]
"""``[privacy]`` as it is pinned, a tagged union by ``unit``."""


class TrainingTerms(ConfigSection):
    """The length and speed of every member's training in a round."""

    learning_rate: float
    head_learning_rate: float
    weight_decay: float
    per_device_train_batch_size: int
    num_train_epochs: float
    lr_scheduler_type: SchedulerType
    warmup_rounds: float
    max_grad_norm: float
    rank_penalty: float = 0.0
    proximal: float = 0.0
    orthogonal: float = 0.0
    rank_pruning: bool = False
    early_stopping_rounds: int | None = None


class Terms(ConfigSection):
    """Everything that holds for every member."""

    federation: FederationTerms
    model: ModelTerms
    task: TaskTerms
    lora: LoraTerms
    training: TrainingTerms
    head: HeadSection
    layers: LayersSection = LayersSection()
    recipe: Recipe
    payload: Payload
    outer: Outer
    aggregation: AggregationSection = AggregationSection()
    fusion: FusionSection
    privacy: PrivacyTerms
    encryption: EncryptionSection
    grid: GridSection
    samples_cap: int = Field(ge=1)

    @property
    def own_models(self) -> bool:
        """True where members have models of their own: the layout's digest then stands for the model's."""
        return isinstance(self.task, OwnTaskTerms) or self.recipe.own_backbones

    @property
    def openings(self) -> tuple[Opening, ...]:
        """The sums before the first round of training, in their order; none where no head is averaged by classes."""
        if not isinstance(self.task, SequenceClassificationTerms) or self.head.rows == "together":
            return ()
        sums = (Opening.HOLDERS, Opening.STATISTICS)
        return (*sums, Opening.TRIALS) if self.head.start == "auto" else sums
