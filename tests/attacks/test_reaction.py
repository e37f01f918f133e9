"""Row 7 of the attacks: alter an aggregate, watch whether it is accepted, read the BFV key from the answers.

The decrypted slot k is round(t phase_k / q), phase = c0 + c1 s. Whoever adds A to coefficient k of c0, A just so
large that the slot still rounds as before, and then x^i to c1, moves phase_k by one coefficient of s: -1, 0 or 1. The
answer says whether it was 1; with -x^i, whether it was -1. (Chenal, Tang, LATINCRYPT 2014, for other schemes.)

The control is a client that has the tags in its plaintexts, and no MAC on its ciphertexts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from support.federations import make_federation
from support.references import load_reference
from tenseal import sealapi

from securefl.aggregation.contribution import Binding, section_tag
from securefl.aggregation.decryption import survivors_of
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import AuthenticationError, ForgeryError

from .conftest import Scene, play, signed

COEFFICIENTS = 256
POSITION = 4095
"""Where the attacker listens: x^i s has the coefficient s_(4095 - i) there, without a change of sign."""
Oracle = Callable[[int, int, int], bool]
"""(added to c0 at a position, position, x^i added to c1 with a sign: 0 nothing, +-(i + 1)) -> accepted?"""


@pytest.fixture(scope="module")
def small() -> Scene:
    """A round of one ciphertext."""
    federation = make_federation(ranks=(2, 4, 8), rounds=2, scheme="bfv")
    assert federation.federation.ciphertexts(1) == 1
    return play(federation, federation.federation)


@pytest.fixture(scope="module")
def secret(small: Scene) -> list[int]:
    assert small.federation.keys.cipher is not None
    row = small.federation.keys.cipher.rows[0].tolist()
    return load_reference("lattice").ternary_secret(row, small.inner.profile.data_prime)


@dataclass
class Unauthenticated:
    """A client that decrypts whatever it is given, and checks the tags."""

    scene: Scene
    verdicts: int = 0

    def __post_init__(self) -> None:
        cipher = self._cipher = self.scene.federation.bfv()
        decryption = cipher.decryption(1)
        for seeds in self.scene.seeds.values():
            decryption.add(seeds)
        decryption._masks[0].save(cipher._file.path)
        body = cipher._format.body(cipher._file.content(), largest=2**17)
        self.c1 = np.frombuffer(body[-8 * 4096 :], dtype="<u8")
        place = Binding.of(self.scene.played.cohort).place(0, ciphertexts=1)
        self._tag = section_tag(self.scene.federation.cipher(), place, self.scene.federation.keys.tag)
        head = self.scene.head(self.scene.members, self.scene.total)
        self._members = [contributor for contributor, _ in survivors_of(head)]

    def __call__(self, added: int, position: int, monomial: int) -> bool:
        self.verdicts += 1
        q = self.scene.inner.profile.data_prime
        c0, c1 = self.scene.total.residues[0].copy(), self.c1.copy()
        c0[position] = (int(c0[position]) + added) % q
        if monomial:
            place = abs(monomial) - 1
            c1[place] = (int(c1[place]) + (1 if monomial > 0 else -1)) % q
        slots = self._cipher._decrypt_one(c0, self._loaded(c1))
        try:
            self._tag.check(signed(slots[None], self.scene.inner.profile), self._members)
        except ForgeryError:
            return False
        return True

    def _loaded(self, c1: np.ndarray) -> sealapi.Ciphertext:
        ciphertext = sealapi.Ciphertext()
        data = self._cipher._pair_head + bytes(8 * 4096) + c1.tobytes()
        ciphertext.load(self._cipher._context, self._cipher._file.holding(data))
        return ciphertext


@dataclass
class Ours:
    """A member as it is. The server cannot give it a c1, only seeds; it gives it altered ones."""

    scene: Scene
    answers: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, added: int, position: int, monomial: int) -> bool:
        q = self.scene.inner.profile.data_prime
        residues = self.scene.total.residues.copy()
        residues[0, position] = (int(residues[0, position]) + added) % q
        total, head = Ciphertexts(residues, self.scene.total.macs), None
        if monomial:
            place = abs(monomial) % 64
            first, second, *others = self.scene.seeds.values()
            seeds = bytearray(second)
            seeds[place] ^= 1 if monomial > 0 else 2
            head = self.scene.head(self.scene.members, total, seeds=[first, bytes(seeds), *others])
        try:
            self.scene.decrypt(total, head)
        except AuthenticationError as error:
            self.answers.append((type(error).__name__, str(error)))
            return False
        return True


def threshold(oracle: Oracle, position: int, *, largest: int) -> int:
    """The largest number that may be added to a coefficient of c0, by bisection."""
    accepted, refused = 0, largest
    while refused - accepted > 1:
        middle = (accepted + refused) // 2
        if oracle(middle, position, 0):
            accepted = middle
        else:
            refused = middle
    return accepted


def attack(oracle: Oracle, *, largest: int) -> list[int]:
    """The secret's first coefficients, from verdicts alone."""
    edge = threshold(oracle, POSITION, largest=largest)
    found = []
    for index in range(COEFFICIENTS):
        monomial = POSITION - index + 1
        if not oracle(edge, POSITION, monomial):
            found.append(1)
        else:
            found.append(0 if oracle(edge, POSITION, -monomial) else -1)
    return found


def largest_of(scene: Scene) -> int:
    """A step of the plaintext, which is refused for certain."""
    return scene.inner.profile.data_prime // scene.inner.profile.plain_modulus


def test_control_without_a_mac_verdicts_give_the_key_coefficient_by_coefficient(
    small: Scene, secret: list[int]
) -> None:
    client = Unauthenticated(small)
    assert attack(client, largest=largest_of(small)) == secret[:COEFFICIENTS]
    assert client.verdicts < 2 * COEFFICIENTS


def test_control_without_a_mac_c0_alone_gives_the_noise_exactly(small: Scene, secret: list[int]) -> None:
    """With signed seeds c1 is out of reach; each noise is still one exact equation of the key."""
    profile, client = small.inner.profile, Unauthenticated(small)
    q, t = profile.data_prime, profile.plain_modulus
    lattice = load_reference("lattice")
    phases = lattice.phase(small.total.residues[0].tolist(), client.c1.tolist(), secret, q)
    for position in (5, 2048):
        message = lattice.decrypted([phases[position]], q=q, t=t)[0]
        edge = threshold(client, position, largest=largest_of(small))
        # The phase at the edge is the last that rounds to the message: so it, and the phase, are known.
        last = -(-q * (2 * message + 1) // (2 * t)) - 1
        assert abs((phases[position] + edge - last + q // 2) % q - q // 2) <= 1


def test_with_the_mac_every_verdict_is_a_refusal_and_nothing_is_decrypted(small: Scene) -> None:
    small.spy.opened = 0
    client = Ours(small)
    found = attack(client, largest=largest_of(small))
    # The attacker sees a key of ones, whatever the key is.
    assert found == [1] * COEFFICIENTS
    assert small.spy.opened == 0


def test_with_the_mac_the_answers_are_the_same_under_every_key(small: Scene) -> None:
    federation = make_federation(ranks=(2, 4, 8), rounds=2, scheme="bfv")
    other = play(federation, federation.federation)
    clients = Ours(small), Ours(other)
    for client in clients:
        attack(client, largest=largest_of(small))
    assert clients[0].answers == clients[1].answers
    # One answer to an altered sum, one to altered seeds, which any stranger could have found wrong.
    assert len(set(clients[0].answers)) == 2


def test_the_unaltered_aggregate_is_accepted_by_both(small: Scene) -> None:
    assert Unauthenticated(small)(0, 0, 0)
    assert Ours(small)(0, 0, 0)
