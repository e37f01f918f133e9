"""The BFV secret key: one fixed-length form of our own, in memory, in its file, and later between members.

The rule kept here: a key is complete and in range, or it is not a key. Every string of bytes has at most one
reading, and only ``bfv`` turns a key into an object of SEAL.

    magic and version  8 bytes    b"SFLBFVK" 0x01
    row modulo q       4096 words of 7 bytes, little-endian: the secret's values in SEAL's NTT order
    row modulo the special prime, the same way
    digest             32 bytes   SHA-256 of all before it, against damage (an attacker could recompute it)

The secret polynomial is ternary, and does not depend on t: one key serves all profiles.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import numpy as np

from securefl.crypto.privatefile import read_private, write_private
from securefl.crypto.profiles import DATA_PRIME, DEGREE, SPECIAL_PRIME
from securefl.crypto.words import Words, decode_words, encode_words
from securefl.errors import IdentityError

MAGIC = b"SFLBFVK\x01"
RESIDUE_BYTES = 7
DIGEST_BYTES = 32
KEY_BYTES = len(MAGIC) + 2 * DEGREE * RESIDUE_BYTES + DIGEST_BYTES


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
            raise IdentityError(
                "the secret key is not one of this version's", hint="copy the lead's file again"
            )
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
        hint = "copy the lead's file again"
        if not data.startswith(MAGIC):
            raise IdentityError("the secret key is of another kind or version", where=where, hint=hint)
        body, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if len(data) != KEY_BYTES or not hmac.compare_digest(hashlib.sha256(body).digest(), digest):
            raise IdentityError("the secret key is cut short or damaged", where=where, hint=hint)
        words = decode_words(body[len(MAGIC) :], RESIDUE_BYTES, count=2 * DEGREE)
        return cls(words.reshape(2, DEGREE))

    def save(self, path: Path) -> None:
        """Writes the key's file: mode 0600, whole or not at all.

        Raises:
            IdentityError: if the folder cannot be written to.
        """
        write_private(path, self.encode())

    @classmethod
    def load(cls, path: Path) -> SecretKey:
        """Reads a key's file.

        Raises:
            IdentityError: if it is missing, readable by others, cut short, damaged, or no key of this
            version.
        """
        return cls.decode(read_private(path, what="the federation's secret key"), where=str(path))
