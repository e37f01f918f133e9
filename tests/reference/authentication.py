"""MACs and tags from their papers, one Python integer at a time: slow, and written apart from the library.

Nothing but SHA-256 is taken from a library.

References: RFC 2104 (HMAC), RFC 5869 (HKDF), RFC 8439 (ChaCha20); the formulas are those of ``protos/SPEC.md``.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

MASK = 2**32 - 1


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC with keys of at most one block."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).digest()


def framed(*fields: bytes) -> bytes:
    """Each field behind its length."""
    return b"".join(struct.pack(">I", len(field)) + field for field in fields)


def derived_key(key: bytes, purpose: bytes, context: bytes) -> bytes:
    """HKDF-SHA256 without salt: extract, then the first block of expand."""
    extracted = hmac_sha256(bytes(32), key)
    return hmac_sha256(extracted, framed(purpose, context) + b"\x01")


def chacha20(key: bytes, length: int) -> bytes:
    """The keystream from block 0 under the nonce zero."""
    stream = b""
    for counter in range(-(-length // 64)):
        start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter, 0, 0, 0]
        state = list(start)
        for _ in range(10):
            for column in range(4):
                _quarter(state, column, column + 4, column + 8, column + 12)
            for i in range(4):
                _quarter(state, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        stream += struct.pack("<16I", *((a + b) & MASK for a, b in zip(state, start, strict=True)))
    return stream[:length]


def vector(key: bytes, count: int, modulus: int) -> list[int]:
    """Words of 16 bytes, reduced."""
    stream = chacha20(key, 16 * count)
    return [int.from_bytes(stream[16 * i : 16 * i + 16], "little") % modulus for i in range(count)]


class Mac:
    """MACs of one round."""

    def __init__(self, key: bytes, context: bytes, *, degree: int, modulus: int) -> None:
        self.key, self.context, self.modulus = key, context, modulus
        self.rho = vector(derived_key(key, b"securefl/v3/mac/vector", context), degree, modulus)

    def linear(self, row: Sequence[int]) -> int:
        return sum(rho * value for rho, value in zip(self.rho, row, strict=True)) % self.modulus

    def pad(self, member: str, salt: bytes, number: int, seed: bytes) -> int:
        context = framed(self.context, member.encode(), salt)
        key = derived_key(self.key, b"securefl/v3/mac/pads", context)
        word = hmac_sha256(key, struct.pack(">Q", number) + seed)
        return int.from_bytes(word, "little") % self.modulus

    def macs(
        self,
        rows: Sequence[Sequence[int]],
        seeds: Sequence[bytes],
        member: str,
        salt: bytes,
        dropped_bits: int,
    ) -> list[int]:
        scaled = [[value * 2**dropped_bits for value in row] for row in rows]
        return [
            (self.linear(row) + self.pad(member, salt, number, seed)) % self.modulus
            for number, (row, seed) in enumerate(zip(scaled, seeds, strict=True))
        ]

    def holds(
        self,
        totals: Sequence[Sequence[int]],
        macs: Sequence[int],
        contributors: Sequence[tuple[str, bytes, Sequence[bytes]]],
    ) -> bool:
        return all(
            (
                self.linear(row)
                + sum(self.pad(member, salt, number, seeds[number]) for member, salt, seeds in contributors)
            )
            % self.modulus
            == mac
            for number, (row, mac) in enumerate(zip(totals, macs, strict=True))
        )


PRIME = 2**54 - 33


class Tag:
    """The tag of one section."""

    def __init__(self, key: bytes, context: bytes, *, degree: int, ciphertexts: int, digits: int) -> None:
        self.key, self.context, self.digits = key, context, digits
        slots = vector(derived_key(key, b"securefl/v3/tag/slots", context), degree, PRIME)
        rows = vector(derived_key(key, b"securefl/v3/tag/rows", context), ciphertexts, PRIME)
        # One coefficient for every slot of the contribution; those of the tag itself are zero.
        self.coefficients = [[row * slot % PRIME for slot in slots] for row in rows]
        self.coefficients[-1][-digits:] = [0] * digits

    def tag(self, rows: Sequence[Sequence[int]], contributors: Sequence[tuple[str, bytes]]) -> int:
        total = sum(
            coefficient * value
            for coefficients, row in zip(self.coefficients, rows, strict=True)
            for coefficient, value in zip(coefficients, row, strict=True)
        )
        return (total + sum(self.pad(member, salt) for member, salt in contributors)) % PRIME

    def pad(self, member: str, salt: bytes) -> int:
        context = framed(self.context, member.encode(), salt)
        return vector(derived_key(self.key, b"securefl/v3/tag/pads", context), 1, PRIME)[0]


def _quarter(state: list[int], a: int, b: int, c: int, d: int) -> None:
    for first, second, third, shift in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[first] = (state[first] + state[second]) & MASK
        word = state[third] ^ state[first]
        state[third] = (word << shift | word >> (32 - shift)) & MASK
