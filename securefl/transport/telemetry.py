"""Observers of what travels: every message as the bytes inside TLS, on either side.

The rule kept here: an observer sees exactly the bytes that grpc is given or gives, before they are parsed and
whether or not they are accepted; it cannot change them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum


class Direction(Enum):
    """Direction of a message, seen from the process that observes."""

    SENT = "sent"
    RECEIVED = "received"


Observer = Callable[[Direction, str, bytes], None]
"""Called with the direction, the method's name and one message; from any thread, and never for long."""


def nobody(direction: Direction, method: str, message: bytes) -> None:
    """Observe nothing: for a caller that does not want to see messages."""


class ByteCounter:
    """An observer that adds up message bytes.

    Attributes:
        sent: Bytes of all messages sent so far.
        received: Bytes of all messages received so far.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self._lock = threading.Lock()

    def __call__(self, direction: Direction, method: str, message: bytes) -> None:
        """Count one message."""
        with self._lock:
            if direction is Direction.SENT:
                self.sent += len(message)
            else:
                self.received += len(message)


def observers(*everyone: Observer) -> Observer:
    """One observer that passes every message on to several."""

    def observe(direction: Direction, method: str, message: bytes) -> None:
        for observer in everyone:
            observer(direction, method, message)

    return observe
