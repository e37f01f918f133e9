"""Virtual time: seconds that pass only when nothing is left to do at the present one.

The rule kept here: actions run one after the other, by time, and at one time in the order in which they were planned;
so a run is a function of what is planned, and of nothing else.

    >>> clock, seen = Clock(), []
    >>> _ = clock.after(2, lambda: seen.append("late"))
    >>> cancelled = clock.after(1, lambda: seen.append("never"))
    >>> cancelled.cancel()
    >>> clock.run(until=lambda: bool(seen), limit=10)
    >>> seen, clock.now()
    (['late'], 2.0)
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from securefl.errors import StateError

Action = Callable[[], None]


@dataclass(order=True, slots=True)
class Planned:
    """An action at its time; ``cancel`` makes it none."""

    time: float
    order: int
    action: Action | None = field(compare=False)

    def cancel(self) -> None:
        """Have it not happen."""
        self.action = None


class Clock:
    """The clock of one world, at 0 when it is made."""

    def __init__(self) -> None:
        self._now = 0.0
        self._order = count()
        self._planned: list[Planned] = []

    def now(self) -> float:
        """Seconds since the beginning."""
        return self._now

    def after(self, seconds: float, action: Action) -> Planned:
        """Have an action happen so many seconds from now.

        What is to happen later happens at a later time, also where the seconds are fewer than the clock can add: who
        asks again and again for the rest of a wait would else stand still.
        """
        soonest = math.nextafter(self._now, math.inf) if seconds > 0 else self._now
        planned = Planned(max(soonest, self._now + seconds), next(self._order), action)
        heapq.heappush(self._planned, planned)
        return planned

    def run(self, *, until: Callable[[], bool], limit: float) -> None:
        """Carry out what is planned, until a condition holds.

        Args:
            until: Asked after every action.
            limit: Latest time, seconds.

        Raises:
            StateError: if nothing is planned any more, or the time is up, and the condition does not hold.
        """
        while not until():
            if not self._planned:
                raise StateError(f"the world stands still at {self._now:.1f} s")
            planned = heapq.heappop(self._planned)
            if planned.time > limit:
                raise StateError(f"the world has not come to its end within {limit:g} s")
            self._now = planned.time
            action, planned.action = planned.action, None
            if action is not None:
                action()


class SkewedClock:
    """One machine's view of the time: it only grows, as ``time.monotonic``, but jumps and starts where it likes.

    Args:
        clock: The world's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = 0.0

    def now(self) -> float:
        """Seconds since a start that nobody else knows."""
        return self._clock.now() + self._offset

    def jump(self, seconds: float) -> None:
        """Put the clock forward; what is planned by the world's clock stays where it is."""
        self._offset += seconds

    def begin_at(self, seconds: float) -> None:
        """Begin anew, as after the start of a machine; only between two processes."""
        self._offset = seconds - self._clock.now()
