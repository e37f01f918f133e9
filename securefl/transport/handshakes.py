"""Connections that never became a call: how a server notices what TLS refuses, which grpc tells nobody.

The rule kept here: a connection is counted when its TLS handshake begins, and counted off at its first call. One that
has made none in time was refused by TLS (a certificate of another authority, an expired one, none), or is no member's
program: a probe of the port, or a member that looks why it is refused. Nothing that the peer sent is kept or told.

grpc tells neither the peer of a handshake nor its end, so connections are counted, not known one by one: the event says
how many, and not whose.

Reference: grpc, ``dynamic_ssl_server_credentials``, whose fetcher is asked at every handshake.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import suppress
from typing import Final

from securefl.transport.refusals import Reason, Refusal, RefusalSink

PATIENCE_S: Final = 30.0
"""A member's first call follows its handshake at once; on a line of 1 Mbit/s within a second."""
MAX_PEERS: Final = 1 << 14
"""Addresses of connections with calls that are remembered: more than a server has open."""


class Handshakes:
    """A count of connections that wait for their first call; all but ``begun`` is for the event loop's thread.

    Args:
        refused: Told of connections that made none.
        patience_s: Seconds that a connection has for its first call.
    """

    def __init__(self, refused: RefusalSink, *, patience_s: float = PATIENCE_S) -> None:
        self._refused = refused
        self._patience_s = patience_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[float] = deque()
        self._peers: OrderedDict[str, None] = OrderedDict()
        self._look: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to count, on the running event loop."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Count no more."""
        self._loop = None
        if self._look is not None:
            self._look.cancel()

    def begun(self) -> None:
        """Count a handshake that begins; from any thread."""
        loop = self._loop
        if loop is not None:
            # A loop that is closed already has nobody to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wait)

    def called(self, peer: str) -> None:
        """Count a connection off at its first call.

        Args:
            peer: Its address, as grpc has it: ``ipv4:192.0.2.7:43112``.
        """
        if peer not in self._peers and self._waiting:
            # Which of those that wait it is, nobody can tell; the newest one, so that an old one is told in time.
            self._waiting.pop()
        self._peers[peer] = None
        self._peers.move_to_end(peer)
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)

    def _wait(self) -> None:
        if self._loop is not None:
            self._waiting.append(self._loop.time())
            self._look_later()

    def _look_later(self) -> None:
        if self._loop is not None and self._look is None and self._waiting:
            self._look = self._loop.call_at(self._waiting[0] + self._patience_s, self._tell)

    def _tell(self) -> None:
        """Tell how many have had their time."""
        self._look, count = None, 0
        assert self._loop is not None
        while self._waiting and self._waiting[0] + self._patience_s <= self._loop.time():
            self._waiting.popleft()
            count += 1
        if count:
            self._refused(Refusal(Reason.HANDSHAKE, b"", "handshake", count))
        self._look_later()
