"""A TCP proxy between a client and a server on this machine: it cuts connections, and is a slow or a long line."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BLOCK_BYTES = 4096
NO_LOSSES: Iterator[int] = iter(())


class ShapingProxy:
    """Carries bytes in both directions until a connection is cut.

    Args:
        target: ``host:port`` of the server.
        bits_per_s: What each direction carries; None: as much as it can.
        latency_s: Seconds that a block takes one way.
        losses: Lengths, in bytes, after which a connection breaks, one for each connection in turn.
    """

    def __init__(
        self,
        target: str,
        *,
        bits_per_s: float | None = None,
        latency_s: float = 0.0,
        losses: Iterator[int] = NO_LOSSES,
    ) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._bits_per_s = bits_per_s
        self._latency_s = latency_s
        self._losses = losses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.cuts = 0
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """Breaks every connection that is open."""
        with self._lock:
            broken, self._open = self._open, set()
            self.cuts += bool(broken)
        for end in broken:
            self._break(end)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._carry(client)

    def _carry(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, 10)
        except OSError:
            client.close()
            return
        with self._lock:
            self._open |= {client, server}
        left = [next(self._losses, 1 << 62)]
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, sink, left), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, left: list[int]) -> None:
        with suppress(OSError):
            while data := source.recv(BLOCK_BYTES):
                time.sleep(self._latency_s)
                if self._bits_per_s is not None:
                    time.sleep(len(data) * 8 / self._bits_per_s)
                left[0] -= len(data)
                if left[0] < 0:
                    self.cuts += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with self._lock:
                self._open.discard(end)
            self._break(end)

    @staticmethod
    def _break(end: socket.socket) -> None:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def shaped(
    target: str,
    *,
    bits_per_s: float | None = None,
    latency_s: float = 0.0,
    losses: Iterator[int] = NO_LOSSES,
) -> Iterator[ShapingProxy]:
    """A proxy for as long as a test needs it."""
    proxy = ShapingProxy(target, bits_per_s=bits_per_s, latency_s=latency_s, losses=losses)
    try:
        yield proxy
    finally:
        proxy.close()
