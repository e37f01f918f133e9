"""From an aggregate, verified, back to integers.

The rule kept here: nothing that came from the server reaches the cipher before every header, seed and length in it
has been checked against this client's own federation file, and every ciphertext against its MAC. So the body is read
twice, window by window: once for the MACs of all sections, and then, the verdict being given, to decrypt.

    lengths, headers, signatures -> MAC of every ciphertext | decrypt -> tags -> unpack

References: ``crypto.authentication`` and ``crypto.tags`` for theirs; ``protos/SPEC.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from securefl.aggregation.contribution import section_mac, section_tags
from securefl.crypto.cipher import Cipher, Decryption
from securefl.crypto.keys import SharedKeys
from securefl.crypto.packing import Integers, unpack
from securefl.crypto.windows import Window, values_in, windows
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import AuthenticationError, WireError
from securefl.identity.signing import verify
from securefl.protocol.federation import Federation
from securefl.protocol.messages import AggregateHeader, Manifest, SignedHeader
from securefl.protocol.sections import Section, StreamSizes


class Body(Protocol):
    """An aggregate's residues and MACs, in memory or on disk."""

    def __len__(self) -> int:
        """Its length, bytes."""
        ...

    def __getitem__(self, place: slice, /) -> bytes:
        """Some of it."""
        ...


@dataclass(frozen=True, slots=True)
class SummedSection:
    """One section of an aggregate, and where it lies.

    Attributes:
        number: Of the section.
        values: Integers in it.
        cipher: Decrypts it.
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
        """Its form, and the number of its ciphertexts."""
        return Section(self.cipher.form, self.cipher.profile.ciphertexts_for(self.values))

    def ciphertexts(self, body: Body) -> Iterator[tuple[Window, Ciphertexts]]:
        """All windows, decoded and range-checked."""
        form = self.cipher.form
        for window in windows(self.section.ciphertexts):
            start = self.start + form.aggregate_bytes(window.first)
            data = body[start : start + form.aggregate_bytes(window.count)]
            yield window, form.decode_aggregate(data, ciphertexts=window.count)

    def decryptions(self) -> Iterator[Decryption]:
        """Each window's decryption, with everybody's seeds expanded: this needs no sum."""
        size = self.cipher.form.seed_bytes
        for window in windows(self.section.ciphertexts):
            decryption = self.cipher.decryption(window.count)
            for _, seeds in self.seeds:
                decryption.add(seeds[window.first * size : (window.first + window.count) * size])
            yield decryption

    def verify(self, body: Body, *, manifest: Manifest, keys: SharedKeys) -> None:
        """Checks the MAC of every ciphertext.

        Raises:
            WireError: if a residue or a MAC is out of its range.
            ForgeryError: if they are not the sums of what the contributors encrypted.
        """
        mac = section_mac(self.cipher.form, manifest=manifest, keys=keys, section=self.number)
        verification = mac.verification(self.seeds)
        for _, ciphertexts in self.ciphertexts(body):
            verification.add(ciphertexts)
        verification.verdict()

    def decrypt(
        self,
        body: Body,
        *,
        manifest: Manifest,
        keys: SharedKeys,
        decryptions: Iterable[Decryption] | None = None,
    ) -> Integers:
        """Decrypts what ``verify`` accepted, checks the tags and unpacks the sums.

        Args:
            body: Residues and MACs of all sections.
            manifest: The round's.
            keys: The shared keys.
            decryptions: Each window's, where they were made beforehand; else one at a time.

        Returns:
            (values,) int64.

        Raises:
            ForgeryError: if the plaintext is not the sum of what the contributors packed.
        """
        profile = self.cipher.profile
        tags = section_tags(
            profile,
            ciphertexts=self.section.ciphertexts,
            manifest=manifest,
            keys=keys,
            section=self.number,
        ).start()
        sums = np.empty(self.values, dtype=np.int64)
        place = 0
        prepared = self.decryptions() if decryptions is None else decryptions
        for (window, ciphertexts), decryption in zip(self.ciphertexts(body), prepared, strict=True):
            slots = decryption.decrypt(ciphertexts.residues)
            if window.last:
                tags.check(slots, manifest.cohort)
            else:
                tags.add(slots)
            inside = values_in(window, values=self.values, profile=profile)
            sums[place : place + inside] = unpack(slots, inside, profile, tags=window.last)
            place += inside
        return sums


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
    those that each of them encrypted, or a forgery succeeded (``CiphertextMac``: at most 2^-54 an attempt, and 1/t in
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
        ForgeryError: if it is not the sum of what its contributors encrypted.
    """
    verify_contributors(header, federation=federation, manifest=manifest, own=own)
    expected = StreamSizes.of_aggregate(federation.sections(manifest.round_number)).body_bytes
    if len(body) != expected:
        raise WireError(f"{len(body)} bytes arrived where {expected} belong")
    sections = tuple(_sections(header, federation=federation, manifest=manifest, ciphers=ciphers))
    for section in sections:
        section.verify(body, manifest=manifest, keys=keys)
    return np.concatenate([section.decrypt(body, manifest=manifest, keys=keys) for section in sections])


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
        public_key = federation.member(signed.header.member).signing_key
        verify_contributor(signed, seeds, seed_bytes=seed_bytes, public_key=public_key, manifest=manifest)


def verify_contributor(
    signed: SignedHeader, seeds: bytes, *, seed_bytes: int, public_key: bytes, manifest: Manifest
) -> None:
    """Checks one contributor's header and seeds.

    Args:
        signed: What it signed.
        seeds: What the aggregate says are its seeds.
        seed_bytes: How long they must be.
        public_key: The contributor's, 32 bytes.
        manifest: The round's.

    Raises:
        AuthenticationError: if they are not what it signed for this round.
    """
    header = signed.header
    if header.round_number != manifest.round_number or header.manifest_digest != manifest.digest:
        raise AuthenticationError(f"{header.member}'s contribution is for another round or manifest")
    if len(seeds) != seed_bytes or hashlib.sha256(seeds).digest() != header.seeds_digest:
        raise AuthenticationError(f"{header.member}'s seeds are not those it signed")
    verify(public_key, signed.signature, header.signed_bytes())


def _sections(
    header: AggregateHeader, *, federation: Federation, manifest: Manifest, ciphers: Sequence[Cipher]
) -> Iterator[SummedSection]:
    start = first_seed = 0
    counts = federation.kind_of(manifest.round_number).section_values
    for number, (values, cipher) in enumerate(zip(counts, ciphers, strict=True)):
        section = Section(cipher.form, cipher.profile.ciphertexts_for(values))
        place = slice(first_seed, first_seed + section.seeds_bytes)
        seeds = tuple((member, own[place]) for member, own in zip(manifest.cohort, header.seeds, strict=True))
        yield SummedSection(number, values, cipher, start, seeds)
        start, first_seed = start + section.aggregate_bytes, place.stop
