"""A round as a hostile server holds it: everybody's contributions, those of other rounds, and what it may publish."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from support.contributions import seal_contribution
from support.federations import TestFederation, make_federation

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.aggregation.contribution import Contribution
from securefl.aggregation.roster_sum import decrypt_aggregate
from securefl.crypto.cipher import Cipher, SectionDecryption
from securefl.crypto.profiles import Profile
from securefl.crypto.wireform import Ciphertexts, WireForm
from securefl.protocol.federation import Federation
from securefl.protocol.messages import AggregateHeader, Manifest

LAYOUT = Layout((TensorSpec("encoder.0.query", 128, 96, TensorKind.ADAPTED),))
"""Large enough for two ciphertexts."""


class SpyCipher:
    """A cipher that counts what reaches the secret key."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher
        self.profile, self.form = cipher.profile, cipher.form
        self.draw_key, self.encryption = cipher.draw_key, cipher.encryption
        self.opened = 0

    def decryption(self, *arguments: Any, **named: Any) -> SpyDecryption:
        return SpyDecryption(self._cipher.decryption(*arguments, **named), self)


class SpyDecryption:
    """A decryption that tells its spy."""

    def __init__(self, decryption: SectionDecryption, spy: SpyCipher) -> None:
        self._decryption, self._spy = decryption, spy
        self.prepare, self.verify = decryption.prepare, decryption.verify

    def decrypt(self, window: bytes, *, first: int) -> np.ndarray:
        self._spy.opened += 1
        return self._decryption.decrypt(window, first=first)


@dataclass
class Scene:
    """One round of a federation, with what the server has of it.

    ``parts`` are the contributions as they count in the sum: full residues, and MACs.
    """

    federation: TestFederation
    manifest: Manifest
    integers: dict[str, np.ndarray]
    contributions: dict[str, Contribution]
    parts: dict[str, Ciphertexts]
    spy: SpyCipher
    inner: Federation
    total: Ciphertexts = field(init=False)

    def __post_init__(self) -> None:
        self.total = combined(self.form, dict.fromkeys(self.parts, 1), self.parts)

    @property
    def form(self) -> WireForm:
        return self.inner.form

    @property
    def members(self) -> tuple[str, ...]:
        return self.manifest.cohort

    @property
    def sums(self) -> np.ndarray:
        return sum(self.integers.values())

    def header(self, members: Iterable[str] | None = None) -> AggregateHeader:
        """An aggregate's header that names these members, by their own signed headers."""
        named = [self.contributions[member] for member in members or self.members]
        return AggregateHeader(
            round_number=self.manifest.round_number,
            contributors=tuple(contribution.signed for contribution in named),
            seeds=tuple(contribution.seeds for contribution in named),
            body_bytes=self.form.aggregate_bytes(self.inner.ciphertexts(self.manifest.round_number)),
            aggregate_seconds=0.0,
        )

    def decrypt(self, total: Ciphertexts | bytes, header: AggregateHeader | None = None) -> np.ndarray:
        """What the first member answers to an aggregate, without its memory of earlier ones."""
        body = total if isinstance(total, bytes) else self.form.encode_aggregate(total)
        return decrypt_aggregate(
            header or self.header(),
            body,
            federation=self.inner,
            manifest=self.manifest,
            own=self.contributions[self.members[0]].signed,
            ciphers=[self.spy],
            keys=self.federation.keys,
        )


def combined(form: WireForm, multiples: Mapping[str, int], parts: Mapping[str, Ciphertexts]) -> Ciphertexts:
    """A sum of multiples, |multiple| <= 100, of at most five contributions: all within 64 bits."""
    assert len(multiples) <= 5
    assert all(abs(multiple) <= 100 for multiple in multiples.values())
    modulus = np.uint64(form.modulus)

    def times(words: np.ndarray, multiple: int) -> np.ndarray:
        return np.uint64(abs(multiple)) * (words if multiple > 0 else modulus - words)

    chosen = [(parts[name], multiple) for name, multiple in multiples.items()]
    return Ciphertexts(
        sum(times(part.residues, multiple) for part, multiple in chosen) % modulus,
        sum(times(part.macs, multiple) for part, multiple in chosen) % modulus,
    )


def signed(slots: np.ndarray, profile: Profile) -> np.ndarray:
    """Slots modulo t, as signed."""
    return slots.view(np.int64) - profile.plain_modulus * (slots > profile.slot_bound)


def play(federation: TestFederation, inner: Federation, *, number: int = 1, seed: int = 3) -> Scene:
    """Everybody's contribution to a round, of drawn integers."""
    manifest = Manifest(inner.digest, number, inner.cohort)
    rng = np.random.default_rng(seed)
    cipher = federation.cipher()
    integers = {m: rng.integers(-32_767, 32_768, inner.plan.length(number)) for m in inner.cohort}
    contributions = {
        member: seal_contribution(
            values,
            manifest=manifest,
            member=member,
            cipher=cipher,
            keys=federation.keys,
            signing_key=federation.signing_keys[member],
        )
        for member, values in integers.items()
    }
    form, parts = inner.form, {}
    for member, contribution in contributions.items():
        sent = form.decode_upload(contribution.body, ciphertexts=inner.ciphertexts(number))
        full = (sent.residues << np.uint64(form.dropped_bits)) % np.uint64(form.modulus)
        parts[member] = Ciphertexts(full, sent.macs)
    return Scene(federation, manifest, integers, contributions, parts, SpyCipher(cipher), inner)


def with_two_ciphertexts(federation: TestFederation) -> Federation:
    inner = dataclasses.replace(federation.federation, layout=LAYOUT)
    assert inner.ciphertexts(1) == 2
    return inner


@pytest.fixture(scope="session")
def scene() -> Scene:
    federation = make_federation(ranks=(2, 4, 8), rounds=2)
    return play(federation, with_two_ciphertexts(federation))


@pytest.fixture(scope="session")
def later(scene: Scene) -> Scene:
    """The next round of the same federation, under the same keys."""
    return play(scene.federation, scene.inner, number=2, seed=4)


@pytest.fixture(scope="session")
def elsewhere(scene: Scene) -> Scene:
    """The same round of another federation of the same members, which was even given the same keys."""
    other = dataclasses.replace(scene.inner, federation_id=bytes(32))
    return play(scene.federation, other, seed=5)
