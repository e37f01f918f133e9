"""Errors to gRPC statuses on the server, and statuses to errors on the client.

The rule kept here: a refusal travels as a status code and one plain sentence, and becomes the same kind of
error on the other side; only ``TransportError`` says that trying again may help.
"""

from __future__ import annotations

from typing import Final

from securefl.errors import AuthenticationError, ProtocolError, RunError, TransportError, WireError
from securefl.protocol.wire_fields import plain_words
from securefl.transport.grpc_tls import grpc

Code = grpc.StatusCode
_CODES: Final[tuple[tuple[type[RunError], grpc.StatusCode], ...]] = (
    (WireError, Code.INVALID_ARGUMENT),
    (ProtocolError, Code.FAILED_PRECONDITION),
    (AuthenticationError, Code.PERMISSION_DENIED),
    (TransportError, Code.UNAVAILABLE),
)
_PASSING: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED})
"""A broken connection, a server that goes down or does not answer in time."""


def status_of(error: RunError) -> tuple[grpc.StatusCode, str]:
    """The code and the sentence that a refusal travels as."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code, plain_words(str(error))
    return Code.ABORTED, plain_words(str(error))


def error_of(code: grpc.StatusCode, details: str | None, *, call: str) -> RunError:
    """Make the error that a status means to the caller.

    Args:
        code: The call's status, not ``OK``.
        details: What came with it: the server's sentence, or grpc's own words for a broken connection.
        call: The method's name.
    """
    if code in _PASSING:
        return TransportError(
            f"the connection to the server broke during '{call}'",
            hint="check that the server runs and is reachable",
        )
    if code is Code.UNIMPLEMENTED:
        return ProtocolError(
            f"the server speaks another version of the protocol, and does not know the call '{call}'",
            hint="install the same version of securefl everywhere",
        )
    sentence = plain_words(details or "").rstrip(".") or f"it gave no reason ({code.name})"
    for kind, known in _CODES:
        if code is known:
            return kind("the server refused", where=call, hint=sentence)
    return RunError("the server refused", where=call, hint=sentence)
