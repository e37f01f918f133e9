"""From an aggregate, verified, back to integers.

The rule kept here: nothing that came from the server is decrypted before its length, its digest and the seeds have been
checked, and every section has been verified as its scheme asks. So where there are MACs the body is read twice, window
by window: once for the MACs of all sections, and then, the verdict being given, to decrypt.

    lengths, digests -> MACs of all sections | decrypt -> tags -> unpack

References: ``crypto.cipher`` and ``crypto.tags`` for theirs; ``protocol.agreement`` for signatures and certificates,
which are verified before; ``protos/SPEC.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from securefl.aggregation.contribution import Binding, section_of, section_tag
from securefl.crypto.cipher import Cipher, Contributions, Place, SectionDecryption
from securefl.crypto.contributor import Contributor
from securefl.crypto.kahe.keys import KeySum
from securefl.crypto.packing import Integers, unpack
from securefl.crypto.windows import Window, values_in, windows
from securefl.errors import AuthenticationError, WireError
from securefl.protocol.calls import AggregateHead
from securefl.protocol.sections import Section

_DIGEST_STEP: Final = 1 << 20
"""Bytes of a body that are digested at a time."""


class Body(Protocol):
    """An aggregate's ciphertexts, in memory or on disk."""

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
        cipher: Decrypts it.
        place: The section, in its attempt.
        values: Integers in it.
        start: Where in the body it begins.
        contributions: Every contributor with its seeds for this section.
    """

    cipher: Cipher
    place: Place
    values: int
    start: int
    contributions: Contributions

    @property
    def section(self) -> Section:
        """Its form, and the number of its ciphertexts."""
        return section_of(self.cipher, values=self.values)

    def windows(self, body: Body) -> Iterator[tuple[Window, bytes]]:
        """All windows, as bytes."""
        form = self.cipher.form
        for window in windows(self.place.ciphertexts):
            start = self.start + form.aggregate_bytes(window.first)
            yield window, body[start : start + form.aggregate_bytes(window.count)]

    def decryption(self, key_sum: KeySum | None) -> SectionDecryption:
        """Start its decryption; see ``crypto.cipher.Cipher.decryption``."""
        return self.cipher.decryption(self.place, contributions=self.contributions, key_sum=key_sum)

    def integers(self, decryption: SectionDecryption, body: Body, *, tag_key: bytes) -> Integers:
        """Decrypt what was verified, check the tag and unpack the sums.

        Args:
            decryption: That of this section, after its ``verify``.
            body: Of all sections.
            tag_key: Of the shared keys, 32 bytes.

        Returns:
            (values,) int64.

        Raises:
            ForgeryError: if the plaintext is not the sum of what the contributors packed.
        """
        profile = self.cipher.profile
        tag = section_tag(self.cipher, self.place, tag_key).start()
        sums = np.empty(self.values, dtype=np.int64)
        filled = 0
        for window, data in self.windows(body):
            slots = decryption.decrypt(data, first=window.first)
            if window.last:
                tag.check(slots, (contributor for contributor, _ in self.contributions))
            else:
                tag.add(slots)
            inside = values_in(window, values=self.values, profile=profile)
            sums[filled : filled + inside] = unpack(slots, inside, profile, tags=window.last)
            filled += inside
        return sums


def summed_sections(
    binding: Binding,
    contributors: Sequence[tuple[Contributor, bytes]],
    *,
    counts: Sequence[int],
    ciphers: Sequence[Cipher],
) -> tuple[SummedSection, ...]:
    """The sections of an aggregate, one behind the other.

    Args:
        binding: The attempt.
        contributors: The survivors, each with the seeds of all its sections.
        counts: Values of each section.
        ciphers: One for each section.

    Raises:
        WireError: if seeds have not the length of all sections.
    """
    placed, start, first_seed = [], 0, 0
    for number, (values, cipher) in enumerate(zip(counts, ciphers, strict=True)):
        section = section_of(cipher, values=values)
        seeds = slice(first_seed, first_seed + section.seeds_bytes)
        place = binding.place(number, ciphertexts=section.ciphertexts)
        contributions = tuple((contributor, own[seeds]) for contributor, own in contributors)
        placed.append(SummedSection(cipher, place, values, start, contributions))
        start, first_seed = start + section.aggregate_bytes, seeds.stop
    if any(len(own) != first_seed for _, own in contributors):
        raise WireError(f"a contributor's seeds are not {first_seed} bytes long")
    return tuple(placed)


def decrypt_sections(
    sections: Sequence[SummedSection], body: Body, *, tag_key: bytes, key_sum: KeySum | None
) -> Integers:
    """Verify all sections of an aggregate, then decrypt them to the exact sums (D,), int64.

    Guarantee: the sums are those of what the contributors packed, or a forgery of a tag succeeded (``SectionTag``:
    below 2^-52 an attempt, against who lacks the keys). Under a scheme whose key lasts, no ciphertext that the server
    altered reaches that key, or a forgery of a MAC succeeded first (``CiphertextMac``). Whatever fails, the error is
    the same one; that a MAC fails before the decryption and a tag after it tells the server no more than which of the
    two it altered itself.

    Args:
        sections: All sections, in order.
        body: Their ciphertexts.
        tag_key: Of the shared keys, 32 bytes.
        key_sum: The sum of the contributors' keys, under a scheme that has them.

    Returns:
        The sections' integers, one section behind the other.

    Raises:
        WireError: if a length, a residue or a MAC is out of its range.
        ForgeryError: if it is not the sum of what its contributors encrypted.
        ProtocolError: if the scheme asks for a sum of keys and none, or one of others, is given.
    """
    expected = sum(section.section.aggregate_bytes for section in sections)
    if len(body) != expected:
        raise WireError(f"{len(body)} bytes arrived where {expected} belong")
    decryptions = [section.decryption(key_sum) for section in sections]
    for section, decryption in zip(sections, decryptions, strict=True):
        decryption.verify(data for _, data in section.windows(body))
    return np.concatenate(
        [
            section.integers(decryption, body, tag_key=tag_key)
            for section, decryption in zip(sections, decryptions, strict=True)
        ]
    )


def survivors_of(head: AggregateHead) -> tuple[tuple[Contributor, bytes], ...]:
    """The survivors of a certified sum with their seeds, in the statement's order.

    Args:
        head: Verified: its certificate, and its headers against the certificate.

    Raises:
        AuthenticationError: if a survivor has no header, or its seeds are not those it signed.
    """
    members = head.cohort.members
    survivors = head.certificate.statement.survivors
    named = tuple(members[survivor.index] for survivor in survivors)
    if named != tuple(signed.body.signer for signed in head.headers) or len(head.seeds) != len(named):
        raise AuthenticationError("the headers of a sum are not those of its survivors")
    for signed, seeds in zip(head.headers, head.seeds, strict=True):
        if hashlib.sha256(seeds).digest() != signed.body.seeds_digest:
            raise AuthenticationError(f"{signed.body.signer}'s seeds are not those it signed")
    return tuple(
        (Contributor(signed.body.signer, signed.body.salt), seeds)
        for signed, seeds in zip(head.headers, head.seeds, strict=True)
    )


def check_total(head: AggregateHead, body: Body) -> None:
    """Raise unless a body is the total that its certificate names.

    Guarantee: every member judges one total for a certificate, so the verdicts of many tell the server one bit.

    Raises:
        AuthenticationError: if it is another.
    """
    digest = hashlib.sha256()
    for start in range(0, len(body), _DIGEST_STEP):
        digest.update(body[start : start + _DIGEST_STEP])
    if digest.digest() != head.certificate.statement.total_digest:
        raise AuthenticationError("the total is not the one that its certificate names")
