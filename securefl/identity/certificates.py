"""A member's TLS certificate and key: their files, and the checks before they are used.

The rule kept here: a certificate is checked against the authority, the clock, the member and its key when a
process starts, so that a mistake ends in one sentence and not in a failed handshake. Certificates only route
TLS; who a message is from is decided by the pinned signing keys (``signing``).

P-256, because gRPC's TLS refuses Ed25519. The clock comes in as a parameter. ``authority`` issues what is
read here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from securefl.errors import IdentityError
from securefl.storage.private import read_private, write_private

AUTHORITY_CERTIFICATE = "ca.crt"
CERTIFICATE = "tls.crt"
PRIVATE_KEY = "tls.key"
_RENEW = "have the lead issue a new one: 'securefl init'"


class Role(Enum):
    """Permitted use of a certificate, as its extended key usage says."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Certificates and key that a process shows to its TLS peers, all as PEM.

    Attributes:
        member: Id in the certificate.
        certificate: The member's certificate.
        private_key: Its key, PKCS #8; not shown by ``repr``.
        authority: The certificate that peers' certificates must be signed by.
    """

    member: str
    certificate: bytes = field(repr=False)
    private_key: bytes = field(repr=False)
    authority: bytes = field(repr=False)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate's DER form, 32 bytes."""
        return fingerprint(x509.load_pem_x509_certificate(self.certificate))

    def save(self, folder: Path) -> None:
        """Write ``tls.crt``, ``tls.key`` (mode 0600) and ``ca.crt`` into an existing folder.

        Raises:
            IdentityError: if the folder cannot be written to.
        """
        write_private(folder / PRIVATE_KEY, self.private_key)
        write_public(folder / CERTIFICATE, self.certificate)
        write_public(folder / AUTHORITY_CERTIFICATE, self.authority)


def load_credentials(folder: Path, *, member: str, role: Role, now: datetime) -> Credentials:
    """Read a member's TLS files and check them before they are used.

    Args:
        folder: Holds ``tls.crt``, ``tls.key`` and ``ca.crt``.
        member: Whose certificate it must be.
        role: What it will be used for.
        now: The time, with a time zone.

    Raises:
        IdentityError: if a file is missing or malformed, the key does not match, the authority did not issue
            the certificate, either is expired or not yet valid, or it is for another member or role.
    """
    path = folder / CERTIFICATE
    certificate = read_certificate(path, what="the TLS certificate")
    authority = read_certificate(folder / AUTHORITY_CERTIFICATE, what="the authority's certificate")
    key = read_key(folder / PRIVATE_KEY, what="the TLS key")
    check_pair(certificate, key, where=folder / PRIVATE_KEY)
    _check_issued(certificate, authority, where=path)
    _check_time(certificate, now, what="the TLS certificate", where=path)
    _check_time(authority, now, what="the authority's certificate", where=folder / AUTHORITY_CERTIFICATE)
    _check_member(certificate, member, where=path)
    _check_role(certificate, role, where=path)
    return Credentials(
        member=member,
        certificate=certificate.public_bytes(Encoding.PEM),
        private_key=private_pem(key),
        authority=authority.public_bytes(Encoding.PEM),
    )


def fingerprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the certificate's DER form, 32 bytes."""
    return certificate.fingerprint(hashes.SHA256())


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #8, unencrypted: the file's mode protects it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_public(path: Path, data: bytes) -> None:
    """Write a file that everybody may read.

    Raises:
        IdentityError: if the folder cannot be written to.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise IdentityError(f"{path} cannot be written", hint=str(error.strerror)) from None


def read_certificate(path: Path, *, what: str) -> x509.Certificate:
    """Read a PEM certificate; ``what`` names it in errors.

    Raises:
        IdentityError: if the file is missing, unreadable, or no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        hint = "'securefl init' makes a member's folder"
        raise IdentityError(f"{what} is missing", where=str(path), hint=hint) from None
    except OSError as error:
        raise IdentityError(f"{what} cannot be read", where=str(path), hint=str(error.strerror)) from None
    except ValueError:
        raise IdentityError(f"{what} is no PEM certificate", where=str(path), hint=_RENEW) from None


def read_key(path: Path, *, what: str) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 private key; ``what`` names it in errors.

    Raises:
        IdentityError: if the file is missing, readable by others, or no such key.
    """
    try:
        key = load_pem_private_key(read_private(path, what=what), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)):
        raise IdentityError(f"{what} is no PEM private key for P-256", where=str(path), hint=_RENEW)
    return key


def check_pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, *, where: Path) -> None:
    """Refuse a key that is not the certificate's.

    Raises:
        IdentityError: if it is not.
    """
    if certificate.public_key() != key.public_key():
        raise IdentityError(
            "the private key does not belong to the certificate beside it",
            where=str(where),
            hint="copy both from the same folder",
        )


def _check_issued(certificate: x509.Certificate, authority: x509.Certificate, *, where: Path) -> None:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        raise IdentityError(
            "the TLS certificate was not issued by this federation's authority", where=str(where), hint=_RENEW
        ) from None


def _check_time(certificate: x509.Certificate, now: datetime, *, what: str, where: Path) -> None:
    if now > certificate.not_valid_after_utc:
        day = certificate.not_valid_after_utc.date().isoformat()
        raise IdentityError(f"{what} expired on {day}", where=str(where), hint=_RENEW)
    if now < certificate.not_valid_before_utc:
        day = certificate.not_valid_before_utc.date().isoformat()
        hint = "check this machine's clock"
        raise IdentityError(f"{what} is not valid before {day}", where=str(where), hint=hint)


def _check_member(certificate: x509.Certificate, member: str, *, where: Path) -> None:
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [member]:
        raise IdentityError(
            f"the TLS certificate is for {', '.join(names) or 'nobody'}, not for {member}",
            where=str(where),
            hint="start it in that member's own folder",
        )


def _check_role(certificate: x509.Certificate, role: Role, *, where: Path) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = x509.ExtendedKeyUsage([])
    if role.value not in usage:
        raise IdentityError(
            f"the TLS certificate is not one of a {role.name.lower()}", where=str(where), hint=_RENEW
        )
