"""Arithmetic modulo q on words of 64 bits, as the scheme needs it: q = 2^60.

A word stands for its class modulo q. Sums, differences and left shifts of words wrap modulo 2^64, which keeps the
class, because q divides 2^64; so nothing is reduced before the end.

The modulus is an argument of ``ring`` and ``scheme``, so that the same code runs under SEAL's prime and SEAL's own
decryptor can judge it (``tests/crypto/kahe/test_seal.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from securefl.crypto.kahe.parameters import Q_BITS
from securefl.crypto.words import Words

WORD_BITS: Final = 64
LIMB_BITS: Final = 30
"""A public coefficient is two signed limbs, low + 2^30 high."""
Integers = NDArray[np.int64]


class Modulus(Protocol):
    """Residues modulo q in words of 64 bits."""

    @property
    def bits(self) -> int:
        """Width of a residue: q is at most 2^bits."""
        ...

    def joined(self, low: Integers, high: Integers) -> Words:
        """Words of low + 2^30 high, element by element; may write into both arguments."""
        ...

    def reduced(self, words: Words) -> Words:
        """The residues, 0 to q - 1; may write into the argument."""
        ...

    def centred(self, words: Words) -> Integers:
        """The residues, -q/2 to q/2; may write into the argument."""
        ...


@dataclass(frozen=True, slots=True)
class PowerOfTwo:
    """The modulus 2^bits, at most 64 bits."""

    bits: int

    def joined(self, low: Integers, high: Integers) -> Words:
        """Words of low + 2^30 high; writes into ``high``."""
        high <<= LIMB_BITS
        high += low
        return high.view(np.uint64)

    def reduced(self, words: Words) -> Words:
        """The residues, 0 to q - 1; in place."""
        words &= np.uint64((1 << self.bits) - 1)
        return words

    def centred(self, words: Words) -> Integers:
        """The residues, -q/2 to q/2 - 1; in place."""
        signed = words.view(np.int64)
        signed <<= WORD_BITS - self.bits
        signed >>= WORD_BITS - self.bits
        return signed


Q: Final = PowerOfTwo(Q_BITS)
"""The modulus of the scheme, q = 2^60."""
