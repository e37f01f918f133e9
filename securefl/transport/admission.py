"""Admission of a call: whose certificate it comes with, and whether that still holds.

The rule kept here: TLS has checked the authority and the owner of the key before Python hears of a call; what only
shows later, a certificate that is revoked or that expires while its connection lasts, is checked at every call.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from securefl.errors import AuthenticationError
from securefl.transport.refusals import Reason, named

Context = Any
"""``grpc.aio.ServicerContext``; grpc ships no types."""
Revoked = Callable[[], frozenset[bytes]]
"""Gives the SHA-256 of every revoked certificate in DER; asked at every call, so a revocation needs no restart."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """The certificate that a peer's TLS handshake proved to own.

    Attributes:
        fingerprint: SHA-256 of its DER (32 bytes).
        expires: When it ends.
    """

    fingerprint: bytes
    expires: datetime


def none_revoked() -> frozenset[bytes]:
    """The list of a server that has none."""
    return frozenset()


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


def certificate_of(context: Context) -> PeerCertificate:
    """The certificate of the peer that made a call."""
    pem = context.auth_context()["x509_pem_cert"][0]
    der = ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))
    expires = x509.load_der_x509_certificate(der).not_valid_after_utc
    return PeerCertificate(hashlib.sha256(der).digest(), expires)


def check_certificate(certificate: PeerCertificate, *, revoked: frozenset[bytes], now: datetime) -> None:
    """Raise unless a certificate still holds.

    Raises:
        AuthenticationError: if it is revoked, or has expired since its connection was made.
    """
    if certificate.fingerprint in revoked:
        error = AuthenticationError(
            "this member's certificate is revoked", hint="ask whoever runs the federation for a new one"
        )
        raise named(error, Reason.REVOKED)
    if certificate.expires <= now:
        error = AuthenticationError(
            "this member's certificate has expired", hint="ask whoever runs the federation for a new one"
        )
        raise named(error, Reason.EXPIRED)
