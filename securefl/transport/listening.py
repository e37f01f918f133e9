"""A port to listen at, or one sentence on why there is none."""

from __future__ import annotations

import errno
import socket
from typing import Any

from securefl.errors import ConfigError
from securefl.transport.diagnosis import split_address
from securefl.transport.grpc_tls import grpc


def bind(server: Any, address: str, credentials: grpc.ServerCredentials) -> str:
    """Give a server (``grpc.aio.Server``) its port; 0 takes a free one.

    Returns:
        The address with the port it really has.

    Raises:
        ConfigError: if it cannot listen there.
    """
    host, port = split_address(address)
    _refuse_taken(host, port)
    try:
        bound = server.add_secure_port(address, credentials)
    except RuntimeError:
        reason = "the address is none of this machine's, or needs more rights"
        raise _cannot_listen(host, port, reason) from None
    return f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"


def _refuse_taken(host: str, port: int) -> None:
    """Refuse a port that is taken on one of the host's addresses: grpc is content with any of them that is free."""
    for family, kind, protocol, _, address in _addresses(host, port):
        with socket.socket(family, kind, protocol) as probe:
            # As grpc does, so that connections of an earlier server that still linger are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise _cannot_listen(host, port, "the port is in use by another program") from None


def _addresses(host: str, port: int) -> list[tuple[Any, ...]]:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError:
        raise _cannot_listen(host, port, "the host is not known") from None


def _cannot_listen(host: str, port: int, reason: str) -> ConfigError:
    return ConfigError(
        f"the server cannot listen at {host}:{port}",
        hint=f"{reason}; choose another address in [server] or with --address (port 0 takes a free one)",
    )
