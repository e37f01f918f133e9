"""A trainer as the learner of the aggregation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from securefl.adapters.frozen import Frozen
from securefl.adapters.selection import Scores
from securefl.adapters.update import Adapter, Update

if TYPE_CHECKING:
    from securefl.training.trainer import LocalTrainer


class TrainerLearner:
    """A ``Learner`` whose model and data a trainer holds.

    Args:
        trainer: Trains the global adapter.

    Attributes:
        loss: Mean training loss of the last round, nats; 0 before the first.
    """

    def __init__(self, trainer: LocalTrainer) -> None:
        self._trainer = trainer
        self.loss = 0.0

    @property
    def samples(self) -> int:
        """Rows it trains on."""
        return self._trainer.samples

    def learn(self, round_number: int, start: Adapter, frozen: Frozen | None, /) -> Update:
        """Trains the global adapter for one round, and gives the change."""
        local = self._trainer.train_round(round_number, start, frozen)
        self.loss = local.loss
        return local.update

    def sensitivity(self, round_number: int, /) -> Scores:
        """Sensitivity scores (F,) of the round's trained model."""
        return self._trainer.sensitivity(round_number)
