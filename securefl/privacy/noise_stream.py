"""Randomness of the noise: a ChaCha20 keystream, keyed once from the operating system.

The rule kept here: no seed of a configuration reaches a key of this module; a test that wants to know the noise passes
its own ``Entropy``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

Entropy = Callable[[int], bytes]
"""So many independent uniform bytes."""

SYSTEM: Final[Entropy] = secrets.token_bytes
"""The operating system's generator."""

KEY_BYTES: Final = 32
_WORD_BYTES: Final = 8
_UNIT: Final = 2.0**-53


class NoiseStream:
    """Uniform words for the noise and the rounding of one contribution.

    Guarantee: indistinguishable from uniform bytes, assuming that the key is uniform and ChaCha20 is a pseudorandom
    function (RFC 8439). The key is kept nowhere else.

    Args:
        entropy: Where the key comes from.
    """

    __slots__ = ("_encryptor",)

    def __init__(self, entropy: Entropy = SYSTEM) -> None:
        self._encryptor = Cipher(ChaCha20(entropy(KEY_BYTES), bytes(16)), mode=None).encryptor()

    def __repr__(self) -> str:
        return "NoiseStream(<redacted>)"

    def words(self, count: int) -> NDArray[np.uint64]:
        """Draw (count,) uint64, uniform and independent."""
        return np.frombuffer(self._encryptor.update(bytes(_WORD_BYTES * count)), dtype="<u8")

    def fractions(self, count: int) -> NDArray[np.float64]:
        """Draw (count,) float64, uniform multiples of 2^-53 in [0, 1); for rounding, never for noise."""
        return (self.words(count) >> np.uint64(11)).astype(np.float64) * _UNIT
