"""A federation: all sections of ``FED.toml`` as one frozen, validated object.

The rule kept here: a value that reaches the rest of the library has been checked, and an option that this
version does not implement is refused, never ignored. Names that Hugging Face has for a thing are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from securefl.config.aggregation import AggregationSection
from securefl.config.cohort import CohortSection
from securefl.config.data import DataSection
from securefl.config.encryption import EncryptionSection, GridSection
from securefl.config.head import HeadSection
from securefl.config.layers import LayersSection
from securefl.config.model import DIALOGUE_MAX_LENGTH, LoraSection, ModelSection
from securefl.config.names import Name
from securefl.config.outer import Outer
from securefl.config.payload import PayloadChoice
from securefl.config.personal import PersonalSection
from securefl.config.privacy import NO_PRIVACY, PrivacySection
from securefl.config.rank_mix import MixRanks
from securefl.config.recipes.catalogue import ROWS, with_row
from securefl.config.recipes.choices import DEFAULT, FusionSection, Recipe
from securefl.config.section import Section
from securefl.config.server import ServerSection
from securefl.config.task import SequenceClassificationSection, TaskSection
from securefl.config.training import TrainingSection
from securefl.config.values import ChosenBy, converted


class FederationSection(Section):
    """``[federation]``: the name, the number of rounds, what drives the reproducible randomness."""

    name: Name
    rounds: int = Field(default=4, ge=1, le=10_000)
    seed: int = Field(default=7, ge=0, lt=2**63)
    labels: Path | tuple[str, ...] | None = None
    """A file with one label a line, or the list itself; without it, the sorted labels of the training data."""
    min_clients: int | None = Field(default=None, ge=3)
    """The smallest number of clients that a round takes; without it, an eighth of the roster may be missing, at least
    one client, and no fewer than 3 are enough."""

    @field_validator("labels", mode="before")
    @classmethod
    def _labels_are_texts(cls, labels: object) -> object:
        if isinstance(labels, list | tuple) and any(isinstance(label, bool) for label in labels):
            raise ValueError(
                'labels are texts as the data has them; write them in quotes, such as labels = ["false", "true"]'
            )
        return labels

    @field_validator("labels")
    @classmethod
    def _labels_are_distinct(cls, labels: Path | tuple[str, ...] | None) -> Path | tuple[str, ...] | None:
        if isinstance(labels, tuple) and (len(labels) < 2 or len(set(labels)) != len(labels)):
            raise ValueError(
                'labels must be at least two different names, such as labels = ["no", "yes"], or one file'
            )
        return labels


_TASK = SequenceClassificationSection(name="sequence-classification")


def _with_task_name(table: Mapping[str, object]) -> Mapping[str, object]:
    """A file whose ``[task]`` has a name: the usual one where none is written."""
    task = table.get("task")
    if not isinstance(task, Mapping) or "name" in task:
        return table
    return {**table, "task": {"name": _TASK.name, **task}}


def _with_length(table: Mapping[str, object]) -> Mapping[str, object]:
    """A file of a language model whose ``[model]`` has a length: that of dialogues where none is written."""
    task, model = table.get("task"), table.get("model")
    writes = isinstance(task, Mapping) and task.get("name") == "causal-lm"
    if not writes or not isinstance(model, Mapping) or "max_length" in model:
        return table
    return {**table, "model": {**model, "max_length": DIALOGUE_MAX_LENGTH}}


class FederationConfig(Section):
    """A whole ``FED.toml``.

    Relative paths in it have been made absolute against the file's folder by ``config.load``.
    """

    federation: FederationSection
    model: ModelSection
    task: TaskSection = _TASK
    data: DataSection = DataSection()
    lora: LoraSection = LoraSection()
    training: TrainingSection = TrainingSection()
    head: HeadSection = HeadSection()
    layers: LayersSection = LayersSection()
    personal: PersonalSection = PersonalSection()
    recipe: Annotated[Recipe, ChosenBy("name")] = ROWS[DEFAULT].recipe
    payload: PayloadChoice = ROWS[DEFAULT].payload
    outer: Outer = ROWS[DEFAULT].outer
    aggregation: AggregationSection = AggregationSection()
    fusion: FusionSection = ROWS[DEFAULT].fusion
    privacy: Annotated[PrivacySection, ChosenBy("unit")] = NO_PRIVACY
    encryption: EncryptionSection = EncryptionSection()
    grid: GridSection = GridSection()
    cohort: CohortSection = CohortSection()
    server: ServerSection = ServerSection()

    @model_validator(mode="before")
    @classmethod
    def _plain_intent(cls, table: object) -> object:
        """The same as in every section, and the recipe's row where the file is silent."""
        read = converted(cls.model_fields, table)
        return with_row(_with_length(_with_task_name(read))) if isinstance(read, Mapping) else read

    @property
    def ranks(self) -> dict[str, int]:
        """Every client's rank, in the roster's order; what ranks of data are is known once these are counted."""
        if isinstance(self.cohort.ranks, MixRanks):
            ids = [str(member.id) for member in self.cohort.clients]
            return self.cohort.ranks.dealt(ids, seed=self.federation.seed)
        return {str(member.id): member.r or self.lora.r for member in self.cohort.clients}

    @property
    def model_paths(self) -> dict[str, str]:
        """Every client's base model: its own where it names one, else that of ``[model]``."""
        return {str(member.id): member.model or self.model.path for member in self.cohort.clients}
