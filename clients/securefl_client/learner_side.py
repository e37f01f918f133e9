"""A member's side with a model of its own: it measures every global adapter, and keeps the last one."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from securefl.adapters.update import Adapter
from securefl.progress import AdapterKind, EventSink, MetricMeasured, Phase
from securefl.results.client import MetricReport
from securefl.storage.disk import make_private_folder
from securefl.storage.private import write_private
from securefl.training.figure_order import LOSS
from securefl.training.kept import Json, Kept, adapter_of, joined, kept_adapter
from securefl_client.kept_side import read_kept, write_kept
from securefl_client.learner import CheckedLearner
from securefl_client.phases import PhaseClock
from securefl_client.side import Measured

ADAPTER_FILE = "adapter.npz"


class LearnerSide:
    """Work of a ``Learner`` of a member's own beside the sum.

    Args:
        learner: Its model and data.
        member: The member's id.
        clock: Times the phases.
        emit: Where events go.

    Attributes:
        adapter: The newest global adapter, at this member's rank.
        metrics: The learner's metrics of it.
    """

    loss: float | None = None
    device: str | None = None
    precision: str | None = None

    def __init__(self, learner: CheckedLearner, *, member: str, clock: PhaseClock, emit: EventSink) -> None:
        self.learner = learner
        self.adapter = Adapter(weights={}, heads={})
        self.metrics: Mapping[str, float] = {}
        self._base: Mapping[str, float] = {}
        self._member = member
        self._clock = clock
        self._emit = emit

    @property
    def start_loss(self) -> float | None:
        """The learner's ``loss`` of the newest global adapter, or of the start; it tells of no single rows."""
        return (self.metrics or self._base).get(LOSS)

    def begin(self, adapter: Adapter) -> None:
        """Measure the base model; a learner that cannot measure shows before anything was sent."""
        self._base = self._measured(adapter, AdapterKind.BASE, None)

    def figures_of_start(self, adapter: Adapter) -> Mapping[str, float]:
        """The base model's metrics, which are the start's: its factors change nothing."""
        return self._base

    def uploaded(self, round_number: int) -> None:
        """Do nothing: a learner has nothing to do while the others are at work."""

    def install(self, adapter: Adapter, round_number: int) -> Mapping[str, float]:
        """Keep the global adapter, and measure it."""
        self.adapter = adapter
        self.metrics = self._measured(adapter, AdapterKind.GLOBAL, round_number)
        return self.metrics

    def keep(self, folder: Path, name: str) -> None:
        """Write the newest adapter and its metrics, and what the learner itself wants kept; see ``Side``."""
        kept = joined(
            adapter=kept_adapter(self.adapter),
            metrics=Kept({}, {"of": dict(self.metrics), "base": dict(self._base)}),
            learner=Kept(self.learner.kept()),
        )
        write_kept(folder / name, kept)

    def restore(self, folder: Path, name: str) -> None:
        """Go on from such a file; see ``Side``."""
        kept = read_kept(folder / name)
        figures = kept.under("metrics").values
        self.adapter = adapter_of(kept.under("adapter"))
        self.metrics, self._base = _figures(figures.get("of")), _figures(figures.get("base"))
        self.learner.restore(kept.under("learner").arrays)

    def finish(self, folder: Path, round_number: int) -> Measured:
        """Save the last global adapter, and report its main metric beside the base model's."""
        with self._clock.phase(Phase.SAVE, round_number):
            make_private_folder(folder / "global")
            # Not by the umask, which is the whole process's: other members may be threads of it.
            write_private(folder / "global" / ADAPTER_FILE, adapter_bytes(self.adapter))
        name, value = next(iter(self.metrics.items()))
        return Measured(
            MetricReport(
                name=name,
                base=self._base.get(name),
                local=None,
                global_=value,
                fused=None,
                f1=None,
                samples=None,
                worth=None,
            )
        )

    def _measured(self, adapter: Adapter, kind: AdapterKind, round_number: int | None) -> Mapping[str, float]:
        with self._clock.phase(Phase.EVALUATE, round_number):
            metrics = self.learner.evaluate(adapter.copy())
        for name, value in metrics.items():
            self._emit(
                MetricMeasured(
                    member=self._member,
                    round_number=round_number,
                    adapter=kind,
                    metric=name,
                    value=value,
                    rows="validation",
                )
            )
        return metrics


def _figures(value: Json) -> Mapping[str, float]:
    """Figures by name, as they were kept."""
    if not isinstance(value, dict):
        return {}
    return {name: figure for name, figure in value.items() if isinstance(figure, int | float)}


def adapter_bytes(adapter: Adapter) -> bytes:
    """An adapter as a numpy archive: ``<weight>/A`` (r, n), ``<weight>/B`` (m, r) and ``<head>``, float64."""
    arrays = {f"{name}/A": pair.A for name, pair in adapter.weights.items()}
    arrays |= {f"{name}/B": pair.B for name, pair in adapter.weights.items()}
    arrays |= dict(adapter.heads)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
