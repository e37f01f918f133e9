"""Form in which ciphertexts travel: our own, of fixed length, with exact sizes and checked decoding.

The rule kept here: the number of bytes follows from the layout alone, so a peer's bytes are compared with an
exact length and every residue with its range before anything computes with them; no bytes of a peer reach a
deserialiser of SEAL or TenSEAL.

A contribution is its ciphertexts, one after the other, each its residues and then its MAC, and apart from them
the seeds; an aggregate is the same with full residues and summed MACs. So a range of ciphertexts is a range of
bytes, both ways. All are little-endian words (``words``). ``scheme`` names the cipher: ``bfv`` sends rounded
residues modulo q and seeds, ``none`` (the integer twin) sends slots modulo t and no seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from securefl.crypto.profiles import Profile
from securefl.crypto.words import Words, decode_words, encode_words
from securefl.errors import WireError

Scheme = Literal["bfv", "none"]
SEED_BYTES = 64
"""Seed of a ciphertext's second polynomial: what SEAL's Blake2xb generator takes."""
Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, eq=False)
class Ciphertexts:
    """Some ciphertexts of a contribution or of an aggregate, in order.

    Attributes:
        residues: (k, N) uint64.
        macs: (k,) uint64, the MAC of each (``authentication``).
    """

    residues: Words
    macs: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class WireForm:
    """Sizes and ranges of what travels; one for each scheme and profile (``wire_form``).

    Attributes:
        degree: N, residues of one ciphertext.
        modulus: What residues are added by: q, or t under the integer twin.
        dropped_bits: Low bits that were rounded away from uploaded residues.
        upload_residue_bytes: Width of one uploaded residue.
        aggregate_residue_bytes: Width of one residue of an aggregate.
        mac_bytes: Width of one ciphertext's MAC, a full residue.
        seed_bytes: Seed of one ciphertext; 0 under the integer twin.
    """

    degree: int
    modulus: int
    dropped_bits: int
    upload_residue_bytes: int
    aggregate_residue_bytes: int
    mac_bytes: int
    seed_bytes: int

    @property
    def upload_limit(self) -> int:
        """Uploaded residues are below this: the modulus, rounded as they are."""
        return rounded(self.modulus - 1, self.dropped_bits) + 1

    def upload_bytes(self, ciphertexts: int) -> int:
        """Length of a contribution's residues and MACs."""
        return ciphertexts * self._row_bytes(self.upload_residue_bytes)

    def seeds_bytes(self, ciphertexts: int) -> int:
        """Length of a contribution's seeds."""
        return ciphertexts * self.seed_bytes

    def aggregate_bytes(self, ciphertexts: int) -> int:
        """Length of an aggregate's residues and MACs."""
        return ciphertexts * self._row_bytes(self.aggregate_residue_bytes)

    def encode_upload(self, sent: Ciphertexts) -> bytes:
        """C ciphertexts with rounded residues to ``upload_bytes(C)`` bytes."""
        return self._encoded(sent, self.upload_residue_bytes)

    def decode_upload(self, data: Buffer, *, ciphertexts: int) -> Ciphertexts:
        """A contribution's ciphertexts, or a window of them.

        Args:
            data: Bytes of a peer: ``upload_bytes(ciphertexts)`` of them.
            ciphertexts: How many ciphertexts the window has.

        Returns:
            Residues (ciphertexts, N) below ``upload_limit``, and MACs below ``modulus``.

        Raises:
            WireError: if the length is another, or a residue or a MAC is out of range.
        """
        return self._decoded(data, ciphertexts, self.upload_residue_bytes, self.upload_limit)

    def encode_aggregate(self, total: Ciphertexts) -> bytes:
        """C ciphertexts with full residues to ``aggregate_bytes(C)`` bytes."""
        return self._encoded(total, self.aggregate_residue_bytes)

    def decode_aggregate(self, data: Buffer, *, ciphertexts: int) -> Ciphertexts:
        """An aggregate's ciphertexts, or a window of them.

        Returns:
            Residues (ciphertexts, N) and MACs, all below ``modulus``.

        Raises:
            WireError: if the length is another, or a residue or a MAC is out of range.
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

    def _row_bytes(self, residue_bytes: int) -> int:
        return self.degree * residue_bytes + self.mac_bytes

    def _encoded(self, ciphertexts: Ciphertexts, residue_bytes: int) -> bytes:
        columns = (
            encode_words(ciphertexts.residues.reshape(-1), residue_bytes),
            encode_words(ciphertexts.macs, self.mac_bytes),
        )
        rows = [np.frombuffer(column, np.uint8).reshape(len(ciphertexts.macs), -1) for column in columns]
        return np.concatenate(rows, axis=1).tobytes()

    def _decoded(self, data: Buffer, count: int, residue_bytes: int, limit: int) -> Ciphertexts:
        if len(data) != count * self._row_bytes(residue_bytes):
            raise WireError(
                f"{len(data)} bytes arrived where {count * self._row_bytes(residue_bytes)} belong"
            )
        rows = np.frombuffer(data, np.uint8).reshape(count, -1)
        residues, macs = np.hsplit(rows, [self.degree * residue_bytes])
        return Ciphertexts(
            _words(residues, residue_bytes, limit, what="residue").reshape(count, self.degree),
            _words(macs, self.mac_bytes, self.modulus, what="MAC"),
        )


def wire_form(scheme: Scheme, profile: Profile) -> WireForm:
    """Choose the wire form of this cipher and profile."""
    modulus = profile.data_prime if scheme == "bfv" else profile.plain_modulus
    dropped_bits = profile.dropped_bits if scheme == "bfv" else 0
    return WireForm(
        degree=profile.poly_modulus_degree,
        modulus=modulus,
        dropped_bits=dropped_bits,
        upload_residue_bytes=_bytes_for(rounded(modulus - 1, dropped_bits)),
        aggregate_residue_bytes=_bytes_for(modulus - 1),
        mac_bytes=_bytes_for(modulus - 1),
        seed_bytes=SEED_BYTES if scheme == "bfv" else 0,
    )


def rounded(residue: int, dropped_bits: int) -> int:
    """The nearest multiple of 2^dropped_bits, in units of it; halves go up."""
    return (residue + (1 << dropped_bits >> 1)) >> dropped_bits


def round_residues(residues: Words, form: WireForm) -> Words:
    """(C, N) full residues to what is uploaded of them: ``rounded``, element by element."""
    half = np.uint64(1 << form.dropped_bits >> 1)
    return (residues + half) >> np.uint64(form.dropped_bits)


def _words(columns: NDArray[np.uint8], width: int, limit: int, *, what: str) -> Words:
    """The words of some columns of a table of bytes, row by row, each below the limit."""
    words = decode_words(columns.tobytes(), width, count=columns.size // width)
    if words.size and int(words.max()) >= limit:
        raise WireError(f"a {what} is not below its modulus", hint="the peer does not follow this profile")
    return words


def _bytes_for(largest: int) -> int:
    return -(-largest.bit_length() // 8)
