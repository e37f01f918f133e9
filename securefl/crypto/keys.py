"""Shared keys, those of the cipher and those of authentication, in one fixed-length form of our own.

The rule kept here: keys are complete and in range, or they are no keys; the shared keys are made, stored
and replaced together. Every string of bytes has at most one reading, and only ``bfv`` turns a cipher key into
an object of SEAL.

    cipher key
    magic and version  8 bytes    b"SFLBFVK" 0x01
    row modulo q       4096 words of 7 bytes, little-endian: the secret's values in SEAL's NTT order
    row modulo the special prime, the same way
    digest             32 bytes   SHA-256 of all before it, against damage (an attacker could recompute it)

    shared keys
    magic and version  8 bytes    b"SFLEPCH" 0x02
    key epoch          4 bytes, big-endian, from 1
    MAC key            32 bytes
    tag key            32 bytes
    chain key          32 bytes
    cipher key         as above; nothing where the cipher has no shared key
    digest             32 bytes   SHA-256 of all before it

The secret polynomial is ternary, and does not depend on t: one cipher key serves all profiles.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

import numpy as np

from securefl.crypto.bfv_profiles import DATA_PRIME, SPECIAL_PRIME
from securefl.crypto.profiles import DEGREE
from securefl.crypto.words import Words, decode_words, encode_words
from securefl.errors import IdentityError

MAGIC = b"SFLBFVK\x01"
RESIDUE_BYTES = 7
DIGEST_BYTES = 32
KEY_BYTES = len(MAGIC) + 2 * DEGREE * RESIDUE_BYTES + DIGEST_BYTES
SHARED_KEYS_MAGIC = b"SFLEPCH\x02"
KEY_EPOCH_BYTES = 4
SYMMETRIC_KEY_BYTES = 32
TWIN_KEYS_BYTES = len(SHARED_KEYS_MAGIC) + KEY_EPOCH_BYTES + 3 * SYMMETRIC_KEY_BYTES + DIGEST_BYTES
SHARED_KEYS_BYTES = TWIN_KEYS_BYTES + KEY_BYTES
_HINT = "copy the lead's file again"


class SecretKey:
    """A BFV secret key; ``repr`` and errors show nothing of it.

    Args:
        rows: (2, N) uint64, the secret in NTT form modulo the data and the special prime.

    Raises:
        IdentityError: if the shape is another or a residue is not below its prime.
    """

    __slots__ = ("_rows",)

    def __init__(self, rows: Words) -> None:
        primes = np.array([[DATA_PRIME], [SPECIAL_PRIME]], dtype=np.uint64)
        if rows.shape != (2, DEGREE) or bool(np.any(rows >= primes)):
            raise IdentityError("the secret key is not one of this version's", hint=_HINT)
        self._rows = rows.astype(np.uint64)
        self._rows.flags.writeable = False

    def __repr__(self) -> str:
        return "SecretKey(<redacted>)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretKey) and hmac.compare_digest(self.encode(), other.encode())

    def __hash__(self) -> int:
        return hash(self.encode())

    @property
    def rows(self) -> Words:
        """(2, N) uint64, read-only."""
        return self._rows

    def encode(self) -> bytes:
        """``KEY_BYTES`` bytes."""
        body = MAGIC + encode_words(self._rows.reshape(-1), RESIDUE_BYTES)
        return body + hashlib.sha256(body).digest()

    @classmethod
    def decode(cls, data: bytes, *, where: str = "") -> SecretKey:
        """The inverse of ``encode``.

        Args:
            data: ``KEY_BYTES`` bytes.
            where: Where they come from, for the error.

        Raises:
            IdentityError: if they are no key of this version, cut short, or damaged.
        """
        if not data.startswith(MAGIC):
            raise IdentityError("the secret key is of another kind or version", where=where, hint=_HINT)
        body, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if len(data) != KEY_BYTES or not hmac.compare_digest(hashlib.sha256(body).digest(), digest):
            raise IdentityError("the secret key is cut short or damaged", where=where, hint=_HINT)
        words = decode_words(body[len(MAGIC) :], RESIDUE_BYTES, count=2 * DEGREE)
        return cls(words.reshape(2, DEGREE))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SharedKeys:
    """Keys that all members of a federation hold and its server never does; ``repr`` shows none of them.

    Attributes:
        key_epoch: Number of the rotation, from 1; keys of different rotations are independent.
        mac: Key of the MAC on ciphertexts, 32 bytes.
        tag: Key of the tags in plaintexts, 32 bytes.
        chain: Key under which members compare their chains of aggregates, 32 bytes.
        cipher: The cipher's key; None where the cipher has no shared key.

    Raises:
        IdentityError: if a key has another length, or the key epoch is out of range.
    """

    key_epoch: int
    mac: bytes
    tag: bytes
    chain: bytes
    cipher: SecretKey | None

    def __post_init__(self) -> None:
        lengths = (len(self.mac), len(self.tag), len(self.chain))
        if lengths != (SYMMETRIC_KEY_BYTES,) * 3 or not 1 <= self.key_epoch < 1 << (8 * KEY_EPOCH_BYTES):
            raise IdentityError("the shared keys are not those of this version", hint=_HINT)

    def __repr__(self) -> str:
        return f"SharedKeys(key_epoch={self.key_epoch}, <redacted>)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SharedKeys) and hmac.compare_digest(self.encode(), other.encode())

    def __hash__(self) -> int:
        return hash(self.encode())

    @classmethod
    def generate(cls, cipher: SecretKey | None, *, key_epoch: int = 1) -> SharedKeys:
        """Shared keys of a rotation: fresh ones from the operating system's generator, beside the cipher's."""
        mac, tag, chain = (secrets.token_bytes(SYMMETRIC_KEY_BYTES) for _ in range(3))
        return cls(key_epoch, mac, tag, chain, cipher)

    def encode(self) -> bytes:
        """``SHARED_KEYS_BYTES`` bytes; ``TWIN_KEYS_BYTES`` without a cipher key."""
        cipher = b"" if self.cipher is None else self.cipher.encode()
        head = SHARED_KEYS_MAGIC + self.key_epoch.to_bytes(KEY_EPOCH_BYTES, "big")
        body = head + self.mac + self.tag + self.chain + cipher
        return body + hashlib.sha256(body).digest()

    @classmethod
    def decode(cls, data: bytes, *, where: str = "") -> SharedKeys:
        """The inverse of ``encode``.

        Args:
            data: The bytes.
            where: Where they come from, for the error.

        Raises:
            IdentityError: if they are no keys of this version, cut short, or damaged.
        """
        if not data.startswith(SHARED_KEYS_MAGIC):
            raise IdentityError("the shared keys are of another kind or version", where=where, hint=_HINT)
        body, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        whole = len(data) in (TWIN_KEYS_BYTES, SHARED_KEYS_BYTES)
        if not whole or not hmac.compare_digest(hashlib.sha256(body).digest(), digest):
            raise IdentityError("the shared keys are cut short or damaged", where=where, hint=_HINT)
        mac_at = len(SHARED_KEYS_MAGIC) + KEY_EPOCH_BYTES
        tag_at = mac_at + SYMMETRIC_KEY_BYTES
        chain_at = tag_at + SYMMETRIC_KEY_BYTES
        cipher_at = chain_at + SYMMETRIC_KEY_BYTES
        cipher = body[cipher_at:]
        return cls(
            key_epoch=int.from_bytes(body[len(SHARED_KEYS_MAGIC) : mac_at], "big"),
            mac=body[mac_at:tag_at],
            tag=body[tag_at:chain_at],
            chain=body[chain_at:cipher_at],
            cipher=SecretKey.decode(cipher, where=where) if cipher else None,
        )
