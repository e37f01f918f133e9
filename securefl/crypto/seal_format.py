"""The serialised objects that we exchange with SEAL 4: built and taken apart field by field.

The rule kept here: what SEAL is given to load was laid out in this module, every length and marker ours; a
peer's bytes appear in it only as a run of 64 seed bytes, or as residues that ``wireform`` has range-checked.
What SEAL has saved is compared with the expected layout to the last marker, so that another version of SEAL
is noticed when a cipher is made and not by wrong numbers.

    object      header (magic, own length, version, compression, size), then the body, compressed or not
    ciphertext  parms_id, NTT flag, polynomials, N, primes, scale, correction factor; an array object
    seeded      the same with the first polynomial only; then the generator's type and seed as an object
    plaintext   parms_id (zero outside NTT form), number of coefficients, scale; an array object
    secret key  a plaintext in NTT form over the key's two primes

References: SEAL 4, ``serialization.h``, ``ciphertext.cpp`` (save_members, load_members), ``randomgen.h``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import zstandard

from securefl.crypto.words import Words
from securefl.errors import UsageError

SEED_BYTES = 64
_HEADER = struct.Struct("<HBBBBHQ")
_MAGIC = 0xA15E
_MAJOR = 4
_UNCOMPRESSED, _ZSTANDARD = 0, 2
_COUNT = struct.Struct("<Q")
_CIPHERTEXT = struct.Struct("<32sBQQQdQ")
_PLAINTEXT = struct.Struct("<32sQd")
_BLAKE2XB = b"\x01"
_NO_PARMS_ID = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealFormat:
    """SEAL's layouts for one set of encryption parameters.

    Attributes:
        minor_version: SEAL's, as its headers carry it.
        degree: N.
        data_parms_id: What SEAL calls the parameters of ciphertexts: a hash of 32 bytes.
        key_parms_id: The same for the secret key.
    """

    minor_version: int
    degree: int
    data_parms_id: bytes
    key_parms_id: bytes

    def body(self, saved: bytes, *, largest: int) -> bytes:
        """Return what SEAL saved, without header and compression.

        Args:
            saved: A whole object as SEAL wrote it.
            largest: The longest body that can be meant; nothing longer is decompressed.

        Raises:
            UsageError: if the header is not SEAL's, or the body is longer.
        """
        if len(saved) < _HEADER.size:
            raise _unknown("a header is cut short")
        *head, compression, _, size = _HEADER.unpack_from(saved)
        if head != [_MAGIC, _HEADER.size, _MAJOR, self.minor_version] or size != len(saved):
            raise _unknown("a header has other fields")
        body = saved[_HEADER.size :]
        if compression == _ZSTANDARD:
            try:
                body = zstandard.ZstdDecompressor().decompress(body, max_output_size=largest)
            except zstandard.ZstdError:
                raise _unknown("a body does not decompress") from None
        elif compression != _UNCOMPRESSED:
            raise _unknown("a body is compressed in another way")
        if len(body) > largest:
            raise _unknown("a body is too long")
        return body

    @property
    def seeded_bytes(self) -> int:
        """Length of a seeded ciphertext's body."""
        return len(self._seeded_head()) + 8 * self.degree + len(self._seed_head()) + SEED_BYTES

    def seeded_object(self) -> bytes:
        """A seeded ciphertext with first polynomial zero; its last 64 bytes, the seed, are to be added."""
        body = self._seeded_head() + bytes(8 * self.degree) + self._seed_head()
        return self._header(len(body) + SEED_BYTES) + body

    def split_seeded(self, body: bytes) -> tuple[Words, bytes]:
        """The first polynomial, (N,) uint64 as a view, and the seed of a seeded ciphertext that SEAL saved.

        Raises:
            UsageError: if any other field differs from what we expect.
        """
        head, middle = self._seeded_head(), self._seed_head()
        end = len(head) + 8 * self.degree
        if (
            len(body) != self.seeded_bytes
            or not body.startswith(head)
            or body[end : end + len(middle)] != middle
        ):
            raise _unknown("a seeded ciphertext has other fields")
        residues = np.frombuffer(body, dtype="<u8", count=self.degree, offset=len(head))
        return residues, body[-SEED_BYTES:]

    def pair_object(self) -> bytes:
        """A ciphertext up to its residues; (N,) of the first polynomial and N zeros are to be added."""
        head = self._ciphertext_head() + self._array_head(2 * self.degree)
        return self._header(len(head) + 16 * self.degree) + head

    def plaintext_object(self) -> bytes:
        """A plaintext up to its coefficients; (N,) uint64 are to be added."""
        head = _PLAINTEXT.pack(_NO_PARMS_ID, self.degree, 1.0) + self._array_head(self.degree)
        return self._header(len(head) + 8 * self.degree) + head

    @property
    def plaintext_bytes(self) -> int:
        """Length of the longest plaintext's body."""
        return len(self.plaintext_object()) - _HEADER.size + 8 * self.degree

    def split_plaintext(self, body: bytes) -> Words:
        """The (N,) coefficients of a plaintext that SEAL saved; leading zeros, which it leaves out, included.

        Raises:
            UsageError: if any other field differs from what we expect.
        """
        if len(body) < _PLAINTEXT.size:
            raise _unknown("a plaintext is cut short")
        count = _PLAINTEXT.unpack_from(body)[1]
        head = _PLAINTEXT.pack(_NO_PARMS_ID, count, 1.0) + self._array_head(count)
        if count > self.degree or len(body) != len(head) + 8 * count or not body.startswith(head):
            raise _unknown("a plaintext has other fields")
        coefficients = np.zeros(self.degree, dtype=np.uint64)
        coefficients[:count] = np.frombuffer(body, dtype="<u8", offset=len(head))
        return coefficients

    @property
    def secret_key_bytes(self) -> int:
        """Length of a secret key's body."""
        return len(self._secret_key_head()) + 16 * self.degree

    def secret_key_object(self, rows: Words) -> bytes:
        """A secret key, from (2, N) residues in NTT form."""
        data = np.ascontiguousarray(rows, dtype="<u8").tobytes()
        head = self._secret_key_head()
        return self._header(len(head) + len(data)) + head + data

    def split_secret_key(self, body: bytes) -> Words:
        """The (2, N) residues of a secret key that SEAL saved.

        Raises:
            UsageError: if any other field differs from what we expect.
        """
        head = self._secret_key_head()
        if len(body) != self.secret_key_bytes or not body.startswith(head):
            raise _unknown("a secret key has other fields")
        return np.frombuffer(body, dtype="<u8", offset=len(head)).reshape(2, self.degree).astype(np.uint64)

    def _header(self, body_bytes: int) -> bytes:
        size = _HEADER.size + body_bytes
        return _HEADER.pack(_MAGIC, _HEADER.size, _MAJOR, self.minor_version, _UNCOMPRESSED, 0, size)

    def _array_head(self, count: int) -> bytes:
        return self._header(_COUNT.size + 8 * count) + _COUNT.pack(count)

    def _ciphertext_head(self) -> bytes:
        return _CIPHERTEXT.pack(self.data_parms_id, 0, 2, self.degree, 1, 1.0, 1)

    def _seeded_head(self) -> bytes:
        return self._ciphertext_head() + self._array_head(self.degree)

    def _seed_head(self) -> bytes:
        return self._header(len(_BLAKE2XB) + SEED_BYTES) + _BLAKE2XB

    def _secret_key_head(self) -> bytes:
        return _PLAINTEXT.pack(self.key_parms_id, 2 * self.degree, 1.0) + self._array_head(2 * self.degree)


def minor_version(saved: bytes) -> int:
    """SEAL's minor version, from any object it saved.

    Raises:
        UsageError: if the object is not one of SEAL 4.
    """
    if len(saved) < _HEADER.size:
        raise _unknown("a header is cut short")
    magic, length, major, minor, *_ = _HEADER.unpack_from(saved)
    if (magic, length, major) != (_MAGIC, _HEADER.size, _MAJOR):
        raise _unknown("a header has other fields")
    return int(minor)


def _unknown(detail: str) -> UsageError:
    return UsageError(
        "this TenSEAL stores its objects in a form that securefl does not know",
        where=detail,
        hint="install tenseal 0.3.18",
    )
