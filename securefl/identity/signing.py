"""Ed25519 signing keys: who a message is from.

The rule kept here: ``verify`` returns nothing and raises, so that a forgotten ``if`` cannot accept a
forgery. Public keys (32 bytes) and signatures (64 bytes) are raw bytes; what is signed carries its own
domain (``protocol``).
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from securefl.errors import AuthenticationError, IdentityError
from securefl.storage.private import read_private, write_private

SIGNATURE_BYTES = 64


class SigningKey:
    """A member's Ed25519 private key; ``repr`` shows nothing of it."""

    __slots__ = ("_key",)

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "SigningKey(<redacted>)"

    @classmethod
    def generate(cls) -> SigningKey:
        """A fresh key, from the operating system's generator."""
        return cls(Ed25519PrivateKey.generate())

    @property
    def public_key(self) -> bytes:
        """32 bytes, for the roster."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes (RFC 8032).

        Guarantee: existentially unforgeable under chosen messages, assuming discrete logarithms in
        edwards25519 are hard and SHA-512 behaves as a random oracle (Brendel, Cremers, Jackson, Zhao, IEEE
        S&P 2021).
        """
        return self._key.sign(message)

    def save(self, path: Path) -> None:
        """Write the key as PKCS #8 PEM: mode 0600, whole or not at all.

        Raises:
            IdentityError: if the folder cannot be written to.
        """
        write_private(path, self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a key's file.

        Raises:
            IdentityError: if it is missing, readable by others, or holds no Ed25519 key.
        """
        pem = read_private(path, what="the signing key")
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise IdentityError(
                "the signing key's file holds no Ed25519 key",
                where=str(path),
                hint="copy the member's folder again",
            )
        return cls(key)


def verify(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Raise unless the key's owner signed exactly this message.

    Raises:
        AuthenticationError: if the signature does not hold, or key or signature are not of their length.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise AuthenticationError(
            "a signature does not hold", hint="its sender is not who it claims"
        ) from None
