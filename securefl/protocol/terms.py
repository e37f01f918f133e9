"""What holds for every member of a federation: the sections of ``FED.toml`` that its digest pins, resolved.

The rule kept here: paths, devices and data are each member's own business and stand in no terms.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from securefl.config.federation import (
    EncryptionSection,
    FederationSection,
    FusionSection,
    LoraSection,
    PayloadName,
    Pooling,
    PrivacySection,
    SketchSection,
)
from securefl.config.federation import Section as ConfigSection
from securefl.config.names import Name
from securefl.protocol.server_view import Digest


class ModelTerms(ConfigSection):
    """The base model as every member must have it; where it lies is each member's business."""

    digest: Digest
    task: Literal["sequence-classification"]
    pooling: Pooling
    max_length: int


class TrainingTerms(ConfigSection):
    """How long and how fast every member trains in a round."""

    learning_rate: float
    head_learning_rate: float
    weight_decay: float
    per_device_train_batch_size: int
    num_train_epochs: float


class RecipeTerms(ConfigSection):
    """The recipe with every choice resolved."""

    name: Name
    payload: PayloadName
    personal: bool
    outer_learning_rate: float
    fusion: FusionSection


class Terms(ConfigSection):
    """What holds for every member."""

    federation: FederationSection
    model: ModelTerms
    lora: LoraSection
    training: TrainingTerms
    recipe: RecipeTerms
    sketch: SketchSection
    privacy: PrivacySection
    encryption: EncryptionSection
    samples_cap: int = Field(ge=1)
