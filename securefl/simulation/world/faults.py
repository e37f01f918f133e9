"""Faults of a world: how often each happens, and the choices that one seed makes.

The rule kept here: everything that chance decides comes from one generator, in the order in which it is asked, so a
seed stands for one run.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Probabilities, each of one event; all zero is a world without faults.

    Attributes:
        request_lost: A request does not arrive.
        answer_lost: An answer does not arrive.
        request_twice: A request arrives twice, the second time later.
        request_late: A copy of a request arrives once more when others have come after it, even from a process that
            has ended meanwhile.
        chunk_lost: A connection breaks behind a piece of a body.
        announcement_lost: A stream of announcements breaks instead of bringing one.
        member_killed: A member's process ends at a step that it has just put on disk.
        server_killed: The server's process ends at a write that it has just put on disk.
        write_refused: A write to the server's disk fails, at times in its middle; the process ends with the error, and
            an operator starts it again.
        member_write_refused: The same of a member's disk.
        clock_jumps: The server's clock jumps at a call, as that of a machine that slept.
        jump_s: Longest jump, seconds.
        lost_for_good: A member's process that ends never comes back, while the roster bears it.
        latency_s: Longest time of a message on its way, seconds.
        pause_s: Longest time until a process that ended is started again, seconds.
        faultless_after_s: Time from which on nothing fails any more, so that a run comes to its end.
    """

    request_lost: float = 0.0
    answer_lost: float = 0.0
    request_twice: float = 0.0
    chunk_lost: float = 0.0
    announcement_lost: float = 0.0
    member_killed: float = 0.0
    server_killed: float = 0.0
    request_late: float = 0.0
    write_refused: float = 0.0
    member_write_refused: float = 0.0
    clock_jumps: float = 0.0
    jump_s: float = 100.0
    lost_for_good: float = 0.0
    latency_s: float = 0.05
    pause_s: float = 20.0
    faultless_after_s: float = 600.0


class Chance:
    """The choices of one seed.

    Args:
        seed: The world's.
        faults: Probabilities; after ``faultless_after_s`` nothing fails.
    """

    def __init__(self, seed: int, faults: Faults) -> None:
        self.faults = faults
        self._random = random.Random(seed)  # noqa: S311 - a simulation's choices

    def happens(self, probability: float, *, now: float) -> bool:
        """Tell if an event of this probability happens now."""
        # Drawn in any case, so that the choices after it do not depend on the time.
        drawn = self._random.random()
        return now < self.faults.faultless_after_s and drawn < probability

    def latency(self) -> float:
        """Seconds that the next message is on its way."""
        return self._random.uniform(0.001, self.faults.latency_s)

    def delay(self) -> float:
        """Seconds until a copy of a request arrives that was held up on its way."""
        return self._random.uniform(self.faults.latency_s, 40 * self.faults.latency_s)

    def jump(self) -> float:
        """Seconds that a clock jumps."""
        return self._random.uniform(0.0, self.faults.jump_s)

    def pause(self) -> float:
        """Seconds until the next start of a process that ended."""
        return self._random.uniform(0.1, self.faults.pause_s)

    def bytes(self, count: int) -> bytes:
        """Random bytes, for what the operating system would give; never outside of simulations."""
        return self._random.randbytes(count)
