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
        self.rho = vector(derived_key(key, b"securefl/v2/mac/vector", context), degree, modulus)

    def linear(self, row: Sequence[int]) -> int:
        return sum(rho * value for rho, value in zip(self.rho, row, strict=True)) % self.modulus

    def pad(self, member: str, number: int, seed: bytes) -> int:
        key = derived_key(self.key, b"securefl/v2/mac/pads", framed(self.context, member.encode()))
        word = hmac_sha256(key, struct.pack(">Q", number) + seed)
        return int.from_bytes(word, "little") % self.modulus

    def macs(
        self, rows: Sequence[Sequence[int]], seeds: Sequence[bytes], member: str, dropped_bits: int
    ) -> list[int]:
        scaled = [[value * 2**dropped_bits for value in row] for row in rows]
        return [
            (self.linear(row) + self.pad(member, number, seed)) % self.modulus
            for number, (row, seed) in enumerate(zip(scaled, seeds, strict=True))
        ]

    def holds(
        self,
        totals: Sequence[Sequence[int]],
        macs: Sequence[int],
        contributors: Sequence[tuple[str, Sequence[bytes]]],
    ) -> bool:
        return all(
            (
                self.linear(row)
                + sum(self.pad(member, number, seeds[number]) for member, seeds in contributors)
            )
            % self.modulus
            == mac
            for number, (row, mac) in enumerate(zip(totals, macs, strict=True))
        )


class Tags:
    """Tags of one round."""

    def __init__(self, key: bytes, context: bytes, *, degree: int, ciphertexts: int, modulus: int) -> None:
        self.key, self.context, self.modulus = key, context, modulus
        slots = vector(derived_key(key, b"securefl/v2/tag/slots", context), 2 * degree, modulus)
        rows = vector(derived_key(key, b"securefl/v2/tag/rows", context), 2 * ciphertexts, modulus)
        # One coefficient for every slot of the contribution; those of the tags themselves are zero.
        self.coefficients = [
            [
                [rows[2 * c + k] * slots[2 * j + k] % modulus for j in range(degree)]
                for c in range(ciphertexts)
            ]
            for k in range(2)
        ]
        for k in range(2):
            self.coefficients[k][-1][-2:] = [0, 0]

    def tags(self, rows: Sequence[Sequence[int]], members: Sequence[str]) -> list[int]:
        result = []
        for k in range(2):
            total = sum(
                coefficient * value
                for coefficients, row in zip(self.coefficients[k], rows, strict=True)
                for coefficient, value in zip(coefficients, row, strict=True)
            )
            result.append((total + sum(self.pads(member)[k] for member in members)) % self.modulus)
        return result

    def pads(self, member: str) -> list[int]:
        context = framed(self.context, member.encode())
        return vector(derived_key(self.key, b"securefl/v2/tag/pads", context), 2, self.modulus)


def _quarter(state: list[int], a: int, b: int, c: int, d: int) -> None:
    for first, second, third, shift in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[first] = (state[first] + state[second]) & MASK
        word = state[third] ^ state[first]
        state[third] = (word << shift | word >> (32 - shift)) & MASK
