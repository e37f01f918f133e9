r"""Public polynomials a_j: the same for every member of a cohort, and nobody's choice.

The rule kept here: a_j follows from the attempt A, the section's number and j alone.

    key    32 bytes   SHAKE-256(b"securefl/v3/kahe/public\x00" | framed(A, section as 2 bytes, big-endian))
    row j  32768 bytes of the ChaCha20 keystream (RFC 8439) under the key, nonce zero, from block 512 j on
           4096 little-endian words of 32 bits: the low limbs; 4096 more: the high limbs

A word, read as signed and shifted right by two bits (arithmetically), is a limb in [-2^29, 2^29), and
a_j = low + 2^30 high modulo 2^60 is uniform. ``tests/vectors/kahe.json`` has vectors.

References: SHAKE-256 (FIPS 202), ChaCha20 (RFC 8439); A is SHA-256 over the manifest's digest and the cohort's adverts,
so a server that tries many manifests picks among random polynomials, which the security bound covers.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from securefl.crypto.framing import framed
from securefl.crypto.kahe.modulus import LIMB_BITS
from securefl.crypto.kahe.ring import Limbs
from securefl.crypto.profiles import DEGREE
from securefl.errors import CapacityError

DOMAIN: Final = b"securefl/v3/kahe/public\x00"
KEY_BYTES: Final = 32
ROW_BYTES: Final = 2 * 4 * DEGREE
_BLOCK_BYTES: Final = 64
_COUNTER_BYTES: Final = 4
_NONCE: Final = bytes(12)
MAX_ROWS: Final = (1 << (8 * _COUNTER_BYTES)) * _BLOCK_BYTES // ROW_BYTES
"""Rows before the counter of RFC 8439 would wrap: 2^23 ciphertexts of one section."""


class PublicPolynomials:
    """The polynomials of one section in one attempt.

    Guarantee: indistinguishable from uniform polynomials modulo 2^60 to whoever did not choose A, with SHAKE-256 as a
    random oracle and ChaCha20 as a pseudorandom function (RFC 8439).

    Args:
        attempt: A, 32 bytes.
        section: Number of the section, from 0.
    """

    def __init__(self, attempt: bytes, *, section: int) -> None:
        seed = DOMAIN + framed(attempt, section.to_bytes(2, "big"))
        self._key = hashlib.shake_256(seed).digest(KEY_BYTES)

    def limbs(self, first: int, count: int) -> Limbs:
        """Limbs of some polynomials.

        Args:
            first: Number of the first.
            count: k, how many.

        Returns:
            (k, 2, N) int32 in [-2^29, 2^29): the low limbs and the high ones.

        Raises:
            CapacityError: if a section would need more than ``MAX_ROWS``.
        """
        if first + count > MAX_ROWS:
            raise CapacityError("a section has too many ciphertexts", hint=f"at most {MAX_ROWS} are possible")
        counter = (first * ROW_BYTES // _BLOCK_BYTES).to_bytes(_COUNTER_BYTES, "little")
        keystream = np.empty(count * ROW_BYTES, dtype=np.uint8)
        encryptor = Cipher(ChaCha20(self._key, counter + _NONCE), mode=None).encryptor()
        encryptor.update_into(bytes(keystream.size), keystream.data)
        words = keystream.view("<i4").astype(np.int32, copy=False).reshape(count, 2, DEGREE)
        words >>= 32 - LIMB_BITS
        return words
