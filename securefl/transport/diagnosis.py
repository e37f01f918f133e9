"""Reasons why a server cannot be reached, each in one sentence.

grpc reports every failed connection as UNAVAILABLE with a text that changes between versions. So after a
failure this module connects once itself, with Python's own sockets and TLS, and looks at what happens.

The rule kept here: nothing of the federation is sent, and the connection is closed before a first request.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from securefl.errors import ConfigError, IdentityError, SecureFLError, TransportError
from securefl.transport.proxies import leave_out, proxy_for, tunnel, unasked_proxies

ATTEMPT_TIMEOUT_S: Final = 3.0
# X509_V_ERR_ codes of OpenSSL's x509_vfy.h.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_WRONG_NAME: Final = frozenset({62, 64})


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Result of one attempt to reach a server.

    Attributes:
        error: What is wrong. ``TransportError`` where waiting may help (nothing listens yet, no answer),
            ``ConfigError`` or ``IdentityError`` where somebody must mend something.
        certain: Whether this attempt itself failed; if it was let in, or dropped without a word, the server may just
            have come up or gone.
    """

    error: SecureFLError
    certain: bool = True


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``.

    Raises:
        ConfigError: if it is neither.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ConfigError(
            f"'{address}' is no address", hint="write host:port with a port between 0 and 65535"
        )
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Tell if the host is this machine itself."""
    return host in {"localhost", "::1"} or host.startswith("127.")


def diagnose(address: str, authority: bytes) -> Diagnosis:
    """Connect to an address that a call has failed at, and say what happened.

    Args:
        address: ``host:port``.
        authority: The federation's TLS authority, in PEM.
    """
    host, port = split_address(address)
    proxy = None if is_loopback(host) else proxy_for(host, os.environ)
    if proxy is None:
        return _attempt(address, authority, lambda: socket.create_connection((host, port), ATTEMPT_TIMEOUT_S))
    try:
        through = tunnel(proxy, host, port, timeout_s=ATTEMPT_TIMEOUT_S)
    except SecureFLError as error:
        return Diagnosis(error)
    found = _attempt(address, authority, lambda: through)
    hint = f"{found.error.hint}; {proxy} stands between: {leave_out(host)}"
    return Diagnosis(type(found.error)(found.error.what, hint=hint), certain=found.certain)


def _attempt(address: str, authority: bytes, connect: Callable[[], socket.socket]) -> Diagnosis:
    """Result of beginning TLS on a connection to the server."""
    host, _ = split_address(address)
    context = ssl.create_default_context(cadata=authority.decode("ascii"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    try:
        with (
            connect() as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            return _let_in(connection, address)
    except ssl.SSLCertVerificationError as error:
        return Diagnosis(_untrusted(error.verify_code, address))
    except ssl.SSLError as error:
        return _no_tls(error, address)
    except ConnectionRefusedError:
        hint = "start the server there, or correct the address and port"
        return Diagnosis(TransportError(f"nothing listens at {address}", hint=hint))
    except socket.gaierror as error:
        return _no_such_name(error, host)
    except OSError:
        return Diagnosis(TransportError(f"{address} does not answer", hint=_network_hint()))


def _no_such_name(error: socket.gaierror, host: str) -> Diagnosis:
    if error.errno != socket.EAI_AGAIN:
        return Diagnosis(ConfigError(f"the host '{host}' is not known", hint="correct the server's address"))
    # No name server answered: a slip of the network is tried once more, a machine without one ends soon.
    hint = "correct the server's address, or mend this machine's name service"
    return Diagnosis(ConfigError(f"the host '{host}' cannot be looked up", hint=hint), certain=False)


def _network_hint() -> str:
    unasked = unasked_proxies(os.environ)
    if not unasked:
        return "check address, network and firewalls"
    return (
        f"check address, network and firewalls; {', '.join(unasked)} in the environment is not read by gRPC, which "
        "takes a proxy from https_proxy in small letters"
    )


def _let_in(connection: ssl.SSLSocket, address: str) -> Diagnosis:
    if connection.selected_alpn_protocol() != "h2":
        hint = "correct the address and port"
        return Diagnosis(ConfigError(f"{address} is no aggregator of securefl", hint=hint))
    # This attempt shows no certificate, so it cannot tell how the server liked the member's own.
    error = IdentityError(
        f"the server at {address} closed the connection on this member's certificate",
        hint="it is expired or of another federation; use the folder that 'securefl init' wrote for this one",
    )
    return Diagnosis(error, certain=False)


def _untrusted(verify_code: int, address: str) -> SecureFLError:
    if verify_code == _EXPIRED:
        return IdentityError(
            f"the certificate of the server at {address} has expired",
            hint="have the lead issue a new one",
        )
    if verify_code == _NOT_YET_VALID:
        return IdentityError(
            f"the certificate of the server at {address} is not valid yet", hint="set this machine's clock"
        )
    if verify_code in _WRONG_NAME:
        return IdentityError(
            f"the server's certificate is not for the host of {address}",
            hint="use the address that the federation was provisioned with",
        )
    return IdentityError(
        f"the server at {address} shows a certificate of another authority",
        hint="it serves another federation, or somebody stands between",
    )


def _no_tls(error: ssl.SSLError, address: str) -> Diagnosis:
    if error.reason == "WRONG_VERSION_NUMBER":
        hint = "it is no aggregator of securefl; correct the address and port"
        return Diagnosis(ConfigError(f"{address} answers without TLS", hint=hint))
    broken_off = ConfigError(
        f"{address} breaks off the TLS 1.3 handshake",
        hint="it is no aggregator of securefl, or something between cuts the connection",
    )
    return Diagnosis(broken_off, certain=False)
