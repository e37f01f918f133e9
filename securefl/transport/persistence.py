"""Tries of one request over a bad line: pauses that grow and are spread by chance, and an end to them.

The rule kept here: whoever makes progress goes on, and whoever makes none gives up after a bounded time and a bounded
number of tries. Pauses are drawn at random, so that the members that a restarted server lost do not all come back in
one moment; the generator can be given, so that a test or a simulation repeats itself.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Final

from securefl.errors import TransportError
from securefl.transport.limits import Patience

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0


class Backoff:
    """Pauses between tries: each is from half of a length to all of it, and the length doubles.

    Args:
        jitter: Draws them.
    """

    def __init__(self, jitter: random.Random) -> None:
        self._jitter = jitter
        self._length_s = FIRST_PAUSE_S

    def next(self) -> float:
        """Seconds of the next pause."""
        length_s = self._length_s
        self._length_s = min(2 * length_s, LONGEST_PAUSE_S)
        return length_s * self._jitter.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin with short pauses again."""
        self._length_s = FIRST_PAUSE_S


class Persistence:
    """Tries of one request.

    Args:
        patience: At least ``attempts`` tries are made, and tries go on for ``reconnect_s`` without progress.
        jitter: Draws the pauses.
        closed: Set when nobody waits for the request any more.
    """

    def __init__(self, patience: Patience, *, jitter: random.Random, closed: threading.Event) -> None:
        self._patience = patience
        self._backoff = Backoff(jitter)
        self._closed = closed
        self.progress()

    def progress(self) -> None:
        """Note that something arrived: patience begins anew."""
        self._tries = 0
        self._since = time.monotonic()
        self._backoff.reset()

    def pause(self, error: TransportError) -> None:
        """Wait before the next try.

        Raises:
            TransportError: the error that was given, if there is to be no next try.
        """
        self._tries += 1
        spent_s = time.monotonic() - self._since
        if self._tries >= self._patience.attempts and spent_s >= self._patience.reconnect_s:
            raise error
        if self._closed.wait(self._backoff.next()):
            raise error
