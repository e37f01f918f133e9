"""Messages made in one thread and sent by another, a few ahead.

The rule kept here: what makes a message runs in the caller's thread alone, and what it raises reaches the
caller; the channel's own thread does nothing but take finished messages. At most ``AHEAD`` of them wait, so
memory is bounded however slow the network is.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

AHEAD: Final = 4
"""Messages that may wait: enough to keep the network busy while the next window is made."""
_LOOK_S: Final = 0.1
"""Seconds between two looks of a full queue at whether the call is over."""


class PrefetchingCall:
    """One call with a stream of requests.

    Args:
        start: Starts the call with an iterator of requests, and gives its future (``grpc.Future``: ``done``,
            ``result``, ``cancel``).
    """

    def __init__(self, start: Callable[[Iterator[bytes]], Any]) -> None:
        self._start = start
        self._queue: queue.Queue[bytes | None] = queue.Queue(maxsize=AHEAD)

    def send(self, messages: Iterable[bytes]) -> bytes:
        """Make and send all messages, and wait for the reply.

        Raises:
            grpc.RpcError: if the call fails; the messages that are left are not made then.
            SecureFLError: whatever making a message raises; the call is cancelled then.
        """
        call = self._start(iter(self._queue.get, None))
        try:
            for message in messages:
                if not self._put(message, call):
                    break
            self._put(None, call)
            reply: bytes = call.result()
        finally:
            call.cancel()
            self._release()
        return reply

    def _put(self, message: bytes | None, call: Any) -> bool:
        """Hand one message over; False if the call is over."""
        while not call.done():
            try:
                self._queue.put(message, timeout=_LOOK_S)
            except queue.Full:
                continue
            return True
        return False

    def _release(self) -> None:
        """Let the channel's thread end, wherever it waits."""
        while True:
            try:
                self._queue.put_nowait(None)
            except queue.Full:
                self._discard_one()
            else:
                return

    def _discard_one(self) -> None:
        try:
            self._queue.get_nowait()
        except queue.Empty:
            # The channel's thread was faster: there is room now.
            return
