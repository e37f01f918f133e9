"""A server that is watched: every message is written down as it is inside TLS, for ``securefl run --witness``."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from securefl.transport.telemetry import Direction, Observer

MESSAGES: Final = "messages"
"""File of all messages, one after the other."""


def record_messages(folder: Path) -> Observer:
    """Make an observer that appends every message, sent or received, to the folder's file of messages.

    Args:
        folder: Private, of the run.
    """
    path, lock = folder / MESSAGES, threading.Lock()
    path.touch()

    def observe(direction: Direction, method: str, message: bytes) -> None:
        with lock, path.open("ab") as file:
            file.write(message)

    return observe
