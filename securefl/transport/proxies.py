"""The proxy that stands between a client and its server, as gRPC finds it in the environment.

The rule kept here: what is said of a proxy is what gRPC does with it. It reads ``grpc_proxy``, ``https_proxy`` and
``http_proxy``, the first that is set, in small letters and as ``http://host:port`` only; it leaves the proxy out for a
host that ``no_grpc_proxy`` or ``no_proxy`` names, by the end of its name or by a network (192.0.2.0/24).

Reference: gRPC, doc/environment_variables.md; src/core/handshaker/http_connect/http_proxy_mapper.cc; RFC 9110, 9.3.6.
"""

from __future__ import annotations

import base64
import ipaddress
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from securefl.errors import ConfigError, TransportError

_ASKED: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_LEFT_OUT: Final = ("no_grpc_proxy", "no_proxy")
_ANSWER_BYTES: Final = 4096
_PASSING: Final = frozenset({502, 503, 504})
"""Answers of a proxy that could not reach the server just now: it may not be up yet."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that gRPC asks.

    Attributes:
        variable: The environment variable that names it.
        host: Its host.
        port: Its port.
        credentials: User and password, as the variable has them; "" for none.
    """

    variable: str
    host: str
    port: int
    credentials: str = field(default="", repr=False)

    def __str__(self) -> str:
        """The proxy's address and where it comes from; without its password."""
        return f"the proxy {self.host}:{self.port} ({self.variable} in the environment)"


def proxy_for(host: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy that gRPC asks for a host that is not this machine itself; None where it connects directly."""
    variable = next((name for name in _ASKED if name in environment), None)
    if variable is None or _is_left_out(host, environment):
        return None
    try:
        url = urlsplit(environment[variable])
        port = url.port or 80
    except ValueError:
        return None
    if url.scheme != "http" or not url.hostname:
        return None
    credentials = f"{url.username}:{url.password or ''}" if url.username is not None else ""
    return Proxy(variable, url.hostname, port, unquote(credentials))


def unasked_proxies(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that name a proxy for other programs and that gRPC does not read, such as ``HTTPS_PROXY``."""
    names = {"grpc_proxy", "https_proxy", "http_proxy", "all_proxy"}
    return tuple(
        sorted(
            name
            for name, value in environment.items()
            if name.lower() in names and name not in _ASKED and value
        )
    )


def leave_out(host: str) -> str:
    """Say what to do about a proxy that is in the way: a clause for a hint."""
    return f"if the server can be reached without it, start the client with no_proxy={host}"


def tunnel(proxy: Proxy, host: str, port: int, *, timeout_s: float) -> socket.socket:
    """A connection to a host through a proxy, made as gRPC makes it (CONNECT).

    Raises:
        ConfigError: if the proxy cannot be reached, or refuses.
        TransportError: if it says that the host does not answer it just now.
    """
    with ExitStack() as stack:
        try:
            connection = socket.create_connection((proxy.host, proxy.port), timeout_s)
        except OSError:
            raise ConfigError(
                f"{proxy} stands between this client and the server, and cannot be reached",
                hint=leave_out(host),
            ) from None
        stack.enter_context(connection)
        _connect(connection, proxy, host, port)
        # From here on it is the caller's to close.
        stack.pop_all()
    return connection


def _connect(connection: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.credentials:
        lines.append("Proxy-Authorization: Basic " + base64.b64encode(proxy.credentials.encode()).decode())
    try:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        status = _status(connection)
    except OSError:
        status = 0
    if status in _PASSING:
        raise TransportError(f"{proxy} does not reach {target} (HTTP {status})", hint=leave_out(host))
    if not 200 <= status < 300:
        said = f"refuses to connect to {target} (HTTP {status})" if status else "does not answer like a proxy"
        raise ConfigError(f"{proxy} {said}", hint=leave_out(host))


def _status(connection: socket.socket) -> int:
    """The status code of the proxy's answer, read to the end of its head; 0 where it is none."""
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _ANSWER_BYTES:
        piece = connection.recv(1)
        if not piece:
            return 0
        answer += piece
    words = answer.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit() else 0


def _is_left_out(host: str, environment: Mapping[str, str]) -> bool:
    variable = next((name for name in _LEFT_OUT if name in environment), None)
    entries = environment[variable].split(",") if variable else []
    return any(_covers(entry.strip().lower(), host.lower()) for entry in entries)


def _covers(entry: str, host: str) -> bool:
    if not entry:
        return False
    if host.endswith(entry):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
