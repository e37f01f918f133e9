"""Contributions of several windows and sections: the same sum, in memory that does not grow with them."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from support.federations import TestFederation, make_federation

from securefl.aggregation.contribution import Binding, Contribution, section_tag
from securefl.aggregation.encryption import Part
from securefl.aggregation.roster_sum import decrypt_aggregate
from securefl.aggregation.signed_encryption import SignedEncryption, encrypt_at_once
from securefl.crypto.addition import ResidueSum
from securefl.crypto.cipher import SectionDecryption
from securefl.crypto.contributor import Contributor
from securefl.crypto.integer_twin import IntegerTwin
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import ForgeryError, ProtocolError, WireError
from securefl.protocol.messages import AggregateHeader, Manifest
from securefl.protocol.round_kind import RoundKind
from securefl.protocol.sections import Section, StreamSizes

PLAIN = 20_000
LONG = 300_000
"""More than a window of values."""


class Sectioned:
    """A federation file that says a contribution has an encrypted section and one that is not."""

    def __init__(self, inner: TestFederation) -> None:
        self.inner = inner
        self.values = (LONG, PLAIN)
        self.digest, self.cohort, self.member = (
            inner.federation.digest,
            inner.federation.cohort,
            inner.federation.member,
        )
        self.ciphers = (inner.cipher(), IntegerTwin(inner.federation.profile))

    def kind_of(self, round_number: int) -> RoundKind:
        encrypted, plain = self.values
        return RoundKind(values=encrypted + plain, weights=0, plain=plain)

    def sections(self, round_number: int) -> tuple[Section, ...]:
        profile = self.inner.federation.profile
        return tuple(
            Section(cipher.form, profile.ciphertexts_for(values))
            for cipher, values in zip(self.ciphers, self.values, strict=True)
        )


def drawn(size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-32_767, 32_768, size)


def runs_of(values: np.ndarray) -> Iterator[np.ndarray]:
    return iter(np.array_split(values, 7))


@pytest.fixture(scope="module")
def sectioned() -> Sectioned:
    return Sectioned(make_federation(ranks=(2, 4, 8)))


def contributed(federation: Sectioned, member: str, manifest: Manifest, seed: int) -> Contribution:
    values = [drawn(size, seed + index) for index, size in enumerate(federation.values)]
    parts = [
        Part(cipher, vector.size, lambda vector=vector: runs_of(vector))
        for cipher, vector in zip(federation.ciphers, values, strict=True)
    ]
    inner = federation.inner
    return encrypt_at_once(
        SignedEncryption(
            parts,
            manifest=manifest,
            member=member,
            keys=inner.keys,
            signing_key=inner.signing_keys[member],
        )
    )


class Source:
    """Integers that are read once; a weak reference tells whether they are still held."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def runs(self) -> Iterator[np.ndarray]:
        return iter((self.values,))


def test_a_finished_contribution_holds_its_header_and_not_its_integers() -> None:
    inner = make_federation(ranks=(2, 4, 8))
    source = Source(drawn(100, 1))
    encryption = SignedEncryption(
        [Part(IntegerTwin(inner.federation.profile), 100, source.runs)],
        manifest=Manifest(inner.federation.digest, 1, inner.federation.cohort),
        member="client-1",
        keys=inner.keys,
        signing_key=inner.signing_keys["client-1"],
    )
    header = encrypt_at_once(encryption).signed
    held = weakref.ref(source)
    del source
    gc.collect()
    assert held() is None
    assert encryption.signed() == header


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


@pytest.fixture(scope="module")
def round_(sectioned: Sectioned) -> tuple[Manifest, AggregateHeader, list[Ciphertexts], np.ndarray]:
    manifest = Manifest(sectioned.digest, 1, sectioned.cohort)
    made = [
        contributed(sectioned, member, manifest, 10 * index) for index, member in enumerate(manifest.cohort)
    ]
    totals = summed(sectioned.sections(1), [contribution.body for contribution in made])
    header = AggregateHeader(
        round_number=1,
        contributors=tuple(contribution.signed for contribution in made),
        seeds=tuple(contribution.seeds for contribution in made),
        body_bytes=0,
        aggregate_seconds=0.0,
    )
    expected = sum(
        np.concatenate([drawn(size, 10 * index + part) for part, size in enumerate(sectioned.values)])
        for index in range(len(made))
    )
    return manifest, header, totals, expected


def opened(sectioned: Sectioned, round_, totals: list[Ciphertexts], ciphers=None) -> np.ndarray:
    manifest, header, _, _ = round_
    body = b"".join(
        section.form.encode_aggregate(total)
        for section, total in zip(sectioned.sections(1), totals, strict=True)
    )
    assert len(body) == StreamSizes.of_aggregate(sectioned.sections(1)).body_bytes
    return decrypt_aggregate(
        header,
        body,
        federation=sectioned,  # type: ignore[arg-type]
        manifest=manifest,
        own=header.contributors[0],
        ciphers=ciphers or sectioned.ciphers,
        keys=sectioned.inner.keys,
    )


def test_two_windows_and_two_sections_open_to_the_integer_sums(sectioned: Sectioned, round_) -> None:
    np.testing.assert_array_equal(opened(sectioned, round_, round_[2]), round_[3])


@pytest.mark.parametrize(("section", "row"), [(0, 0), (0, 33), (1, 0), (1, 2)])
def test_one_altered_residue_in_any_section_is_refused(
    sectioned: Sectioned, round_, section: int, row: int
) -> None:
    with pytest.raises(ForgeryError):
        opened(sectioned, round_, altered(round_[2], section, row))


@pytest.mark.parametrize("row", [0, 33])
def test_an_altered_residue_under_a_lasting_key_is_refused_before_anything_is_decrypted(
    sectioned: Sectioned, round_, row: int
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
    with pytest.raises(ForgeryError) as caught:
        opened(sectioned, round_, altered(round_[2], 0, row), ciphers=[Verified(), twin])
    assert caught.value.refuses_keys


def altered(totals: list[Ciphertexts], section: int, row: int) -> list[Ciphertexts]:
    changed = [Ciphertexts(total.residues.copy(), total.macs) for total in totals]
    changed[section].residues[row, 7] ^= np.uint64(1)
    return changed


def test_a_body_that_is_longer_than_its_sections_is_refused(sectioned: Sectioned, round_) -> None:
    manifest, header, totals, _ = round_
    sections = sectioned.sections(1)
    body = b"".join(s.form.encode_aggregate(t) for s, t in zip(sections, totals, strict=True))
    for wrong in (body + b"\0", body[:-1], b""):
        with pytest.raises(WireError, match="belong"):
            decrypt_aggregate(
                header,
                wrong,
                federation=sectioned,  # type: ignore[arg-type]
                manifest=manifest,
                own=header.contributors[0],
                ciphers=sectioned.ciphers,
                keys=sectioned.inner.keys,
            )


def test_the_same_plaintext_is_tagged_apart_in_each_section(sectioned: Sectioned) -> None:
    manifest = Manifest(sectioned.digest, 1, sectioned.cohort)
    binding, cipher = Binding.of_manifest(manifest, key_epoch=1), sectioned.ciphers[1]
    first, second = (
        section_tag(cipher, binding.place(number, ciphertexts=1), sectioned.inner.keys.tag).attach(
            np.zeros((1, 4096), np.int64), contributor=Contributor("client-1", bytes(32))
        )
        for number in (0, 1)
    )
    assert not np.array_equal(first, second)


def test_windows_are_made_once(sectioned: Sectioned) -> None:
    manifest = Manifest(sectioned.digest, 1, sectioned.cohort)
    inner = sectioned.inner
    part = Part(inner.cipher(), 10, lambda: [np.zeros(10, dtype=np.int64)])
    encryption = SignedEncryption(
        [part],
        manifest=manifest,
        member="client-1",
        keys=inner.keys,
        signing_key=inner.signing_keys["client-1"],
    )
    assert len(list(encryption.windows())) == 1
    with pytest.raises(ProtocolError, match="same bytes"):
        next(encryption.windows())


def peak_bytes(sectioned: Sectioned, values: int) -> int:
    """The most that sealing so many values, made as they are asked for, has in memory at a time."""
    inner = sectioned.inner
    chunk = drawn(100_000, 1)
    part = Part(inner.cipher(), values, lambda: (chunk for _ in range(values // chunk.size)))
    encryption = SignedEncryption(
        [part],
        manifest=Manifest(sectioned.digest, 1, sectioned.cohort),
        member="client-1",
        keys=inner.keys,
        signing_key=inner.signing_keys["client-1"],
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
