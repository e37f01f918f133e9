"""Row 1 of the attacks: a server presents something else as the aggregate; none of it reaches the secret key.

The control opens the same things with the cipher alone, as a client without authentication would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from securefl.aggregation.contribution import Binding
from securefl.crypto import tags
from securefl.crypto.authenticated_bfv import AuthenticatedBfv
from securefl.crypto.authentication import CiphertextMac
from securefl.crypto.bfv_profiles import BfvProfile
from securefl.crypto.kahe.profiles import KaheProfile
from securefl.crypto.linearform import LinearForms
from securefl.crypto.packing import unpack
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import AuthenticationError, ForgeryError, ProtocolError
from securefl.protocol.calls import AggregateHead

from .conftest import Scene, combined, of_another_federation, play, signed

ATTEMPTS = 10_000
Random = np.random.Generator
Forged = tuple[AggregateHead | None, Ciphertexts]
"""A head of the server's own, if it claims something, and a total."""


class HostileServer:
    """Draws aggregates that are not the sum of the cohort's contributions."""

    def __init__(self, scene: Scene, later: Scene, elsewhere: Scene) -> None:
        self.scene = scene
        self.others = (later, elsewhere)

    def of_multiples(self, rng: Random) -> Forged:
        """Each contribution any number of times, but not each once."""
        multiples = rng.integers(-3, 4, len(self.scene.members)).tolist()
        if all(multiple == 1 for multiple in multiples):
            multiples[0] = 2
        return None, self._sum(dict(zip(self.scene.members, multiples, strict=True)))

    def one_alone(self, rng: Random) -> Forged:
        return None, self.scene.parts[str(rng.choice(self.scene.members))]

    def all_but_one(self, rng: Random) -> Forged:
        chosen = rng.permutation(self.scene.members)[1:]
        return None, self._sum(dict.fromkeys(map(str, chosen), 1))

    def one_twice(self, rng: Random) -> Forged:
        _, second, *others = map(str, rng.permutation(self.scene.members))
        return None, self._sum({second: 2, **dict.fromkeys(others, 1)})

    def scaled(self, rng: Random) -> Forged:
        factor = int(rng.choice([-1, 1])) * int(rng.integers(2, 101))
        return None, self._sum(dict.fromkeys(self.scene.members, factor))

    def with_one_of_another_round(self, rng: Random) -> Forged:
        other = self.others[rng.integers(2)]
        member = str(rng.choice(self.scene.members))
        parts = {**self.scene.parts, member: other.parts[member]}
        return None, combined(self.scene.form, dict.fromkeys(parts, 1), parts)

    def of_another_round(self, rng: Random) -> Forged:
        return None, self.others[rng.integers(2)].total

    def ciphertexts_exchanged(self, rng: Random) -> Forged:
        total = self.scene.total
        macs = total.macs[::-1] if rng.integers(2) else total.macs
        return None, Ciphertexts(total.residues[::-1], macs)

    def coefficients_moved(self, rng: Random) -> Forged:
        shift = int(rng.integers(1, 4096))
        residues = np.roll(self.scene.total.residues, shift, axis=1)
        return None, Ciphertexts(residues, self.scene.total.macs)

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
        return None, Ciphertexts(residues, self.scene.total.macs)

    def with_a_chosen_plaintext_added(self, rng: Random) -> Forged:
        """A value on a slot: it would decrypt cleanly to another sum."""
        profile, modulus = self.scene.inner.profile, self.scene.form.modulus
        residues = self.scene.total.residues.copy()
        step = 1
        if isinstance(profile, BfvProfile):
            step = modulus // profile.plain_modulus
        elif isinstance(profile, KaheProfile):
            step = 1 << (profile.scale_bits - profile.dropped_bits)
        slot = tuple(rng.integers(0, residues.shape))
        residues[slot] = (int(residues[slot]) + step * int(rng.integers(1, 1000))) % modulus
        return None, Ciphertexts(residues, self.scene.total.macs)

    def with_macs_altered(self, rng: Random) -> Forged:
        macs = self.scene.total.macs.copy()
        modulus = self.scene.form.modulus
        row = int(rng.integers(macs.size))
        macs[row] = (int(macs[row]) + int(rng.integers(1, modulus))) % modulus
        return None, Ciphertexts(self.scene.total.residues, macs)

    def drawn_from_nothing(self, rng: Random) -> Forged:
        modulus, shape = self.scene.form.modulus, self.scene.total.residues.shape
        residues = rng.integers(0, modulus, shape, dtype=np.uint64)
        return None, Ciphertexts(residues, rng.integers(0, modulus, shape[0], dtype=np.uint64))

    def claiming_a_subset(self, rng: Random) -> Forged:
        members = list(map(str, rng.permutation(self.scene.members)[: int(rng.integers(1, 3))]))
        return self._claimed(members, self._sum(dict.fromkeys(members, 1)))

    def claiming_one_twice(self, rng: Random) -> Forged:
        first, second, _ = map(str, rng.permutation(self.scene.members))
        return self._claimed([first, second, second], self._sum({first: 1, second: 2}))

    def claiming_another_rounds_contribution(self, rng: Random) -> Forged:
        other = self.others[rng.integers(2)]
        member = str(rng.choice(self.scene.members[1:]))
        headers = [
            (other if name == member else self.scene).played.header(name) for name in self.scene.members
        ]
        seeds = [(other if name == member else self.scene).seeds[name] for name in self.scene.members]
        parts = {**self.scene.parts, member: other.parts[member]}
        total = combined(self.scene.form, dict.fromkeys(parts, 1), parts)
        return self.scene.head(self.scene.members, total, headers=headers, seeds=seeds), total

    def _claimed(self, members: list[str], total: Ciphertexts) -> Forged:
        return self.scene.head(members, total), total

    def _sum(self, multiples: dict[str, int]) -> Ciphertexts:
        return combined(self.scene.form, multiples, self.scene.parts)


ATTACKS: tuple[Callable[[HostileServer, Random], Forged], ...] = tuple(
    attack for name, attack in vars(HostileServer).items() if not name.startswith("_")
)


@pytest.fixture(scope="module")
def server(scene: Scene, later: Scene, elsewhere: Scene) -> HostileServer:
    return HostileServer(scene, later, elsewhere)


def refusals(server: HostileServer, attempts: int) -> Counter[str]:
    """How often each claim, and each verdict on a total, was refused; or the true sum was opened."""
    rng = np.random.default_rng(20)
    refused: Counter[str] = Counter()
    for number in range(attempts):
        attack = ATTACKS[number % len(ATTACKS)]
        head, total = attack(server, rng)
        try:
            opened = server.scene.decrypt(total, head)
        except (AuthenticationError, ProtocolError) as error:
            # Who is claimed, signatures and the cohort decide in their own words; all else is the one verdict.
            refused[str(error) if isinstance(error, ForgeryError) else attack.__name__] += 1
        else:
            np.testing.assert_array_equal(opened, server.scene.sums)
            refused[f"nothing changed: {attack.__name__}"] += 1
    return refused


def derive_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tag's secret words follow from key and attempt: the same every time, and most of the work if derived anew."""
    words, forms = cache(tags.uniform_words), {}

    def linear_forms(coefficients: list[list[int]], modulus: int) -> LinearForms:
        (rho,) = coefficients
        # ``words`` keeps every list, so that no other one has its identity.
        if id(rho) not in forms:
            forms[id(rho)] = LinearForms(coefficients, modulus)
        return forms[id(rho)]

    monkeypatch.setattr(tags, "uniform_words", words)
    monkeypatch.setattr(tags, "LinearForms", linear_forms)


CLAIMS = {attack.__name__ for attack in ATTACKS if attack.__name__.startswith("claiming")}


@pytest.mark.slow
def test_of_ten_thousand_hostile_aggregates_none_reaches_the_secret_key(
    scene: Scene, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The attempt's MAC is the same every time; deriving it anew would be two thirds of the work.
    context = Binding.of(scene.played.cohort).place(0, ciphertexts=2).context
    mac = CiphertextMac(scene.federation.keys.mac, scene.form, context=context)
    monkeypatch.setattr(AuthenticatedBfv, "_mac", lambda *_: mac)
    scene.spy.opened = 0
    refused = refusals(server, ATTEMPTS)
    assert scene.spy.opened == 0
    assert sum(refused.values()) == ATTEMPTS
    assert len(refused) == len(CLAIMS) + 1
    assert set(refused) > CLAIMS


@pytest.mark.slow
def test_of_ten_thousand_hostile_aggregates_none_opens_to_anything_under_one_time_keys(
    one_time: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the tag judges, behind the decryption; what it lets through is noise, which leaves the true sum."""
    derive_once(monkeypatch)
    later = play(one_time.federation, one_time.inner, number=2, seed=4)
    server = HostileServer(one_time, later, of_another_federation(one_time))
    refused = refusals(server, ATTEMPTS)
    unchanged = refused.pop("nothing changed: with_constants_added")
    assert 0 < unchanged < ATTEMPTS / len(ATTACKS)
    assert sum(refused.values()) == ATTEMPTS - unchanged
    # Forms without MACs have none to alter: such a total is the true one.
    assert refused.pop("nothing changed: with_macs_altered", 0) > 0
    assert len(refused) == len(CLAIMS) + 1
    assert set(refused) > CLAIMS


@pytest.mark.parametrize("which", ["scene", "one_time"])
def test_a_total_that_was_exchanged_behind_its_certificate_is_not_looked_at(
    which: str, request: pytest.FixtureRequest
) -> None:
    scene = request.getfixturevalue(which)
    scene.spy.opened = 0
    residues = scene.total.residues.copy()
    residues[0, 0] ^= np.uint64(1)
    head = scene.head(scene.members, scene.total)
    with pytest.raises(AuthenticationError, match="not the one that its certificate names"):
        scene.decrypt(Ciphertexts(residues, scene.total.macs), head)
    assert scene.spy.opened == 0


@pytest.mark.parametrize("which", ["scene", "one_time"])
def test_a_sum_with_too_few_votes_is_not_looked_at(which: str, request: pytest.FixtureRequest) -> None:
    scene = request.getfixturevalue(which)
    scene.spy.opened = 0
    head = scene.head(scene.members, scene.total, voters=scene.members[1:])
    with pytest.raises(AuthenticationError):
        scene.decrypt(scene.total, head)
    assert scene.spy.opened == 0


@pytest.mark.parametrize("which", ["scene", "one_time"])
def test_the_true_aggregate_reaches_it_once_and_gives_the_sum(
    which: str, request: pytest.FixtureRequest
) -> None:
    scene = request.getfixturevalue(which)
    scene.spy.opened = 0
    np.testing.assert_array_equal(
        scene.decrypt(scene.total, scene.head(scene.members, scene.total)), scene.sums
    )
    assert scene.spy.opened == 1


def raw(scene: Scene, total: Ciphertexts, members: tuple[str, ...]) -> np.ndarray:
    """What a client without authentication makes of an aggregate and the seeds it was given with it."""
    seeds = [scene.seeds[member] for member in members]
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
