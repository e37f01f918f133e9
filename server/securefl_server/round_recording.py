"""Figures of every round, from the core's events: when it began, how long it took, what went over the wire."""

from __future__ import annotations

from securefl.progress import (
    SERVER,
    Event,
    EventSink,
    Phase,
    PhaseEnded,
    RoundFinished,
    RoundStarted,
    RoundStepped,
)
from securefl.protocol.server_view import ServerView
from securefl.protocol.serving.round_events import Adverted, RoundDone
from securefl_server.record import Recorder
from securefl_server.round_news import STEPS


class RoundFigures:
    """An event sink that passes everything on, tells when rounds begin and end, and feeds the recorder.

    Args:
        view: What the server knows of the federation.
        recorder: Takes the figures.
        emit: Where events go.
    """

    def __init__(self, view: ServerView, recorder: Recorder, emit: EventSink) -> None:
        self._view = view
        self._recorder = recorder
        self._emit = emit
        self._open: int | None = None
        self._adding_s = 0.0

    def __call__(self, event: Event) -> None:
        """Take one event of the core."""
        if isinstance(event, PhaseEnded) and event.phase is Phase.AGGREGATE:
            self._adding_s += event.seconds
        if isinstance(event, RoundStepped) and event.step == STEPS[Adverted] and self._open is None:
            self._begin(event.round_number)
        self._emit(event)
        if isinstance(event, RoundStepped) and event.step == STEPS[RoundDone]:
            self._end(event.round_number)

    def _begin(self, number: int) -> None:
        self._open, self._adding_s = number, 0.0
        self._recorder.open_round()
        opening = number - self._view.first_round + 1
        what = f"sum {opening} of {len(self._view.openings)}" if number < 1 else ""
        self._emit(RoundStarted(member=SERVER, round_number=number, rounds=self._view.rounds, what=what))

    def _end(self, number: int) -> None:
        self._open = None
        figures = self._recorder.close_round(number, aggregate_seconds=self._adding_s)
        self._emit(RoundFinished(member=SERVER, round_number=number, seconds=figures.seconds))
