"""From an aggregate, verified, back to integers.

The rule kept here: nothing that came from the server reaches the cipher before every header, seed and length in it
has been checked against this client's own federation file, and every ciphertext against its MAC. So the body is read
twice, window by window: once for the MACs of all sections, and then, the verdict being given, to decrypt.

    lengths, headers, signatures -> MAC of every ciphertext | decrypt -> tags -> unpack

References: ``crypto.authentication`` and ``crypto.tags`` for theirs; ``protos/SPEC.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from securefl.aggregation.contribution import section_mac, section_tags
from securefl.crypto.cipher import Cipher
from securefl.crypto.keys import SharedKeys
from securefl.crypto.packing import unpack
from securefl.crypto.windows import Window, values_in, windows
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import AuthenticationError, WireError
from securefl.identity.signing import verify
from securefl.protocol.federation import Federation
from securefl.protocol.messages import AggregateHeader, Manifest, SignedHeader
from securefl.protocol.sections import Section, StreamSizes

Integers = NDArray[np.int64]


class Body(Protocol):
    """An aggregate's residues and MACs, in memory or on disk."""

    def __len__(self) -> int:
        """Its length, bytes."""
        ...

    def __getitem__(self, place: slice, /) -> bytes:
        """Some of it."""
        ...


@dataclass(frozen=True, slots=True)
class _Read:
    """One section of an aggregate, and where it lies.

    Attributes:
        number: Of the section.
        values: Integers in it.
        cipher: Opens it.
        start: Where in the body it begins.
        seeds: Every member with its seeds for this section.
    """

    number: int
    values: int
    cipher: Cipher
    start: int
    seeds: tuple[tuple[str, bytes], ...]

    @property
    def section(self) -> Section:
        return Section(self.cipher.form, self.cipher.profile.ciphertexts_for(self.values))

    def ciphertexts(self, body: Body) -> Iterator[tuple[Window, Ciphertexts]]:
        """All windows, decoded and range-checked."""
        form = self.cipher.form
        for window in windows(self.section.ciphertexts):
            start = self.start + form.aggregate_bytes(window.first)
            data = body[start : start + form.aggregate_bytes(window.count)]
            yield window, form.decode_aggregate(data, ciphertexts=window.count)


def decrypt_aggregate(
    header: AggregateHeader,
    body: Body,
    *,
    federation: Federation,
    manifest: Manifest,
    own: SignedHeader,
    ciphers: Sequence[Cipher],
    keys: SharedKeys,
) -> Integers:
    """Verifies an aggregate and decrypts it to the exact sums (D,), int64, of the cohort's integers.

    Guarantee: the seeds that reach the cipher are, one for one, those that each member of the manifest's cohort
    signed for this round (EUF-CMA of Ed25519, collision resistance of SHA-256), and the residues are the sum of
    those that each of them sealed, or a forgery succeeded (``CiphertextMac``: at most 2^-54 an attempt, and 1/t in
    a plain section, against who lacks the keys). So no verdict on anything the server altered depends on the
    secret key. Whatever fails of MACs and tags, the error is the same one; a failure of the MACs comes before
    the decryption and one of the tags after it, which tells the server no more than which of the two it altered
    itself.

    Args:
        header: Who is in it, and their seeds.
        body: Residues and MACs.
        federation: This client's own federation file.
        manifest: The round's.
        own: What this client signed in this round.
        ciphers: One for each section of the round.
        keys: The shared keys.

    Returns:
        The sections' integers, one section behind the other.

    Raises:
        AuthenticationError: if a contributor, a seed or a signature does not hold, or this client's own is not in it.
        WireError: if a length, a residue or a MAC is out of its range.
        ForgeryError: if it is not the sum of what its contributors sealed.
    """
    verify_contributors(header, federation=federation, manifest=manifest, own=own)
    expected = StreamSizes.of_aggregate(federation.sections(manifest.round_number)).body_bytes
    if len(body) != expected:
        raise WireError(f"{len(body)} bytes arrived where {expected} belong")
    reads = tuple(_reads(header, federation=federation, manifest=manifest, ciphers=ciphers))
    for read in reads:
        _verify(read, body, manifest=manifest, keys=keys)
    return np.concatenate([_decrypt(read, body, manifest=manifest, keys=keys) for read in reads])


def verify_contributors(
    header: AggregateHeader, *, federation: Federation, manifest: Manifest, own: SignedHeader
) -> None:
    """Checks that an aggregate claims exactly the manifest's cohort, each by its own signature.

    Raises:
        AuthenticationError: at the first thing that does not hold.
    """
    claimed = tuple(signed.header.member for signed in header.contributors)
    if (
        header.round_number != manifest.round_number
        or claimed != manifest.cohort
        or len(header.seeds) != len(claimed)
    ):
        raise AuthenticationError(
            f"the aggregate of round {manifest.round_number} is not the sum of the whole cohort"
        )
    if own not in header.contributors:
        raise AuthenticationError(
            f"the aggregate of round {manifest.round_number} leaves this client's contribution out"
        )
    seed_bytes = StreamSizes.of_aggregate(federation.sections(manifest.round_number)).seeds_bytes
    for signed, seeds in zip(header.contributors, header.seeds, strict=True):
        _verify_contributor(signed, seeds, seed_bytes=seed_bytes, federation=federation, manifest=manifest)


def _verify_contributor(
    signed: SignedHeader, seeds: bytes, *, seed_bytes: int, federation: Federation, manifest: Manifest
) -> None:
    header = signed.header
    if header.round_number != manifest.round_number or header.manifest_digest != manifest.digest:
        raise AuthenticationError(f"{header.member}'s contribution is for another round or manifest")
    if len(seeds) != seed_bytes or hashlib.sha256(seeds).digest() != header.seeds_digest:
        raise AuthenticationError(f"{header.member}'s seeds are not those it signed")
    verify(federation.member(header.member).signing_key, signed.signature, header.signed_bytes())


def _reads(
    header: AggregateHeader, *, federation: Federation, manifest: Manifest, ciphers: Sequence[Cipher]
) -> Iterator[_Read]:
    start = first_seed = 0
    counts = federation.kind_of(manifest.round_number).section_values
    for number, (values, cipher) in enumerate(zip(counts, ciphers, strict=True)):
        section = Section(cipher.form, cipher.profile.ciphertexts_for(values))
        place = slice(first_seed, first_seed + section.seeds_bytes)
        seeds = tuple((member, own[place]) for member, own in zip(manifest.cohort, header.seeds, strict=True))
        yield _Read(number, values, cipher, start, seeds)
        start, first_seed = start + section.aggregate_bytes, place.stop


def _verify(read: _Read, body: Body, *, manifest: Manifest, keys: SharedKeys) -> None:
    mac = section_mac(read.cipher.form, manifest=manifest, keys=keys, section=read.number)
    verification = mac.verification(read.seeds)
    for _, ciphertexts in read.ciphertexts(body):
        verification.add(ciphertexts)
    verification.verdict()


def _decrypt(read: _Read, body: Body, *, manifest: Manifest, keys: SharedKeys) -> Integers:
    cipher, size = read.cipher, read.cipher.form.seed_bytes
    tags = section_tags(
        cipher.profile,
        ciphertexts=read.section.ciphertexts,
        manifest=manifest,
        keys=keys,
        section=read.number,
    ).start()
    sums = np.empty(read.values, dtype=np.int64)
    place = 0
    for window, ciphertexts in read.ciphertexts(body):
        seeds = [own[window.first * size : (window.first + window.count) * size] for _, own in read.seeds]
        slots = cipher.open(ciphertexts.residues, seeds)
        if window.last:
            tags.check(slots, manifest.cohort)
        else:
            tags.add(slots)
        inside = values_in(window, values=read.values, profile=cipher.profile)
        sums[place : place + inside] = unpack(slots, inside, cipher.profile, tags=window.last)
        place += inside
    return sums
