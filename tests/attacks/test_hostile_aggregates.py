"""Row 1 of the attacks: a server presents something else as the aggregate; none of it reaches the secret key.

The control opens the same things with the cipher alone, as a client without authentication would.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from securefl.aggregation.contribution import Binding
from securefl.crypto.authenticated_bfv import AuthenticatedBfv
from securefl.crypto.authentication import CiphertextMac
from securefl.crypto.packing import unpack
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import AuthenticationError
from securefl.protocol.messages import AggregateHeader

from .conftest import Scene, combined, signed

ATTEMPTS = 10_000
Random = np.random.Generator
Forged = tuple[AggregateHeader, Ciphertexts]


class HostileServer:
    """Draws aggregates that are not the sum of the cohort's contributions."""

    def __init__(self, scene: Scene, later: Scene, elsewhere: Scene) -> None:
        self.scene = scene
        self.others = (later, elsewhere)
        self.header = scene.header()

    def of_multiples(self, rng: Random) -> Forged:
        """Each contribution any number of times, but not each once."""
        multiples = rng.integers(-3, 4, len(self.scene.members)).tolist()
        if all(multiple == 1 for multiple in multiples):
            multiples[0] = 2
        return self.header, self._sum(dict(zip(self.scene.members, multiples, strict=True)))

    def one_alone(self, rng: Random) -> Forged:
        return self.header, self.scene.parts[str(rng.choice(self.scene.members))]

    def all_but_one(self, rng: Random) -> Forged:
        chosen = rng.permutation(self.scene.members)[1:]
        return self.header, self._sum(dict.fromkeys(map(str, chosen), 1))

    def one_twice(self, rng: Random) -> Forged:
        _, second, *others = map(str, rng.permutation(self.scene.members))
        return self.header, self._sum({second: 2, **dict.fromkeys(others, 1)})

    def scaled(self, rng: Random) -> Forged:
        factor = int(rng.choice([-1, 1])) * int(rng.integers(2, 101))
        return self.header, self._sum(dict.fromkeys(self.scene.members, factor))

    def with_one_of_another_round(self, rng: Random) -> Forged:
        other = self.others[rng.integers(2)]
        member = str(rng.choice(self.scene.members))
        parts = {**self.scene.parts, member: other.parts[member]}
        return self.header, combined(self.scene.form, dict.fromkeys(parts, 1), parts)

    def of_another_round(self, rng: Random) -> Forged:
        return self.header, self.others[rng.integers(2)].total

    def ciphertexts_exchanged(self, rng: Random) -> Forged:
        total = self.scene.total
        macs = total.macs[::-1] if rng.integers(2) else total.macs
        return self.header, Ciphertexts(total.residues[::-1], macs)

    def coefficients_moved(self, rng: Random) -> Forged:
        shift = int(rng.integers(1, 4096))
        residues = np.roll(self.scene.total.residues, shift, axis=1)
        return self.header, Ciphertexts(residues, self.scene.total.macs)

    def with_constants_added(self, rng: Random) -> Forged:
        """From one residue to all of them, by anything from one to the whole range."""
        residues = self.scene.total.residues.copy()
        places = rng.choice(residues.size, int(rng.choice([1, 2, 40, residues.size])), replace=False)
        limit = 1 << int(rng.integers(1, 54))
        added = rng.integers(1, limit + 1, places.size, dtype=np.uint64)
        modulus = np.uint64(self.scene.form.modulus)
        residues.reshape(-1)[places] = (residues.reshape(-1)[places] + added % modulus) % modulus
        if np.array_equal(residues, self.scene.total.residues):
            residues[0, 0] ^= np.uint64(1)
        return self.header, Ciphertexts(residues, self.scene.total.macs)

    def with_a_chosen_plaintext_added(self, rng: Random) -> Forged:
        """q/t times a value on a slot: it would decrypt cleanly to another sum."""
        profile = self.scene.inner.profile
        residues = self.scene.total.residues.copy()
        step = profile.data_prime // profile.plain_modulus
        slot = tuple(rng.integers(0, residues.shape))
        residues[slot] = (int(residues[slot]) + step * int(rng.integers(1, 1000))) % profile.data_prime
        return self.header, Ciphertexts(residues, self.scene.total.macs)

    def with_macs_altered(self, rng: Random) -> Forged:
        macs = self.scene.total.macs.copy()
        modulus = self.scene.form.modulus
        row = int(rng.integers(macs.size))
        macs[row] = (int(macs[row]) + int(rng.integers(1, modulus))) % modulus
        return self.header, Ciphertexts(self.scene.total.residues, macs)

    def drawn_from_nothing(self, rng: Random) -> Forged:
        modulus, shape = self.scene.form.modulus, self.scene.total.residues.shape
        residues = rng.integers(0, modulus, shape, dtype=np.uint64)
        return self.header, Ciphertexts(residues, rng.integers(0, modulus, shape[0], dtype=np.uint64))

    def claiming_a_subset(self, rng: Random) -> Forged:
        members = list(map(str, rng.permutation(self.scene.members)[: int(rng.integers(1, 3))]))
        return self.scene.header(members), self._sum(dict.fromkeys(members, 1))

    def claiming_one_twice(self, rng: Random) -> Forged:
        first, second, _ = map(str, rng.permutation(self.scene.members))
        return self.scene.header([first, second, second]), self._sum({first: 1, second: 2})

    def claiming_another_rounds_contribution(self, rng: Random) -> Forged:
        other = self.others[rng.integers(2)]
        member = str(rng.choice(self.scene.members[1:]))
        place = self.scene.members.index(member)
        contributors, seeds = list(self.header.contributors), list(self.header.seeds)
        contributors[place] = other.contributions[member].signed
        seeds[place] = other.contributions[member].seeds
        header = dataclasses.replace(self.header, contributors=tuple(contributors), seeds=tuple(seeds))
        parts = {**self.scene.parts, member: other.parts[member]}
        return header, combined(self.scene.form, dict.fromkeys(parts, 1), parts)

    def _sum(self, multiples: dict[str, int]) -> Ciphertexts:
        return combined(self.scene.form, multiples, self.scene.parts)


ATTACKS: tuple[Callable[[HostileServer, Random], Forged], ...] = tuple(
    attack for name, attack in vars(HostileServer).items() if not name.startswith("_")
)


@pytest.fixture(scope="module")
def server(scene: Scene, later: Scene, elsewhere: Scene) -> HostileServer:
    return HostileServer(scene, later, elsewhere)


@pytest.mark.slow
def test_of_ten_thousand_hostile_aggregates_none_reaches_the_secret_key(
    scene: Scene, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The round's MAC is the same every time; deriving it anew would be two thirds of the work.
    binding = Binding.of_manifest(scene.manifest, key_epoch=scene.federation.keys.key_epoch)
    context = binding.place(0, ciphertexts=2).context
    mac = CiphertextMac(scene.federation.keys.mac, scene.form, context=context)
    monkeypatch.setattr(AuthenticatedBfv, "_mac", lambda *_: mac)
    scene.spy.opened = 0
    rng = np.random.default_rng(20)
    refused: Counter[str] = Counter()
    for number in range(ATTEMPTS):
        attack = ATTACKS[number % len(ATTACKS)]
        header, total = attack(server, rng)
        with pytest.raises(AuthenticationError) as caught:
            scene.decrypt(total, header)
        # Who is claimed, a signature decides in its own words; all else is the one verdict.
        refused[attack.__name__ if type(caught.value) is AuthenticationError else str(caught.value)] += 1
    assert scene.spy.opened == 0
    assert sum(refused.values()) == ATTEMPTS
    claims = {attack.__name__ for attack in ATTACKS if attack.__name__.startswith("claiming")}
    assert len(refused) == len(claims) + 1
    assert claims < set(refused)


def test_the_true_aggregate_reaches_it_once_and_gives_the_sum(scene: Scene) -> None:
    scene.spy.opened = 0
    np.testing.assert_array_equal(scene.decrypt(scene.total), scene.sums)
    assert scene.spy.opened == 1


def raw(scene: Scene, total: Ciphertexts, members: tuple[str, ...]) -> np.ndarray:
    """What a client without authentication makes of an aggregate and the seeds it was given with it."""
    seeds = [scene.contributions[member].seeds for member in members]
    slots = signed(scene.federation.bfv().decrypt(total.residues, seeds), scene.inner.profile)
    return unpack(slots, scene.inner.plan.length(1), scene.inner.profile)


def test_control_without_authentication_one_contribution_is_read_in_clear(scene: Scene) -> None:
    for member in scene.members:
        opened = raw(scene, scene.parts[member], (member,))
        np.testing.assert_array_equal(opened, scene.integers[member])


def test_control_without_authentication_a_subset_gives_a_difference_of_one_client(scene: Scene) -> None:
    first, *others = scene.members
    part = combined(scene.form, dict.fromkeys(others, 1), scene.parts)
    np.testing.assert_array_equal(scene.sums - raw(scene, part, tuple(others)), scene.integers[first])


def test_control_without_authentication_a_chosen_value_is_added_unnoticed(scene: Scene) -> None:
    profile = scene.inner.profile
    residues = scene.total.residues.copy()
    step = profile.data_prime // profile.plain_modulus
    residues[0, 7] = (int(residues[0, 7]) + 1000 * step) % profile.data_prime
    opened = raw(scene, Ciphertexts(residues, scene.total.macs), scene.members)
    assert opened[7] - scene.sums[7] == 1000
    assert np.array_equal(np.delete(opened, 7), np.delete(scene.sums, 7))
