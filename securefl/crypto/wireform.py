"""What travels of one ciphertext, in our own fixed-length form: exact sizes, and checked decoding.

The rule kept here: the number of bytes follows from the layout alone, so a peer's bytes are compared with an
exact length and every residue with its range before anything computes with them; no bytes of a peer reach a
deserialiser of SEAL or TenSEAL.

A contribution is the residues of its ciphertexts, one after the other, and apart from them the seeds; an
aggregate is full residues. All are little-endian words (``words``). ``scheme`` names the cipher: ``bfv``
sends rounded residues modulo q and seeds, ``none`` (the integer twin) sends slots modulo t and no seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from securefl.crypto.profiles import Profile
from securefl.crypto.words import Words, decode_words, encode_words
from securefl.errors import WireError

Scheme = Literal["bfv", "none"]
SEED_BYTES = 64
"""Seed of a ciphertext's second polynomial: what SEAL's Blake2xb generator takes."""
Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class WireForm:
    """Sizes and ranges of what travels; one for each scheme and profile (``wire_form``).

    Attributes:
        degree: N, residues of one ciphertext.
        modulus: What residues are added by: q, or t under the integer twin.
        dropped_bits: Low bits that were rounded away from uploaded residues.
        upload_residue_bytes: Width of one uploaded residue.
        aggregate_residue_bytes: Width of one residue of an aggregate.
        seed_bytes: Seed of one ciphertext; 0 under the integer twin.
    """

    degree: int
    modulus: int
    dropped_bits: int
    upload_residue_bytes: int
    aggregate_residue_bytes: int
    seed_bytes: int

    @property
    def upload_limit(self) -> int:
        """Uploaded residues are below this: the modulus, rounded as they are."""
        return rounded(self.modulus - 1, self.dropped_bits) + 1

    def upload_bytes(self, ciphertexts: int) -> int:
        """Length of a contribution's residues."""
        return ciphertexts * self.degree * self.upload_residue_bytes

    def seeds_bytes(self, ciphertexts: int) -> int:
        """Length of a contribution's seeds."""
        return ciphertexts * self.seed_bytes

    def aggregate_bytes(self, ciphertexts: int) -> int:
        """Length of an aggregate's residues."""
        return ciphertexts * self.degree * self.aggregate_residue_bytes

    def encode_upload(self, residues: Words) -> bytes:
        """(C, N) rounded residues to ``upload_bytes(C)`` bytes."""
        return encode_words(residues.reshape(-1), self.upload_residue_bytes)

    def decode_upload(self, data: Buffer, *, ciphertexts: int) -> Words:
        """A contribution's residues, or a window of whole ciphertexts of them.

        Args:
            data: Bytes of a peer: ``upload_bytes(ciphertexts)`` of them.
            ciphertexts: How many ciphertexts the window has.

        Returns:
            (ciphertexts, N) uint64, each below ``upload_limit``.

        Raises:
            WireError: if the length is another, or a residue is out of range.
        """
        return self._decoded(data, ciphertexts, self.upload_residue_bytes, self.upload_limit)

    def encode_aggregate(self, residues: Words) -> bytes:
        """(C, N) full residues to ``aggregate_bytes(C)`` bytes."""
        return encode_words(residues.reshape(-1), self.aggregate_residue_bytes)

    def decode_aggregate(self, data: Buffer, *, ciphertexts: int) -> Words:
        """An aggregate's residues, or a window of whole ciphertexts of them.

        Returns:
            (ciphertexts, N) uint64, each below ``modulus``.

        Raises:
            WireError: if the length is another, or a residue is out of range.
        """
        return self._decoded(data, ciphertexts, self.aggregate_residue_bytes, self.modulus)

    def check_seeds(self, seeds: bytes, *, ciphertexts: int) -> None:
        """Refuses seeds of the wrong length; any bytes of the right length are seeds.

        Raises:
            WireError: if the length is another.
        """
        if len(seeds) != self.seeds_bytes(ciphertexts):
            raise WireError(
                f"seeds of {len(seeds)} bytes arrived where {self.seeds_bytes(ciphertexts)} bytes belong"
            )

    def _decoded(self, data: Buffer, ciphertexts: int, width: int, limit: int) -> Words:
        residues = decode_words(data, width, count=ciphertexts * self.degree)
        if residues.size and int(residues.max()) >= limit:
            raise WireError(
                "a residue is not below its modulus", hint="the peer does not follow this profile"
            )
        return residues.reshape(ciphertexts, self.degree)


def wire_form(scheme: Scheme, profile: Profile) -> WireForm:
    """What travels under this cipher and profile."""
    modulus = profile.data_prime if scheme == "bfv" else profile.plain_modulus
    dropped_bits = profile.dropped_bits if scheme == "bfv" else 0
    return WireForm(
        degree=profile.poly_modulus_degree,
        modulus=modulus,
        dropped_bits=dropped_bits,
        upload_residue_bytes=_bytes_for(rounded(modulus - 1, dropped_bits)),
        aggregate_residue_bytes=_bytes_for(modulus - 1),
        seed_bytes=SEED_BYTES if scheme == "bfv" else 0,
    )


def rounded(residue: int, dropped_bits: int) -> int:
    """The nearest multiple of 2^dropped_bits, in units of it; halves go up."""
    return (residue + (1 << dropped_bits >> 1)) >> dropped_bits


def round_residues(residues: Words, form: WireForm) -> Words:
    """(C, N) full residues to what is uploaded of them: ``rounded``, element by element."""
    half = np.uint64(1 << form.dropped_bits >> 1)
    return (residues + half) >> np.uint64(form.dropped_bits)


def _bytes_for(largest: int) -> int:
    return -(-largest.bit_length() // 8)
