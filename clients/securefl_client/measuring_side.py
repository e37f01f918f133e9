"""The half of a member's side that is the same for every trainer: its reports, and what outlives a stop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from securefl.progress import AdapterKind, EventSink, MetricMeasured, Warned
from securefl.training.kept import Kept, joined, kept_metric, metric_of
from securefl_client.kept_side import read_kept, write_kept
from securefl_client.phases import PhaseClock
from securefl_client.validation_history import ValidationHistory

if TYPE_CHECKING:
    from securefl.training.tasks.base import Metric


class Trained(Protocol):
    """A trainer, as far as its reports and its private state go."""

    loss: float

    @property
    def device(self) -> str:
        """Device that it trains on."""
        ...

    @property
    def precision(self) -> str:
        """Precision that it trains in."""
        ...

    def kept(self) -> Kept:
        """All that later rounds depend on."""
        ...

    def restore(self, kept: Kept) -> None:
        """Go on from what was kept after a round."""
        ...


class MeasuringSide:
    """A side whose trainer measures every global adapter on validation rows.

    Args:
        trainer: The member's trainer.
        member: The member's id.
        clock: Times the phases.
        emit: Where events go.
    """

    def __init__(self, trainer: Trained, *, member: str, clock: PhaseClock, emit: EventSink) -> None:
        self._reported = trainer
        self._member = member
        self._clock = clock
        self._emit = emit
        self._history = ValidationHistory()
        self._newest: Metric | None = None

    @property
    def loss(self) -> float | None:
        """Mean training loss of the last round, nats."""
        return self._reported.loss

    @property
    def start_loss(self) -> float | None:
        """Mean validation loss of the newest global adapter, nats, each row's cut; see ``Metric.bounded_loss``."""
        return None if self._newest is None else self._newest.bounded_loss

    @property
    def device(self) -> str | None:
        """Device that it trains on."""
        return self._reported.device

    @property
    def precision(self) -> str | None:
        """Precision that it trains in."""
        return self._reported.precision

    def keep(self, folder: Path, name: str) -> None:
        """Write all that later rounds depend on; see ``Side``."""
        newest = None if self._newest is None else kept_metric(self._newest)
        kept = joined(trainer=self._reported.kept(), history=self._history.kept(), newest=newest)
        write_kept(folder / name, kept)

    def restore(self, folder: Path, name: str) -> None:
        """Go on from such a file; see ``Side``."""
        kept = read_kept(folder / name)
        self._reported.restore(kept.under("trainer"))
        self._history.restore(kept.under("history"))
        self._newest = metric_of(kept.under("newest")) if kept.has("newest") else None

    def _warn(self, message: str | None) -> None:
        """Tell a person of something that looks wrong; None for nothing."""
        if message is not None:
            self._emit(Warned(member=self._member, message=message))

    def _tell(
        self, kind: AdapterKind, metric: Metric, number: int, *, rows: Literal["test", "validation"] = "test"
    ) -> Metric:
        """Report a metric, and give it back."""
        self._emit(
            MetricMeasured(
                member=self._member,
                round_number=number,
                adapter=kind,
                metric=metric.name,
                value=metric.value,
                rows=rows,
            )
        )
        return metric
