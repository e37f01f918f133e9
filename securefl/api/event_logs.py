"""Events as figures in a tracker that people look at: TensorBoard or MLflow.

The rule kept here: what is written is figures by round and member, which stand in the members' results as well, and
goes nowhere but to the place that its caller names. A tracker that fails while a federation runs is given up, and told
of once; it never ends the federation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from securefl.api.trackers import MLflowTracker, TensorBoardTracker, Tracker
from securefl.errors import UsageError
from securefl.progress import (
    Event,
    EventSink,
    Failed,
    Finished,
    MetricMeasured,
    RoundFinished,
    RoundMeasured,
    Warned,
)

_TRACKERS: dict[str, Callable[[str, str], Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "mlflow": MLflowTracker,
}
_HINT = "write tensorboard:DIR, such as tensorboard:logs, or mlflow:URI, such as mlflow:http://127.0.0.1:5000"


@contextmanager
def log_events(
    target: str, *, run: str = "securefl", on_event: EventSink | None = None
) -> Iterator[EventSink]:
    """Give an event sink that writes the figures of a run to TensorBoard or MLflow.

    By round and member: the mean training loss, the norm of the mean update, what a sketch missed of it, bytes up and
    down, seconds by phase and in all, and the metrics of the global adapter on the member's validation rows; after the
    last round the metrics of its adapters on the test rows. No key, update or text has an event that it could stand in.

    Args:
        target: ``tensorboard:DIR``, where each member has a folder of event files, or ``mlflow:URI`` of a tracking
            server or database, where each member is a run of one experiment.
        run: Name of the run: a folder in DIR, or the experiment.
        on_event: Takes every event as well, and a ``Warned`` if the tracker fails while the run goes on.

    Raises:
        UsageError: if the target names neither, the tracker's library is not installed, or the place cannot be used.

    Example:
        >>> from securefl import load_federation, log_events, run_federation
        >>> with log_events("tensorboard:logs", run="banks") as sink:  # doctest: +SKIP
        ...     run_federation(load_federation("FED.toml"), on_event=sink)
    """
    log = _EventLog(_opened(target, run), target=target, on_event=on_event or _unheard)
    failed = True
    try:
        yield log
        failed = False
    finally:
        log.close(failed=failed)


def _opened(target: str, run: str) -> Tracker:
    kind, _, place = target.partition(":")
    if kind not in _TRACKERS or not place:
        raise UsageError(f"'{target}' names no tracker of events", hint=_HINT)
    try:
        return _TRACKERS[kind](place, run)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("securefl"):
            raise
        raise UsageError(f"the package '{error.name}' is not installed", hint=f"pip install {kind}") from None
    except OSError as error:
        raise UsageError(
            f"figures cannot be written to '{target}'", hint=error.strerror or "see that it can be reached"
        ) from None


class _EventLog:
    """The sink: gathers a member's figures, and writes them at the end of each of its rounds."""

    def __init__(self, tracker: Tracker, *, target: str, on_event: EventSink) -> None:
        self._tracker: Tracker | None = tracker
        self._target = target
        self._on_event = on_event
        # Events come from any thread, and no tracker is to be called from two.
        self._lock = threading.Lock()
        self._figures: dict[tuple[str, int], dict[str, float]] = {}

    def __call__(self, event: Event) -> None:
        self._on_event(event)
        with self._lock:
            self._note(event)

    def close(self, *, failed: bool) -> None:
        """Write what is left, and end the run in the tracker, as one that failed or did not."""
        with self._lock:
            for member in {member for member, _ in self._figures}:
                self._write(member)
            self._attempt(lambda tracker: tracker.close(failed=failed))

    def _note(self, event: Event) -> None:
        match event:
            case RoundMeasured(member=member, round_number=number, figure=figure, value=value):
                self._keep(member, number, figure, value)
            case MetricMeasured(member=member, round_number=int(number), rows="test"):
                self._keep(member, number, f"test/{event.adapter.value}/{event.metric}", event.value)
            case RoundFinished(member=member, round_number=number, seconds=seconds):
                if number >= 1:
                    self._keep(member, number, "seconds/round", seconds)
                self._write(member)
            case Finished(member=member) | Failed(member=member):
                self._write(member)
            case _:
                pass

    def _keep(self, member: str, number: int, figure: str, value: float) -> None:
        self._figures.setdefault((member, number), {})[figure] = value

    def _write(self, member: str) -> None:
        for place in sorted(place for place in self._figures if place[0] == member):
            self._attempt(partial(_written, place=place, figures=self._figures.pop(place)))

    def _attempt(self, call: Callable[[Tracker], Any]) -> None:
        """Call the tracker; one that fails is not called again."""
        tracker = self._tracker
        if tracker is None:
            return
        try:
            call(tracker)
        except tracker.failures as error:
            self._tracker = None
            self._on_event(
                Warned(
                    member="",
                    message=f"no further figures are written to {self._target} ({type(error).__name__}): the run goes "
                    "on without",
                )
            )


def _written(tracker: Tracker, *, place: tuple[str, int], figures: Mapping[str, float]) -> None:
    tracker.write(*place, figures)


def _unheard(_: Event) -> None:
    """An event sink for a caller who listens to nothing."""
