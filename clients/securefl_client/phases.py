"""A client's stopwatch: seconds by phase for its result, and the same phases as events for whoever watches.

A stage of the aggregation (``StageClock``) is the phase of the same name.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from securefl.aggregation.clock import Stage
from securefl.progress import EventSink, Phase, PhaseEnded, PhaseStarted, StepProgress

Item = TypeVar("Item")
_SMALLEST_STEP = 0.02
"""Progress is reported in steps of at least this fraction, so that a pipe never fills with it."""


class PhaseClock:
    """Times the phases of one member's rounds.

    Args:
        member: Who reports.
        emit: Where events go.
    """

    def __init__(self, member: str, emit: EventSink) -> None:
        self._member = member
        self._emit = emit
        self._seconds: dict[int | None, dict[Phase, float]] = defaultdict(lambda: defaultdict(float))
        self._inside: list[float] = []
        self._round: int | None = None
        self._reported = 0.0

    @contextmanager
    def phase(self, phase: Phase, round_number: int | None) -> Iterator[None]:
        """Time what happens inside as ``phase`` of a round, or of none; several stretches of one phase add up."""
        self._emit(PhaseStarted(member=self._member, round_number=round_number, phase=phase))
        self._round, self._reported = round_number, 0.0
        before = self._seconds[round_number][phase]
        with self._stretch(phase, round_number):
            yield
        seconds = self._seconds[round_number][phase] - before
        self._emit(PhaseEnded(member=self._member, round_number=round_number, phase=phase, seconds=seconds))

    def stage(self, stage: Stage, round_number: int) -> AbstractContextManager[None]:
        """Time a stage as the phase of its name."""
        return self.phase(Phase(stage.value), round_number)

    def through(self, stage: Stage, round_number: int, source: Iterable[Item]) -> Iterator[Item]:
        """The items of ``source``, the making of each counted as this stage and not as the phase around it."""
        items, phase = iter(source), Phase(stage.value)
        while True:
            try:
                with self._stretch(phase, round_number):
                    item = next(items)
            except StopIteration:
                return
            yield item

    @contextmanager
    def _stretch(self, phase: Phase, round_number: int | None) -> Iterator[None]:
        """Add what happens inside to a phase, without the stretches inside it."""
        self._inside.append(0.0)
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            self._seconds[round_number][phase] += seconds - self._inside.pop()
            if self._inside:
                self._inside[-1] += seconds

    def progress(self, phase: Phase, fraction: float) -> None:
        """Tell how far a phase of the current round is, where that has changed enough to be worth a line."""
        # Work of one phase may come in several pieces, each counting from 0.
        self._reported = min(self._reported, fraction)
        if fraction - self._reported >= _SMALLEST_STEP:
            self._reported = fraction
            self._emit(
                StepProgress(member=self._member, round_number=self._round, phase=phase, fraction=fraction)
            )

    def seconds(self, round_number: int) -> dict[str, float]:
        """Wall seconds of a round by phase."""
        return {phase.value: seconds for phase, seconds in self._seconds[round_number].items()}
