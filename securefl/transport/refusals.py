"""Refusals of a peer as named events: for the server's log and for whoever watches it.

The rule kept here: a refusal carries the name of its reason, the caller's certificate and the call, and nothing that
the peer sent. Of what TLS refuses (a certificate of another authority, one that had expired before the handshake, none
at all) no certificate reaches Python: ``handshakes`` counts such connections, and the member is told by ``diagnosis``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from securefl.errors import AuthenticationError, ProtocolError, RunError, TransportError, WireError


class Reason(Enum):
    """Reasons for which a call is refused, by stable names."""

    REVOKED = "revoked-certificate"
    EXPIRED = "expired-certificate"
    NOT_AUTHENTIC = "not-authentic"
    """A certificate that is no member's, a signature or a digest that does not hold."""
    MALFORMED = "malformed-message"
    OUT_OF_ORDER = "out-of-order"
    OPEN_CALLS = "too-many-open-calls"
    CALL_RATE = "too-many-calls"
    BYTES = "too-many-bytes"
    BROKEN_OFF = "broken-off"
    HANDSHAKE = "refused-handshake"
    """Connections that ended before their first call: refused by TLS, or no member's program."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One call that was refused.

    Attributes:
        reason: The name of the reason.
        certificate: SHA-256 of the caller's certificate in DER (32 bytes); empty where TLS let none through.
        call: Name of the call.
        count: Number of refusals that this tells of.
    """

    reason: Reason
    certificate: bytes
    call: str
    count: int = 1


RefusalSink = Callable[[Refusal], None]
"""Called once for every call that is refused, from the server's event loop, and never for long."""
_OF_ERROR: tuple[tuple[type[RunError], Reason], ...] = (
    (AuthenticationError, Reason.NOT_AUTHENTIC),
    (WireError, Reason.MALFORMED),
    (ProtocolError, Reason.OUT_OF_ORDER),
    (TransportError, Reason.BROKEN_OFF),
)


def ignore(refusal: Refusal) -> None:
    """The sink of a server that nobody watches."""


def named(error: RunError, reason: Reason) -> RunError:
    """Give an error the reason under which its refusal is told."""
    error.add_note(reason.value)
    return error


def reason_of(error: RunError) -> Reason:
    """The reason that an error was given, or that of its kind."""
    notes = getattr(error, "__notes__", [])
    given = [reason for reason in Reason if reason.value in notes]
    return (
        given[0]
        if given
        else next((name for kind, name in _OF_ERROR if isinstance(error, kind)), Reason.OTHER)
    )
