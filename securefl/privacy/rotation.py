"""A public random rotation that flattens a vector, so that no coordinate of it is large on the integer grid.

The rule kept here: the rotation is orthonormal on exactly the payload's coordinates; nothing is padded, because padding
to a power of two would nearly double the bytes of an upload in the worst case.

    p = the largest power of two up to d
    y = H2 D2 H1 D1 x,   D1, D2 random signs on all d coordinates,
    H1 the normalised Hadamard transform of the first p coordinates, H2 that of the last p

The two blocks overlap and cover everything, so that each coordinate is spread over more than half of all. Signs are
public: they follow from a seed of the round, and protect nothing.

Reference: Kairouz, Liu, Steinke, ICML 2021 (arXiv 2102.06387), section 3, for one padded block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from securefl.errors import ConfigError

SEED_BYTES: Final = 32
Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation of R^d.

    Attributes:
        dimension: d.
        seed: 32 public bytes of the round, the same at every member.

    Raises:
        ConfigError: if there are no coordinates, or the seed has another length.
    """

    dimension: int
    seed: bytes

    def __post_init__(self) -> None:
        if self.dimension < 1 or len(self.seed) != SEED_BYTES:
            raise ConfigError(
                f"a rotation of {self.dimension} values under a seed of {len(self.seed)} bytes",
                hint=f"it takes at least one value and {SEED_BYTES} bytes",
            )

    def apply(self, values: Vector) -> Vector:
        """Rotate (d,) float64 values; the Euclidean norm stays, up to rounding."""
        rotated = np.array(values, dtype=np.float64)
        for signs, block in zip(self._signs(), self._blocks(), strict=True):
            rotated *= signs
            _hadamard(rotated[block])
        return rotated

    def invert(self, values: Vector) -> Vector:
        """Turn (d,) float64 values back: the inverse of ``apply``."""
        turned = np.array(values, dtype=np.float64)
        for signs, block in zip(reversed(self._signs()), reversed(self._blocks()), strict=True):
            _hadamard(turned[block])
            turned *= signs
        return turned

    def _blocks(self) -> tuple[slice, slice]:
        power = 1 << (self.dimension.bit_length() - 1)
        return slice(0, power), slice(self.dimension - power, self.dimension)

    def _signs(self) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """(2, d) signs from the seed's keystream, a bit each."""
        size = -(-self.dimension // 8)
        stream = Cipher(ChaCha20(self.seed, bytes(16)), mode=None).encryptor().update(bytes(2 * size))
        bits = np.unpackbits(np.frombuffer(stream, np.uint8).reshape(2, size), axis=1)[:, : self.dimension]
        first, second = 1 - 2 * bits.astype(np.int8)
        return first, second


def _hadamard(block: Vector) -> None:
    """The normalised Walsh-Hadamard transform in place; the length is a power of two."""
    width = 1
    while width < block.size:
        pairs = block.reshape(-1, 2, width)
        difference = pairs[:, 0] - pairs[:, 1]
        pairs[:, 0] += pairs[:, 1]
        pairs[:, 1] = difference
        width *= 2
    block /= np.sqrt(block.size)
