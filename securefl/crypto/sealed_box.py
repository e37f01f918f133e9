"""Sealed boxes: bytes that one member alone can open, whoever carries them.

The rule kept here: a box is bound to its associated data, and it is refused in the same words whether its recipient is
another, its associated data are others, or a byte was changed. A box says nothing of who sealed it: whoever has to
know signs it (``dealt_keys``).

A box is one HPKE message (RFC 9180, base mode, single shot): the KEM is X-Wing, which is X25519 and ML-KEM-768
together (draft-connolly-cfrg-xwing-kem; HPKE's KEM 0x647a), the KDF HKDF-SHA256, the AEAD ChaCha20-Poly1305. The
associated data goes into HPKE's ``info``. All of it is the library's; nothing is composed here.

    private key   32 bytes     X-Wing's seed: SHAKE-256 expands it to both private keys
    public key    1216 bytes   ML-KEM-768's 1184, X25519's 32
    box           1136 bytes more than its plaintext: 1088 + 32 encapsulated, 16 of the AEAD's tag

    private key, encoded
    magic and version  8 bytes    b"SFLKEMK" 0x01
    seed               32 bytes
    digest             32 bytes   SHA-256 of all before it, against damage
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.framing import framed
from securefl.errors import AuthenticationError, IdentityError

SEED_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 1216
OVERHEAD_BYTES: Final = 1136
"""Bytes of a box beyond its plaintext."""
_LATTICE_PUBLIC_BYTES: Final = 1184
_LATTICE_SEED_BYTES: Final = 64
_EXPANDED_BYTES: Final = 96
_DOMAIN: Final = b"securefl/v3/sealed-box"
_MAGIC: Final = b"SFLKEMK\x01"
_DIGEST_BYTES: Final = 32
ENCODED_KEY_BYTES: Final = len(_MAGIC) + SEED_BYTES + _DIGEST_BYTES


class KemKey:
    """A member's private key, which opens what is sealed for it; ``repr`` shows nothing of it.

    Args:
        seed: 32 uniform bytes, X-Wing's private key.

    Raises:
        IdentityError: if the seed has another length, or the installed library lacks ML-KEM-768.
    """

    __slots__ = ("_key", "_public_key", "_seed")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise IdentityError("a KEM key is not one of this version's", hint="make the member's keys anew")
        expanded = hashlib.shake_256(seed).digest(_EXPANDED_BYTES)
        try:
            lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:_LATTICE_SEED_BYTES])
        except UnsupportedAlgorithm:
            raise _no_such_library() from None
        curve = X25519PrivateKey.from_private_bytes(expanded[_LATTICE_SEED_BYTES:])
        self._seed = seed
        self._key = MLKEM768X25519PrivateKey(lattice, curve)
        self._public_key = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "KemKey(<redacted>)"

    @classmethod
    def generate(cls, *, entropy: Entropy = SYSTEM) -> KemKey:
        """A fresh key."""
        return cls(entropy(SEED_BYTES))

    @property
    def public_key(self) -> bytes:
        """1216 bytes, for the roster."""
        return self._public_key

    def open(self, box: bytes, *, associated_data: bytes) -> bytes:
        """Open a box that was sealed for this key and this associated data.

        Args:
            box: The box.
            associated_data: The same bytes that it was sealed with.

        Returns:
            The plaintext.

        Raises:
            AuthenticationError: if the box is not one, always in the same words.
        """
        try:
            return _suite().decrypt(box, self._key, info=framed(_DOMAIN, associated_data))
        except (InvalidTag, ValueError):
            raise AuthenticationError(
                "a sealed box does not open",
                hint="it is damaged, or sealed for another member or another purpose",
            ) from None

    def encode(self) -> bytes:
        """``ENCODED_KEY_BYTES`` bytes, for the member's own folder."""
        body = _MAGIC + self._seed
        return body + hashlib.sha256(body).digest()

    @classmethod
    def decode(cls, data: bytes, *, where: str = "") -> KemKey:
        """The inverse of ``encode``.

        Args:
            data: ``ENCODED_KEY_BYTES`` bytes.
            where: Where they come from, for the error.

        Raises:
            IdentityError: if they are no key of this version, cut short, or damaged.
        """
        hint = "copy the member's folder again"
        if not data.startswith(_MAGIC):
            raise IdentityError("the KEM key is of another kind or version", where=where, hint=hint)
        body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
        if len(data) != ENCODED_KEY_BYTES or not hmac.compare_digest(hashlib.sha256(body).digest(), digest):
            raise IdentityError("the KEM key is cut short or damaged", where=where, hint=hint)
        return cls(body[len(_MAGIC) :])


def seal(public_key: bytes, plaintext: bytes, *, associated_data: bytes) -> bytes:
    """Seal bytes for a member; two boxes of the same bytes differ.

    Guarantee:
        Whoever lacks the private key learns nothing of the plaintext but its length, and cannot turn a box into
        another that opens (IND-CCA2), if X25519 or ML-KEM-768 holds: X-Wing is a secure KEM if the strong
        Diffie-Hellman problem on Curve25519 is hard or ML-KEM-768 is IND-CCA secure, with SHA3-256 as a random oracle
        (Barbosa et al., IACR CiC 2024), and HPKE's base mode keeps that (Alwen et al., EUROCRYPT 2021). No sender is
        authenticated.

    Args:
        public_key: The recipient's 1216 bytes.
        plaintext: What to seal.
        associated_data: What the box is for; not in the box, and needed to open it.

    Returns:
        ``OVERHEAD_BYTES`` more than the plaintext.

    Raises:
        IdentityError: if the public key is none.
    """
    key = _public_key(public_key)
    try:
        return _suite().encrypt(plaintext, key, info=framed(_DOMAIN, associated_data))
    except ValueError:
        raise _no_such_key() from None


def check_public_key(public_key: bytes) -> None:
    """Raise unless something can be sealed for this key: for keys that arrive from others.

    Raises:
        IdentityError: if it has another length, or is no key of both kinds.
    """
    # A point of low order on the curve shows only when a secret is computed from it.
    seal(public_key, b"", associated_data=b"")


def _public_key(data: bytes) -> MLKEM768X25519PublicKey:
    if len(data) != PUBLIC_KEY_BYTES:
        raise _no_such_key()
    try:
        lattice = MLKEM768PublicKey.from_public_bytes(data[:_LATTICE_PUBLIC_BYTES])
        curve = X25519PublicKey.from_public_bytes(data[_LATTICE_PUBLIC_BYTES:])
    except ValueError:
        raise _no_such_key() from None
    except UnsupportedAlgorithm:
        raise _no_such_library() from None
    return MLKEM768X25519PublicKey(lattice, curve)


def _suite() -> Suite:
    return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _no_such_key() -> IdentityError:
    return IdentityError(
        "a member's public KEM key is none",
        hint="its owner makes the keys anew and sends the public ones again",
    )


def _no_such_library() -> IdentityError:
    return IdentityError(
        "the installed package 'cryptography' has no ML-KEM-768",
        hint="install the wheel from the package index: version 48 or later, built with OpenSSL 3.5 or AWS-LC",
    )
