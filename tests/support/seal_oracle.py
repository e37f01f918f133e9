"""SEAL's own decryptor as a judge: any small polynomial loaded as its secret key, to open (c0, a) under its prime."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tenseal import sealapi

from securefl.crypto import bfv
from securefl.crypto.bfv_profiles import BFV_PROFILES, DATA_PRIME, SPECIAL_PRIME
from securefl.crypto.wireform import wire_form

DEGREE = 4096
PRIME_BITS = 54
DELTA = (1 << PRIME_BITS) - DATA_PRIME


@dataclass(frozen=True)
class SealPrime:
    """Residues modulo SEAL's data prime, in the place of 2^60: words are signed and reduced with ``%``."""

    bits: int = PRIME_BITS

    def joined(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """low + 2^30 high: high = 2^24 u + v, and 2^54 = DELTA, so 2^30 high = DELTA u + 2^30 v."""
        upper = high >> 24
        lower = high - (upper << 24)
        return ((low + DELTA * upper + (lower << 30)) % DATA_PRIME).astype(np.uint64)

    def reduced(self, words: np.ndarray) -> np.ndarray:
        """The residues, 0 to q - 1."""
        return (words.view(np.int64) % DATA_PRIME).astype(np.uint64)

    def centred(self, words: np.ndarray) -> np.ndarray:
        """The residues, -q/2 to q/2."""
        residues = self.reduced(words).view(np.int64)
        return residues - DATA_PRIME * (residues > DATA_PRIME // 2)


class PrimePolynomials:
    """Uniform public polynomials modulo SEAL's prime, as limbs."""

    def __init__(self, seed: int, rows: int) -> None:
        self.residues = np.random.default_rng(seed).integers(0, DATA_PRIME, (rows, DEGREE))

    def limbs(self, first: int, count: int) -> np.ndarray:
        """(count, 2, N) int32."""
        values = self.residues[first : first + count]
        low = ((values + (1 << 29)) & ((1 << 30) - 1)) - (1 << 29)
        return np.stack([low, (values - low) >> 30], axis=1).astype(np.int32)


def _reversed(index: int, bits: int) -> int:
    return int(format(index, f"0{bits}b")[::-1], 2)


def _minimal_root(prime: int) -> int:
    """Smallest primitive 2N-th root of unity: the one that SEAL takes."""
    base = 2
    while pow(base, (prime - 1) // 2, prime) != prime - 1:
        base += 1
    root = pow(base, (prime - 1) // (2 * DEGREE), prime)
    square, current, best = root * root % prime, root, root
    for _ in range(DEGREE - 1):
        current = current * square % prime
        best = min(best, current)
    return best


def number_theoretic(polynomial: Sequence[int], prime: int) -> list[int]:
    """Negacyclic transform in bit-reversed order (Longa, Naehrig 2016, algorithm 1)."""
    root, bits = _minimal_root(prime), DEGREE.bit_length() - 1
    powers = [1]
    for _ in range(DEGREE - 1):
        powers.append(powers[-1] * root % prime)
    table = [powers[_reversed(index, bits)] for index in range(DEGREE)]
    values, step, groups = [x % prime for x in polynomial], DEGREE, 1
    while groups < DEGREE:
        step //= 2
        for group in range(groups):
            factor = table[groups + group]
            for j in range(2 * group * step, 2 * group * step + step):
                upper, lower = values[j], values[j + step] * factor % prime
                values[j], values[j + step] = (upper + lower) % prime, (upper - lower) % prime
        groups *= 2
    return values


class SealOracle:
    """SEAL with a small polynomial as its secret key, and any plain modulus.

    Args:
        secret: (N,) integers.
        plain_modulus: t.
    """

    def __init__(self, secret: np.ndarray, *, plain_modulus: int) -> None:
        profile = dataclasses.replace(BFV_PROFILES[0], name="oracle", plain_modulus=plain_modulus)
        rows = [number_theoretic(secret.tolist(), prime) for prime in (DATA_PRIME, SPECIAL_PRIME)]
        cipher = bfv.BfvCipher.__new__(bfv.BfvCipher)
        cipher.profile, cipher.form, cipher._lock = profile, wire_form("bfv", profile), threading.Lock()
        cipher._file = bfv._MemoryFile()
        cipher._context = bfv._context(profile)
        cipher._format = bfv._format(cipher._context, cipher._file)
        key = sealapi.SecretKey()
        saved = cipher._format.secret_key_object(np.array(rows, dtype=np.uint64))
        key.load(cipher._context, cipher._file.holding(saved))
        self._cipher, self._decryptor = cipher, sealapi.Decryptor(cipher._context, key)

    def open(self, c0: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Centred slots of the ciphertext (c0, a), (N,) each."""
        cipher = self._cipher
        pair = cipher._format.pair_object() + c0.astype("<u8").tobytes() + a.astype("<u8").tobytes()
        ciphertext, plaintext = sealapi.Ciphertext(cipher._context), sealapi.Plaintext()
        ciphertext.load(cipher._context, cipher._file.holding(pair))
        self._decryptor.decrypt(ciphertext, plaintext)
        plaintext.save(cipher._file.path)
        body = cipher._format.body(cipher._file.content(), largest=cipher._format.plaintext_bytes)
        slots = cipher._format.split_plaintext(body).astype(np.int64)
        modulus = cipher.profile.plain_modulus
        return slots - modulus * (slots > modulus // 2)
