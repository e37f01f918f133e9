"""Names and addresses: their forms, and for a text of another form what was probably meant."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

from securefl.config.values import shown

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ADDRESS = re.compile(r"\[?[A-Za-z0-9.:_-]+\]?:[0-9]{1,5}")
_MAX_PORT = 65535
_USUAL_PORT = 7443


def checked_name(text: str) -> str:
    """A name of a client or a federation.

    Raises:
        ValueError: if it has another form, with the nearest name that has the right one.
    """
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"it is {shown(text)}; a name has 1 to 63 lower-case letters a-z, digits, - and _, and begins with a "
            f'letter or a digit: write "{_suggested(text)}"'
        )
    return text


def _suggested(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_-]+", "-", plain).strip("-_")[:63].rstrip("-_") or "client-1"


def checked_address(text: str) -> str:
    """``host:port``, with an IPv6 address in brackets.

    Raises:
        ValueError: if it has another form, with what to write instead.
    """
    problem = _problem_of_address(text)
    if problem is not None:
        host = _host_in(text)
        raise ValueError(f'it is {shown(text)}, {problem}: write host:port, such as "{host}"')
    return text


def _problem_of_address(text: str) -> str | None:
    scheme, separator, rest = text.partition("://")
    if separator:
        return f"and {scheme}:// does not belong there"
    if "/" in rest or "/" in scheme:
        return "and a path does not belong there"
    if re.fullmatch(r":[0-9]*", text):
        return "which has no host (0.0.0.0 listens at every address, and client_address says where clients find it)"
    if not _ADDRESS.fullmatch(text):
        return "which has no port" if not re.search(r":[0-9]*$", text) else "which is no address"
    if int(text.rpartition(":")[2]) > _MAX_PORT:
        return f"and the port must be between 0 and {_MAX_PORT} (0 takes a free one)"
    return None


def _host_in(text: str) -> str:
    """The address that was probably meant."""
    bare = re.sub(r"^[^:/]*://", "", text).partition("/")[0].rpartition("@")[2]
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):?([0-9]*)", bare)
    if found is None:
        return "fl.example.org:7443"
    port = int(found[2]) if re.fullmatch(r"[0-9]{1,5}", found[2]) else _USUAL_PORT
    return f"{found[1]}:{port if port <= _MAX_PORT else _USUAL_PORT}"


def split_host_port(address: str) -> tuple[str, int]:
    """Host, without brackets, and port of ``host:port`` or ``[v6]:port``."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def join_host_port(host: str, port: int) -> str:
    """The inverse of ``split_host_port``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_everywhere(host: str) -> bool:
    """Say if a host stands for every address of a machine (0.0.0.0, ::): one to listen at, not to connect to."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == "0"


Name = Annotated[str, AfterValidator(checked_name)]
Address = Annotated[str, AfterValidator(checked_address)]
