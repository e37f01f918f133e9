"""Form in which ciphertexts travel: our own, of fixed length, with exact sizes and checked decoding.

The rule kept here: the number of bytes follows from the layout alone, so a peer's bytes are compared with an
exact length and every residue with its range before anything computes with them; no bytes of a peer reach a
deserialiser of SEAL or TenSEAL.

A contribution is its ciphertexts, one after the other, each its residues and, where the form has one, its MAC; apart
from them there may be seeds. An aggregate is the same with the residues and MACs of the sum. So a range of ciphertexts
is a range of bytes, both ways. All are little-endian words (``words``).

    kahe   words of (60 - d) / 8 bytes, added modulo 2^(60-d): every string of the right length is in range, and the
           sum is as wide as a contribution
    none   the slots in words of the same width, added the same way
    bfv    rounded residues modulo q, a MAC each, and seeds; full residues in the sum
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from securefl.crypto.bfv_profiles import BfvProfile
from securefl.crypto.kahe.profiles import KaheProfile
from securefl.crypto.profiles import Profile
from securefl.crypto.schemes import Scheme
from securefl.crypto.words import Words, decode_words, encode_words
from securefl.errors import CapacityError, WireError

SEED_BYTES = 64
"""Seed of a ciphertext's second polynomial: what SEAL's Blake2xb generator takes."""
Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, eq=False)
class Ciphertexts:
    """Some ciphertexts of a contribution or of an aggregate, in order.

    Attributes:
        residues: (k, N) uint64.
        macs: (k,) uint64, the MAC of each (``authentication``); zeros where the form has none.
    """

    residues: Words
    macs: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class WireForm:
    """Sizes and ranges of what travels; one for each scheme and profile (``wire_form``).

    Attributes:
        degree: N, residues of one ciphertext.
        modulus: What residues are added by: q under ``bfv``, else 2^(8 times their width).
        dropped_bits: Low bits that were rounded away from uploaded residues.
        upload_residue_bytes: Width of one uploaded residue.
        aggregate_residue_bytes: Width of one residue of an aggregate.
        mac_bytes: Width of one ciphertext's MAC, a full residue; 0 where there is none.
        seed_bytes: Seed of one ciphertext; 0 where there is none.
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

    @property
    def takes_any_words(self) -> bool:
        """True where words add with wrap-around: only the length of an upload can be wrong."""
        return not self.mac_bytes and self.modulus == self.upload_limit == 1 << (
            8 * self.upload_residue_bytes
        )

    def upload_bytes(self, ciphertexts: int) -> int:
        """Length of a contribution's ciphertexts."""
        return ciphertexts * self._row_bytes(self.upload_residue_bytes)

    def seeds_bytes(self, ciphertexts: int) -> int:
        """Length of a contribution's seeds."""
        return ciphertexts * self.seed_bytes

    def aggregate_bytes(self, ciphertexts: int) -> int:
        """Length of an aggregate's ciphertexts."""
        return ciphertexts * self._row_bytes(self.aggregate_residue_bytes)

    def encode_residues(self, residues: Words) -> bytes:
        """C ciphertexts of (C, N) words without MACs; what stands above the words' width is left out."""
        return encode_words(residues.reshape(-1), self.upload_residue_bytes)

    def encode_upload(self, sent: Ciphertexts) -> bytes:
        """C ciphertexts with rounded residues to ``upload_bytes(C)`` bytes."""
        return self._encoded(sent, self.upload_residue_bytes)

    def check_upload(self, data: Buffer, *, ciphertexts: int) -> None:
        """Refuse what ``decode_upload`` refuses; words of which none can be out of range are not decoded for it.

        Raises:
            WireError: if the length is another, or a residue or a MAC is out of range.
        """
        if self.takes_any_words:
            self._check_length(data, ciphertexts, self.upload_residue_bytes)
        else:
            self.decode_upload(data, ciphertexts=ciphertexts)

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

    def decode_window(self, data: Buffer) -> Ciphertexts:
        """``decode_aggregate`` of as many ciphertexts as the bytes hold.

        Raises:
            WireError: if they are not whole ciphertexts, or a residue or a MAC is out of range.
        """
        return self.decode_aggregate(data, ciphertexts=len(data) // self.aggregate_bytes(1))

    def check_seeds(self, seeds: bytes, *, ciphertexts: int) -> None:
        """Refuse seeds of the wrong length; any bytes of the right length are seeds.

        Raises:
            WireError: if the length is another.
        """
        if len(seeds) != self.seeds_bytes(ciphertexts):
            raise WireError(
                f"seeds of {len(seeds)} bytes arrived where {self.seeds_bytes(ciphertexts)} bytes belong"
            )

    def _check_length(self, data: Buffer, count: int, residue_bytes: int) -> None:
        expected = count * self._row_bytes(residue_bytes)
        if len(data) != expected:
            raise WireError(f"{len(data)} bytes arrived where {expected} belong")

    def _row_bytes(self, residue_bytes: int) -> int:
        return self.degree * residue_bytes + self.mac_bytes

    def _encoded(self, ciphertexts: Ciphertexts, residue_bytes: int) -> bytes:
        residues = encode_words(ciphertexts.residues.reshape(-1), residue_bytes)
        if not self.mac_bytes:
            return residues
        columns = (residues, encode_words(ciphertexts.macs, self.mac_bytes))
        rows = [np.frombuffer(column, np.uint8).reshape(len(ciphertexts.macs), -1) for column in columns]
        return np.concatenate(rows, axis=1).tobytes()

    def _decoded(self, data: Buffer, count: int, residue_bytes: int, limit: int) -> Ciphertexts:
        self._check_length(data, count, residue_bytes)
        shape = (count, self.degree)
        if not self.mac_bytes:
            residues = _words(data, residue_bytes, limit, what="residue").reshape(shape)
            return Ciphertexts(residues, np.zeros(count, dtype=np.uint64))
        rows = np.frombuffer(data, np.uint8).reshape(count, -1)
        left, right = np.hsplit(rows, [self.degree * residue_bytes])
        return Ciphertexts(
            _words(left.tobytes(), residue_bytes, limit, what="residue").reshape(shape),
            _words(right.tobytes(), self.mac_bytes, self.modulus, what="MAC"),
        )


def wire_form(scheme: Scheme, profile: Profile) -> WireForm:
    """The wire form of this cipher and profile.

    Raises:
        CapacityError: if the profile is not one of the scheme's.
    """
    match scheme, profile:
        case "bfv", BfvProfile():
            return _residue_form(profile)
        case ("kahe", KaheProfile()) | ("none", _):
            return _word_form(profile)
        case _:
            raise CapacityError(f"profile {profile.name} is not one of scheme {scheme}")


def _residue_form(profile: BfvProfile) -> WireForm:
    """Residues modulo q with MACs and seeds."""
    return WireForm(
        degree=profile.poly_modulus_degree,
        modulus=profile.data_prime,
        dropped_bits=profile.dropped_bits,
        upload_residue_bytes=profile.word_bytes,
        aggregate_residue_bytes=_bytes_for(profile.data_prime - 1),
        mac_bytes=_bytes_for(profile.data_prime - 1),
        seed_bytes=SEED_BYTES,
    )


def _word_form(profile: Profile) -> WireForm:
    """Words that add with wrap-around."""
    return WireForm(
        degree=profile.poly_modulus_degree,
        modulus=1 << (8 * profile.word_bytes),
        dropped_bits=0,
        upload_residue_bytes=profile.word_bytes,
        aggregate_residue_bytes=profile.word_bytes,
        mac_bytes=0,
        seed_bytes=0,
    )


def rounded(residue: int, dropped_bits: int) -> int:
    """The nearest multiple of 2^dropped_bits, in units of it; halves go up."""
    return (residue + (1 << dropped_bits >> 1)) >> dropped_bits


def round_residues(residues: Words, form: WireForm) -> Words:
    """(C, N) full residues to what is uploaded of them: ``rounded``, element by element."""
    half = np.uint64(1 << form.dropped_bits >> 1)
    return (residues + half) >> np.uint64(form.dropped_bits)


def _words(data: Buffer, width: int, limit: int, *, what: str) -> Words:
    """Words of a peer's bytes, each below the limit."""
    words = decode_words(data, width, count=len(data) // width)
    if limit < 1 << (8 * width) and words.size and int(words.max()) >= limit:
        raise WireError(f"a {what} is not below its modulus", hint="the peer does not follow this profile")
    return words


def _bytes_for(largest: int) -> int:
    return -(-largest.bit_length() // 8)
