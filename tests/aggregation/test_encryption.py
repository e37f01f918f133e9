"""Contributions of several windows and sections: the same sum, in memory that does not grow with them."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from support.attempts import cohort_of
from support.federations import TestFederation, make_federation

from securefl.aggregation.contribution import Binding, section_tag
from securefl.aggregation.decryption import decrypt_sections, summed_sections
from securefl.aggregation.encryption import Encryption, Part
from securefl.crypto.addition import ResidueSum
from securefl.crypto.cipher import Cipher, SectionDecryption
from securefl.crypto.contributor import Contributor
from securefl.crypto.integer_twin import IntegerTwin
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import ForgeryError, ProtocolError, WireError
from securefl.protocol.sections import Section, StreamSizes

PLAIN = 20_000
LONG = 300_000
"""More than a window of values."""


class Sectioned:
    """Contributions with an encrypted section and one that is not."""

    def __init__(self, inner: TestFederation) -> None:
        self.inner = inner
        self.values = (LONG, PLAIN)
        self.binding = Binding.of(cohort_of(inner, 1))
        self.ciphers = (inner.cipher(), IntegerTwin(inner.federation.profile))
        profile = inner.federation.profile
        self.sections = tuple(
            Section(cipher.form, profile.ciphertexts_for(values))
            for cipher, values in zip(self.ciphers, self.values, strict=True)
        )

    def encryption(self, *parts: Part, member: str = "client-1") -> Encryption:
        return Encryption(
            parts,
            binding=self.binding,
            contributor=Contributor(member, member.encode().ljust(32)),
            tag_key=self.inner.keys.tag,
        )


def drawn(size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-32_767, 32_768, size)


def runs_of(values: np.ndarray) -> Iterator[np.ndarray]:
    return iter(np.array_split(values, 7))


@pytest.fixture(scope="module")
def sectioned() -> Sectioned:
    return Sectioned(make_federation(ranks=(2, 4, 8)))


def contributed(sectioned: Sectioned, member: str, seed: int) -> tuple[bytes, bytes]:
    """Seeds and body of a member."""
    values = [drawn(size, seed + index) for index, size in enumerate(sectioned.values)]
    parts = [
        Part(cipher, vector.size, lambda vector=vector: runs_of(vector))
        for cipher, vector in zip(sectioned.ciphers, values, strict=True)
    ]
    encryption = sectioned.encryption(*parts, member=member)
    body = b"".join(encryption.windows())
    return encryption.seeds, body


class Source:
    """Integers that are read once; a weak reference tells whether they are still held."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def runs(self) -> Iterator[np.ndarray]:
        return iter((self.values,))


def test_a_finished_contribution_holds_its_digests_and_not_its_integers(sectioned: Sectioned) -> None:
    source = Source(drawn(100, 1))
    encryption = sectioned.encryption(Part(sectioned.ciphers[1], 100, source.runs))
    assert list(encryption.windows())
    held = weakref.ref(source)
    del source
    gc.collect()
    assert held() is None
    assert len(encryption.body_digest) == len(encryption.seeds_digest) == 32


def summed(sections: Iterable[Section], bodies: list[bytes]) -> list[Ciphertexts]:
    totals, start = [], 0
    for section in sections:
        total = ResidueSum(section.form, section.ciphertexts)
        for body in bodies:
            data = body[start : start + section.upload_bytes]
            total.add(0, section.form.decode_upload(data, ciphertexts=section.ciphertexts))
        totals.append(total.total())
        start += section.upload_bytes
    assert start == len(bodies[0])
    return totals


@dataclass
class Round:
    """Everybody's seeds, the totals of both sections, and the true sums."""

    contributions: list[tuple[Contributor, bytes]]
    totals: list[Ciphertexts]
    expected: np.ndarray


@pytest.fixture(scope="module")
def round_(sectioned: Sectioned) -> Round:
    cohort = sectioned.inner.federation.cohort
    made = [contributed(sectioned, member, 10 * index) for index, member in enumerate(cohort)]
    expected = sum(
        np.concatenate([drawn(size, 10 * index + part) for part, size in enumerate(sectioned.values)])
        for index in range(len(made))
    )
    contributors = [
        (Contributor(member, member.encode().ljust(32)), seeds)
        for member, (seeds, _) in zip(cohort, made, strict=True)
    ]
    return Round(contributors, summed(sectioned.sections, [body for _, body in made]), expected)


def body_of(sectioned: Sectioned, totals: list[Ciphertexts]) -> bytes:
    body = b"".join(
        section.form.encode_aggregate(total)
        for section, total in zip(sectioned.sections, totals, strict=True)
    )
    assert len(body) == StreamSizes.of_aggregate(sectioned.sections).body_bytes
    return body


def opened(
    sectioned: Sectioned, round_: Round, body: bytes, ciphers: Sequence[Cipher] | None = None
) -> np.ndarray:
    sections = summed_sections(
        sectioned.binding,
        round_.contributions,
        counts=sectioned.values,
        ciphers=ciphers or sectioned.ciphers,
    )
    return decrypt_sections(sections, body, tag_key=sectioned.inner.keys.tag, key_sum=None)


def test_two_windows_and_two_sections_open_to_the_integer_sums(sectioned: Sectioned, round_: Round) -> None:
    body = body_of(sectioned, round_.totals)
    np.testing.assert_array_equal(opened(sectioned, round_, body), round_.expected)


@pytest.mark.parametrize(("section", "row"), [(0, 0), (0, 33), (1, 0), (1, 2)])
def test_one_altered_residue_in_any_section_is_refused(
    sectioned: Sectioned, round_: Round, section: int, row: int
) -> None:
    with pytest.raises(ForgeryError):
        opened(sectioned, round_, body_of(sectioned, altered(round_.totals, section, row)))


@pytest.mark.parametrize("row", [0, 33])
def test_an_altered_residue_under_a_lasting_key_is_refused_before_anything_is_decrypted(
    sectioned: Sectioned, round_: Round, row: int
) -> None:
    class Untouched(IntegerTwin):
        def decrypt(self, window: bytes, *, first: int) -> np.ndarray:
            raise AssertionError("an altered aggregate was decrypted")

    class Verified:
        """The cipher, whose decryption must not be asked for anything but its verdict."""

        def __init__(self) -> None:
            self.inner = sectioned.ciphers[0]
            self.profile, self.form = self.inner.profile, self.inner.form

        def decryption(self, *arguments: object, **named: object) -> SectionDecryption:
            decryption = self.inner.decryption(*arguments, **named)
            decryption.decrypt = Untouched.decrypt
            return decryption

    twin = Untouched(sectioned.inner.federation.profile)
    body = body_of(sectioned, altered(round_.totals, 0, row))
    with pytest.raises(ForgeryError) as caught:
        opened(sectioned, round_, body, ciphers=[Verified(), twin])
    assert caught.value.refuses_keys


def altered(totals: list[Ciphertexts], section: int, row: int) -> list[Ciphertexts]:
    changed = [Ciphertexts(total.residues.copy(), total.macs) for total in totals]
    changed[section].residues[row, 7] ^= np.uint64(1)
    return changed


def test_a_body_that_is_longer_than_its_sections_is_refused(sectioned: Sectioned, round_: Round) -> None:
    body = body_of(sectioned, round_.totals)
    for wrong in (body + b"\0", body[:-1], b""):
        with pytest.raises(WireError, match="belong"):
            opened(sectioned, round_, wrong)


def test_the_same_plaintext_is_tagged_apart_in_each_section(sectioned: Sectioned) -> None:
    binding, cipher = sectioned.binding, sectioned.ciphers[1]
    first, second = (
        section_tag(cipher, binding.place(number, ciphertexts=1), sectioned.inner.keys.tag).attach(
            np.zeros((1, 4096), np.int64), contributor=Contributor("client-1", bytes(32))
        )
        for number in (0, 1)
    )
    assert not np.array_equal(first, second)


def test_windows_are_made_once(sectioned: Sectioned) -> None:
    encryption = sectioned.encryption(Part(sectioned.ciphers[0], 10, lambda: [np.zeros(10, dtype=np.int64)]))
    assert len(list(encryption.windows())) == 1
    with pytest.raises(ProtocolError, match="same bytes"):
        next(encryption.windows())


def peak_bytes(sectioned: Sectioned, values: int) -> int:
    """The most that sealing so many values, made as they are asked for, has in memory at a time."""
    chunk = drawn(100_000, 1)
    encryption = sectioned.encryption(
        Part(sectioned.ciphers[0], values, lambda: (chunk for _ in range(values // chunk.size)))
    )
    tracemalloc.start()
    try:
        for window in encryption.windows():
            assert window
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_sealing_takes_the_same_memory_however_much_is_sealed(sectioned: Sectioned) -> None:
    few, many = peak_bytes(sectioned, 600_000), peak_bytes(sectioned, 3_000_000)
    # Seeds grow by 64 bytes a ciphertext; residues alone would grow by 4 bytes a value.
    assert many - few < 1_000_000
    assert few > 1_000_000
