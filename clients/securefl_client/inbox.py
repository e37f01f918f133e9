"""Announcements of the server, collected by a background thread while the main thread works.

The rule kept here: announcements are a state, so only the newest is kept, however many a server sends; a failure is
kept whatever comes before or after it. The main thread never waits without a limit (so that signals reach it), and a
failure of the federation interrupts it at the next step of training instead of after it.

Nothing that a session needs is lost by that: what an announcement that was passed over asked for is over, and a member
fetches what it lacks (a cohort, the sum of an earlier round) when a later one finds it without.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Generic, TypeVar

from securefl.errors import RunError, SecureFLError, TransportError
from securefl.protocol.calls import FederationFailed
from securefl.protocol.member_session import failure_of

_POLL_S = 0.2


Heard = TypeVar("Heard")


class Inbox(Generic[Heard]):
    """The newest announcement, and the failure, if there is one.

    Args:
        announcements: An iterable that blocks until the next one; it may raise SecureFLError.
    """

    def __init__(self, announcements: Iterable[Heard]) -> None:
        self._news = threading.Condition()
        self._newest: Heard | None = None
        self._ended: SecureFLError | None = None
        self._failure: SecureFLError | None = None
        self._thread = threading.Thread(
            target=self._collect, args=(announcements,), name="follow", daemon=True
        )
        self._thread.start()

    @property
    def has_news(self) -> bool:
        """True where there is an announcement that has not been given yet."""
        return self._newest is not None

    def next(self) -> Heard:
        """Wait for an announcement that has not been given yet; the newest, where there are several.

        Raises:
            SecureFLError: whatever ended the stream, once everything before it has been given.
        """
        with self._news:
            while self._newest is None and self._ended is None:
                self._news.wait(_POLL_S)
            newest, self._newest = self._newest, None
            if newest is not None:
                return newest
            assert self._ended is not None
            raise self._ended

    def check(self) -> None:
        """Raise if the federation has failed meanwhile.

        Raises:
            SecureFLError: the failure.
        """
        if self._failure is not None:
            raise self._failure

    def check_soon(self, seconds: float) -> None:
        """Raise if the federation fails within so many seconds: its reason beats that of a call which failed with it.

        Raises:
            SecureFLError: the failure.
        """
        with self._news:
            self._news.wait_for(lambda: self._failure is not None, seconds)
        self.check()

    def _collect(self, announcements: Iterable[Heard]) -> None:
        try:
            for announcement in announcements:
                self._hear(announcement)
        except SecureFLError as error:
            self._end(error, failed=True)
        else:
            ended = TransportError("the server ended the connection before the federation was over")
            self._end(ended, failed=False)

    def _hear(self, announcement: Heard) -> None:
        with self._news:
            failure = _failure_in(announcement)
            if failure is not None:
                self._failure = self._failure or failure
            elif self._failure is not None:
                return
            self._newest = announcement
            self._news.notify_all()

    def _end(self, error: SecureFLError, *, failed: bool) -> None:
        with self._news:
            self._ended = error
            if failed:
                self._failure = self._failure or error
            self._news.notify_all()


def _failure_in(announcement: object) -> RunError | None:
    """The error that an announcement of a failed federation is; None in any other."""
    return failure_of(announcement) if isinstance(announcement, FederationFailed) else None
