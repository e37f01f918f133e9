"""A member's own classifier with the shared adapter beside it: its answers, and the losses of both phases."""

from __future__ import annotations

import math
from enum import Enum
from typing import assert_never

import torch
from torch import Tensor, nn

from securefl.training.mixed_backbones.shared_adapter import SharedAdapter
from securefl.training.rows.tokens import Batch
from securefl.training.tasks.classification.model import PooledClassifier
from securefl.training.tasks.model import TaskModel


class Phase(Enum):
    """Parts of a round; the value is what progress calls its steps."""

    OWN_MODEL = "own-model"
    """The shared adapter is frozen."""
    SHARED_ADAPTER = "global"
    """The member's own model is frozen."""


class PairedModel(TaskModel):
    """Mean of the probabilities that the member's own head gives, and the shared adapter in its place.

    Args:
        local: The member's own classifier, its private LoRA in use.
        shared: The shared adapter at this member.
        mu: Share of the shared adapter's loss in the first phase; the rest is that of the member's own head.

    Attributes:
        phase: Which loss is computed.
    """

    def __init__(self, local: PooledClassifier, shared: SharedAdapter, *, mu: float) -> None:
        super().__init__(local.backbone)
        self.local = local
        self.shared = shared
        self.phase = Phase.OWN_MODEL
        self._mu = mu

    def loss(self, batch: Batch) -> Tensor:
        """The phase's mean loss of a batch, nats."""
        targets = batch.targets[:, 0]
        match self.phase:
            case Phase.OWN_MODEL:
                alone, shared = self._logits(batch)
                return self._mu * _entropy(shared, targets) + (1 - self._mu) * _entropy(alone, targets)
            case Phase.SHARED_ADAPTER:
                with torch.no_grad():
                    features = self._features(batch)
                return _entropy(self.shared(features), targets)
            case _:
                assert_never(self.phase)

    def outcomes(self, batch: Batch) -> Tensor:
        """Logarithms (rows, labels) of the mean of both probabilities, which are logits of it."""
        alone, shared = (logits.log_softmax(dim=1) for logits in self._logits(batch))
        return torch.logaddexp(alone, shared) - math.log(2)

    def outcomes_width(self) -> int:
        """The number of labels."""
        return self.local.outcomes_width()

    def _logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        features = self._features(batch)
        return self.local.classified(features), self.shared(features)

    def _features(self, batch: Batch) -> Tensor:
        return self.local.features(batch.input_ids, batch.attention_mask, batch.token_type_ids)


def _entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits, targets)
