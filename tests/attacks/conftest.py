"""A round as a hostile server holds it: everybody's contributions, those of other rounds, and what it may publish."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from support.agreements import Asked
from support.attempts import STATE, Played
from support.federations import TestFederation, make_federation

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.aggregation.contribution import Binding
from securefl.aggregation.decryption import check_total, decrypt_sections, summed_sections, survivors_of
from securefl.crypto.cipher import Cipher, SectionDecryption
from securefl.crypto.profiles import Profile
from securefl.crypto.wireform import Ciphertexts, WireForm
from securefl.protocol.agreement.verification import verify_head
from securefl.protocol.calls import AggregateHead
from securefl.protocol.federation import Federation

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
    """One attempt of a federation, with what the server has of it.

    ``parts`` are the contributions as they count in the sum: full residues, and MACs where the scheme has them.
    """

    federation: TestFederation
    played: Played
    parts: dict[str, Ciphertexts]
    spy: SpyCipher
    inner: Federation
    total: Ciphertexts = field(init=False)

    def __post_init__(self) -> None:
        self.total = combined(self.form, dict.fromkeys(self.parts, 1), self.parts)
        self._honest = self.head(self.members, b"")

    @property
    def form(self) -> WireForm:
        return self.inner.form

    @property
    def members(self) -> tuple[str, ...]:
        return self.inner.cohort

    @property
    def integers(self) -> Mapping[str, np.ndarray]:
        return self.played.integers

    @property
    def seeds(self) -> dict[str, bytes]:
        return {member: encryption.seeds for member, encryption in self.played.encryptions.items()}

    @property
    def sums(self) -> np.ndarray:
        return self.played.sums(self.members)

    def bytes_of(self, total: Ciphertexts | bytes) -> bytes:
        return total if isinstance(total, bytes) else self.form.encode_aggregate(total)

    def head(self, members: Sequence[str], total: Ciphertexts | bytes, **named: Any) -> AggregateHead:
        """A head that names these members, by their own signed headers; everybody voted for it."""
        return self.played.head(members, self.bytes_of(total), **named)

    def claiming(self, head: AggregateHead) -> None:
        """What a member checks of a head before it looks at the total."""
        verify_head(head, self.played.rules, state=STATE, committed={}, owners=Asked())

    def decrypt(self, total: Ciphertexts | bytes, head: AggregateHead | None = None) -> np.ndarray:
        """What a member answers to a certified total, without its memory of earlier ones.

        Without a head of its own the total is altered and all else is honest: the server had it certified, since
        voters cannot look into a sum.
        """
        body = self.bytes_of(total)
        if head is None:
            head = self._certified(body)
        else:
            self.claiming(head)
        check_total(head, body)
        sections = summed_sections(
            Binding.of(head.cohort),
            survivors_of(head),
            counts=self.inner.kind_of(self.played.round_number).section_values,
            ciphers=[self.spy],
        )
        key_sum = self.played.key_sum([header.body.signer for header in head.headers])
        return decrypt_sections(sections, body, tag_key=self.federation.keys.tag, key_sum=key_sum)

    def _certified(self, body: bytes) -> AggregateHead:
        certificate = self._honest.certificate
        statement = dataclasses.replace(certificate.statement, total_digest=hashlib.sha256(body).digest())
        certified = dataclasses.replace(certificate, statement=statement)
        return dataclasses.replace(self._honest, certificate=certified, body_bytes=len(body))


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
    played = Played(federation, federation=inner, round_number=number, seed=seed)
    form, parts = inner.form, {}
    for member, body in played.bodies.items():
        sent = form.decode_upload(body, ciphertexts=inner.ciphertexts(number))
        full = (sent.residues << np.uint64(form.dropped_bits)) % np.uint64(form.modulus)
        parts[member] = Ciphertexts(full, sent.macs)
    return Scene(federation, played, parts, SpyCipher(federation.cipher()), inner)


def with_two_ciphertexts(federation: TestFederation) -> Federation:
    inner = dataclasses.replace(federation.federation, layout=LAYOUT)
    assert inner.ciphertexts(1) == 2
    return inner


@pytest.fixture(scope="session")
def scene() -> Scene:
    federation = make_federation(ranks=(2, 4, 8), rounds=2, scheme="bfv")
    return play(federation, with_two_ciphertexts(federation))


@pytest.fixture(scope="session")
def later(scene: Scene) -> Scene:
    """The next round of the same federation, under the same keys."""
    return play(scene.federation, scene.inner, number=2, seed=4)


@pytest.fixture(scope="session")
def elsewhere(scene: Scene) -> Scene:
    """The same round of another federation of the same members, which was even given the same keys."""
    return of_another_federation(scene)


@pytest.fixture(scope="session")
def one_time() -> Scene:
    """The same under one-time keys."""
    federation = make_federation(ranks=(2, 4, 8), rounds=2, scheme="kahe")
    return play(federation, with_two_ciphertexts(federation))


def of_another_federation(scene: Scene) -> Scene:
    other = dataclasses.replace(scene.inner, federation_id=bytes(32))
    return play(scene.federation, other, seed=5)
