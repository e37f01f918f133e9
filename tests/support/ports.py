"""Addresses of this machine where nothing listens, and where nothing begins to.

The kernel takes the ports of outgoing connections from a range of its own. A free port of that range may be taken a
moment later by any connection, and a client that calls it often enough, while nothing listens there, at last connects
to itself. So these are taken from below it.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUALLY = 32768
"""Where Linux begins with outgoing connections, if nobody has changed it."""
FROM = 16384
"""Above the ports of well-known servers, and of this project's examples."""
WORKERS = 16
"""Workers of xdist that have ports of their own: none takes what another has given out and not bound yet."""
_GIVEN: set[int] = set()
_LOCK = threading.Lock()


def free_port() -> int:
    """A port of the loopback address that nothing has, outside the range of outgoing connections; each one once."""
    with _LOCK:
        port = _free_port()
        _GIVEN.add(port)
    return port


def _free_port() -> int:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    end = int(RANGE.read_text().split()[0]) if RANGE.is_file() else USUALLY
    # Anew for each: the tests' own seeds must not give two processes the same ports.
    draw = random.SystemRandom()
    for _ in range(100 if end > FROM + 1000 else 0):
        port = draw.randrange(FROM + worker % WORKERS, end, WORKERS)
        if port in _GIVEN:
            continue
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    with socket.create_server(("127.0.0.1", 0)) as once:
        return int(once.getsockname()[1])


def free_address() -> str:
    """Host and port of it."""
    return f"127.0.0.1:{free_port()}"
