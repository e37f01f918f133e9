"""What the server announces, collected by a background thread while the main thread works.

The rule kept here: the main thread never waits without a limit (so that signals reach it), and a failure of the
federation interrupts it at the next step of training instead of after it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable

from securefl.errors import SecureFLError, TransportError
from securefl.protocol.client_session import failure_of
from securefl.protocol.messages import Announcement, FederationFailed

_POLL_S = 0.2


class Inbox:
    """Announcements in the order in which they came.

    Args:
        announcements: An iterable that blocks until the next one; it may raise SecureFLError.
    """

    def __init__(self, announcements: Iterable[Announcement]) -> None:
        self._queue: queue.SimpleQueue[Announcement | SecureFLError] = queue.SimpleQueue()
        self._failure: SecureFLError | None = None
        self._failed = threading.Event()
        self._thread = threading.Thread(
            target=self._collect, args=(announcements,), name="follow", daemon=True
        )
        self._thread.start()

    def next(self) -> Announcement:
        """Waits for the next announcement.

        Raises:
            SecureFLError: whatever ended the stream.
        """
        while True:
            try:
                item = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if isinstance(item, SecureFLError):
                raise item
            return item

    def check(self) -> None:
        """Raises if the federation has failed meanwhile.

        Raises:
            SecureFLError: the failure.
        """
        if self._failure is not None:
            raise self._failure

    def check_soon(self, seconds: float) -> None:
        """Raises if the federation fails within so many seconds: its reason beats that of a call which failed with it.

        Raises:
            SecureFLError: the failure.
        """
        self._failed.wait(seconds)
        self.check()

    def _collect(self, announcements: Iterable[Announcement]) -> None:
        try:
            for announcement in announcements:
                if isinstance(announcement, FederationFailed):
                    self._fail(failure_of(announcement))
                self._queue.put(announcement)
        except SecureFLError as error:
            self._fail(error)
            self._queue.put(error)
        else:
            ended = TransportError("the server ended the connection before the federation was over")
            self._queue.put(ended)

    def _fail(self, failure: SecureFLError) -> None:
        self._failure = failure
        self._failed.set()
