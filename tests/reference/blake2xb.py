"""Blake2xb and SEAL's expansion of a seed to a uniform polynomial, from their papers, word by word.

References: RFC 7693 (BLAKE2b); Aumasson et al., "BLAKE2X", 2016, section 2; SEAL 4, ``randomgen.cpp`` (a
buffer of 4096 bytes, refilled from a counter under the seed as key) and ``util/rlwe.cpp``
(``sample_poly_uniform``).
"""

from __future__ import annotations

import hashlib
import struct

MASK = 2**64 - 1
IV = (
    0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
    0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
)  # fmt: skip
SIGMA = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
COLUMNS_AND_DIAGONALS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
BUFFER_BYTES = 4096


def one_block_blake2b(parameters: bytes, message: bytes) -> bytes:
    """BLAKE2b of at most 128 bytes without a key, for any parameter block; hashlib allows no depth 0."""
    state = [value ^ word for value, word in zip(IV, struct.unpack("<8Q", parameters), strict=True)]
    block = struct.unpack("<16Q", message.ljust(128, b"\0"))
    v = [*state, *IV]
    v[12] ^= len(message)
    v[14] ^= MASK
    for number in range(12):
        order = SIGMA[number % 10]
        for index, (a, b, c, d) in enumerate(COLUMNS_AND_DIAGONALS):
            for word, first, second in ((order[2 * index], 32, 24), (order[2 * index + 1], 16, 63)):
                v[a] = (v[a] + v[b] + block[word]) & MASK
                v[d] = _rotated(v[d] ^ v[a], first)
                v[c] = (v[c] + v[d]) & MASK
                v[b] = _rotated(v[b] ^ v[c], second)
    return struct.pack("<8Q", *(state[i] ^ v[i] ^ v[i + 8] for i in range(8)))[: parameters[0]]


def blake2xb(message: bytes, *, key: bytes, length: int) -> bytes:
    """Blake2xb: a root hash, expanded by numbered hashes of it."""
    root = hashlib.blake2b(message, key=key, digest_size=64, node_offset=length << 32).digest()
    output = b""
    while len(output) < length:
        size = min(64, length - len(output))
        parameters = struct.pack("<BBBBIIIBB", size, 0, 0, 0, 64, len(output) // 64, length, 0, 64)
        output += one_block_blake2b(parameters.ljust(64, b"\0"), root)
    return output


def uniform_polynomial(seed: bytes, *, degree: int, modulus: int) -> list[int]:
    """What SEAL expands 64 bytes of seed to: coefficients below the modulus."""
    stream = _words(seed)
    limit = MASK - MASK % modulus - 1
    drawn = [next(stream) for _ in range(degree)]
    coefficients = []
    for word in drawn:
        accepted = word
        while accepted >= limit:
            accepted = next(stream)
        coefficients.append(accepted % modulus)
    return coefficients


def _words(seed: bytes):
    counter = 0
    while True:
        buffer = blake2xb(counter.to_bytes(8, "little"), key=seed, length=BUFFER_BYTES)
        yield from struct.unpack(f"<{BUFFER_BYTES // 8}Q", buffer)
        counter += 1


def _rotated(word: int, bits: int) -> int:
    return (word >> bits | word << (64 - bits)) & MASK
