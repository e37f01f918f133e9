"""A member's side with a base model of its own: its model trained alone beside the one with the shared adapter.

In a result ``local`` is the member's model trained alone, by the same steps as both phases of a round take, and
``global`` the member's model with the shared adapter; nothing is fused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.adapters.update import Adapter
from securefl.progress import AdapterKind, EventSink, Phase
from securefl.results.client import AdapterName
from securefl.results.curve import START
from securefl.storage.disk import owner_only
from securefl_client.measuring_side import MeasuringSide
from securefl_client.phases import PhaseClock
from securefl_client.side import FIRST_ROUND, Measured
from securefl_client.trainer_side import measured_record, metric_report, worth_report

if TYPE_CHECKING:
    from securefl.training.mixed_backbones.backbone_trainer import BackboneTrainer, Column
    from securefl.training.tasks.base import Metric

_COLUMNS: Mapping[AdapterName, Column] = {"local": "personal", "global": "global"}
"""By their names in a result, those of the trainer, which are also the names of the saved folders."""


class BackboneSide(MeasuringSide):
    """Work of a ``BackboneTrainer`` beside the sum.

    Args:
        trainer: The member's model, data and private parts.
        member: The member's id.
        clock: Times the phases.
        emit: Where events go.
    """

    def __init__(self, trainer: BackboneTrainer, *, member: str, clock: PhaseClock, emit: EventSink) -> None:
        super().__init__(trainer, member=member, clock=clock, emit=emit)
        self.learner = trainer
        self._trainer = trainer

    def begin(self, adapter: Adapter) -> None:
        """Do nothing: a trainer takes the adapter up when it trains."""

    def figures_of_start(self, adapter: Adapter) -> Mapping[str, float]:
        """Figures of the untrained model with the shared adapter's start, on the validation rows."""
        return self._installed(adapter, FIRST_ROUND, known_as=START).figures

    def uploaded(self, round_number: int) -> None:
        """Train the model alone while the others are still at work."""
        with self._clock.phase(Phase.PERSONAL, round_number):
            self._trainer.train_alone(round_number)

    def install(self, adapter: Adapter, round_number: int) -> Mapping[str, float]:
        """Replace the shared adapter, and measure the member's model with it on the validation rows."""
        metric = self._installed(adapter, round_number, known_as=round_number)
        return self._tell(AdapterKind.GLOBAL, metric, round_number, rows="validation").figures

    def finish(self, folder: Path, round_number: int) -> Measured:
        """Measure both models on the test rows, and save them."""
        self._warn(self._history.warning())
        self._trainer.keep_best_alone()
        with self._clock.phase(Phase.EVALUATE, round_number):
            test: dict[str, Metric] = {
                "base": self._tell(AdapterKind.BASE, self._trainer.baseline(), round_number)
            }
            for name, which in _COLUMNS.items():
                test[name] = self._tell(AdapterKind(name), self._trainer.measure(which), round_number)
            validation: dict[str, Metric] = {
                name: self._trainer.measure(which, part="validation") for name, which in _COLUMNS.items()
            }
            metric = metric_report(test, worth=worth_report(test, validation))
        # The libraries that write adapters make their files for everybody; a member is a process of its own here.
        with self._clock.phase(Phase.SAVE, round_number), owner_only():
            for name, which in _COLUMNS.items():
                self._trainer.save(which, folder / which, measured=measured_record(metric, name))
        return Measured(metric)

    def _installed(self, adapter: Adapter, round_number: int, *, known_as: int) -> Metric:
        with self._clock.phase(Phase.REDISTRIBUTE, round_number):
            self._trainer.install_global(adapter)
        with self._clock.phase(Phase.EVALUATE, round_number):
            metric = self._newest = self._trainer.measure("global", part="validation")
        self._history.note(known_as, metric)
        return metric
