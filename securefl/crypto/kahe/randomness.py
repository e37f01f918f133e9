"""Random bytes of keys and errors: one keystream for each, under a seed of ``entropy``."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from securefl.crypto.entropy import SYSTEM, Entropy

SEED_BYTES: Final = 32


class RandomStream:
    """Bytes for one contribution: a ChaCha20 keystream under a seed that is drawn once and kept nowhere else.

    Guarantee: indistinguishable from uniform bytes, assuming that the seed is uniform and ChaCha20 is a pseudorandom
    function (RFC 8439).

    Args:
        entropy: Where the seed comes from.
    """

    def __init__(self, entropy: Entropy = SYSTEM) -> None:
        self._encryptor = Cipher(ChaCha20(entropy(SEED_BYTES), bytes(16)), mode=None).encryptor()

    def __repr__(self) -> str:
        return "RandomStream(<redacted>)"

    def take(self, size: int) -> bytes:
        """The next bytes of the stream."""
        return self._encryptor.update(bytes(size))
