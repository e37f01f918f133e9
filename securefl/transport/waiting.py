"""A wait for a server that is not up yet: told to people, and bounded.

The rule kept here: whoever waits knows for what and for how much longer, from the first failed try on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from securefl.errors import ConfigError, SecureFLError

TELL_EVERY_S: Final = 30.0
"""Seconds after which a wait for the server is told again."""
Awaiting = Callable[[str, float], None]
"""Called while the server is waited for, with the reason (the start of a sentence) and the seconds that are left."""


def tell_nobody(reason: str, seconds: float) -> None:
    """The ``Awaiting`` of a caller that does not care."""


class ServerWait:
    """A wait for the server: told when it begins and from time to time, and over after some seconds.

    Args:
        seconds: How long, from now.
        awaiting: Told of it.
    """

    def __init__(self, seconds: float, awaiting: Awaiting) -> None:
        self._seconds = seconds
        self._awaiting = awaiting
        self._deadline = time.monotonic() + seconds
        self._tell_at = 0.0

    def go_on(self, error: SecureFLError) -> None:
        """Raise what stands in the way once the time is over.

        Raises:
            ConfigError: the same sentence, of the kind that somebody must mend.
        """
        now = time.monotonic()
        if now > self._deadline:
            raise ConfigError(error.what, where=f"after {self._seconds:g} s", hint=error.hint)
        if now >= self._tell_at:
            self._tell_at = now + TELL_EVERY_S
            self._awaiting(error.what, self._deadline - now)
