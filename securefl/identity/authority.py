"""The federation's certificate authority: it issues the TLS certificates of server and clients.

The rule kept here: every certificate is for one member and one role, valid no longer than the authority,
with a key made for it alone. The authority's key opens nothing and signs no message; it stays with the lead.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from securefl.identity.certificates import (
    AUTHORITY_CERTIFICATE,
    Credentials,
    Role,
    check_pair,
    private_pem,
    read_certificate,
    read_key,
    write_public,
)
from securefl.storage.private import write_private

VALID_DAYS = 397
"""Longest validity that browsers accept of public certificates; a federation has no reason to go beyond."""
CLOCK_SKEW = timedelta(minutes=5)
"""A certificate is valid from so long before its issue, for members whose clocks are behind."""
AUTHORITY_KEY = "ca.key"


class Authority:
    """A federation's certificate authority; its key stays with the lead."""

    __slots__ = ("_certificate", "_key")

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    def __repr__(self) -> str:
        return "Authority(<redacted>)"

    @classmethod
    def create(cls, federation: str, *, now: datetime, days: int = VALID_DAYS) -> Authority:
        """A new authority with a fresh key.

        Args:
            federation: Name of the federation, for people to read.
            now: The time, with a time zone.
            days: How long it is valid.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"securefl {federation}"),
                x509.NameAttribute(NameOID.COMMON_NAME, "authority"),
            ]
        )
        certificate = (
            _builder(name, name, key.public_key(), now=now, days=days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(_key_id(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @property
    def certificate(self) -> bytes:
        """The authority's certificate, as PEM."""
        return self._certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        member: str,
        *,
        role: Role,
        now: datetime,
        names: Sequence[str] = (),
        days: int = VALID_DAYS,
    ) -> Credentials:
        """A certificate with a fresh key for one member.

        Args:
            member: Id; it becomes the common name, and a DNS name beside ``names``.
            role: Server or client.
            now: The time, with a time zone.
            names: Host names and IP addresses under which it is reached.
            days: How long it is valid; never longer than the authority.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, member)])
        alternatives = [_general_name(name) for name in dict.fromkeys((member, *names))]
        builder = _builder(
            subject,
            self._certificate.subject,
            key.public_key(),
            now=now,
            days=days,
            latest=self._certificate.not_valid_after_utc,
        )
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([role.value]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(_key_id(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        return Credentials(
            member=member,
            certificate=certificate.public_bytes(Encoding.PEM),
            private_key=private_pem(key),
            authority=self.certificate,
        )

    def save(self, folder: Path) -> None:
        """Write ``ca.key`` (mode 0600) and ``ca.crt`` into an existing folder.

        Raises:
            IdentityError: if the folder cannot be written to.
        """
        write_private(folder / AUTHORITY_KEY, private_pem(self._key))
        write_public(folder / AUTHORITY_CERTIFICATE, self.certificate)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """Read what ``save`` wrote.

        Raises:
            IdentityError: if a file is missing or no certificate or key, or if they do not belong together.
        """
        certificate = read_certificate(folder / AUTHORITY_CERTIFICATE, what="the authority's certificate")
        key = read_key(folder / AUTHORITY_KEY, what="the authority's key")
        check_pair(certificate, key, where=folder / AUTHORITY_KEY)
        return cls(certificate, key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    *,
    now: datetime,
    days: int,
    latest: datetime | None = None,
) -> x509.CertificateBuilder:
    begin = now.astimezone(UTC) - CLOCK_SKEW
    end = now.astimezone(UTC) + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(min(end, latest) if latest is not None else end)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key_id(public_key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(public_key)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return x509.DNSName(name)
