"""Row 2 of the attacks: what a server and c_max members hold together, looked at number by number.

They have all that the server heard, the packets to them, the group's key, and the reveals. Of the sum over the honest
members they read everything, as they may. Of one honest contribution they read nothing: its words, and what is left of
them when the best guess at its key is taken off, are spread evenly. The controls are one colluder too many, and a key
that served two bodies, which are both told at once.

The worlds are drawn from seeds, so every statistic here is the same in every run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2
from support.fake_members import PROFILE, FakeChannels
from support.soak import in_memory
from support.worlds import Played, form, play

from securefl.crypto.channel_keys import RevealPlace, open_reveal
from securefl.crypto.kahe.keys import ShortKey
from securefl.crypto.kahe.modulus import Q
from securefl.crypto.kahe.public import PublicPolynomials
from securefl.crypto.kahe.ring import products, spectrum_of
from securefl.crypto.kahe.scheme import Encryptor
from securefl.crypto.shares import Sharing, decode_share
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import Answer, CohortClosed, Request, SendReveal, StageContribution, Staged
from securefl.simulation.world.faults import Faults
from securefl_client.key_shares import KeyShares
from securefl_server.round_server import RoundServer

SIZE = 8
SEEDS = range(8)
FAIR = 1e-6
"""Below it a statistic counts as telling something; of the fixed seeds here none comes near."""
CELLS = 256


@dataclass
class Heard:
    """Everything that a server hears."""

    cohorts: dict[int, Cohort] = field(default_factory=dict)
    heads: dict[tuple[int, str], StageContribution] = field(default_factory=dict)
    bodies: dict[tuple[int, str], bytes] = field(default_factory=dict)
    reveals: dict[tuple[int, str], SendReveal] = field(default_factory=dict)


class ListeningServer:
    """The real core, with everything written down."""

    def __init__(self, core: RoundServer, heard: Heard) -> None:
        self._core, self._heard = core, heard
        core.on_announcement(self._note)

    def __getattr__(self, name: str) -> object:
        return getattr(self._core, name)

    def _note(self, announcement: object) -> None:
        if isinstance(announcement, CohortClosed):
            self._heard.cohorts[announcement.cohort.attempt.round_number] = announcement.cohort

    def hear(self, member: str, request: Request) -> Answer:
        if isinstance(request, StageContribution):
            self._heard.heads[request.attempt.round_number, member] = request
        if isinstance(request, SendReveal):
            self._heard.reveals[request.reveal.body.attempt.round_number, member] = request
        return self._core.hear(member, request)

    def receive(self, member: str, attempt: Attempt, offset: int, chunk: bytes) -> Staged:
        place = attempt.round_number, member
        before = self._heard.bodies.get(place, b"")
        self._heard.bodies[place] = before[:offset] + chunk
        return self._core.receive(member, attempt, offset, chunk)


@dataclass
class Coalition:
    """A server and some members, after the last round."""

    world: Played
    heard: Heard
    allies: tuple[str, ...]

    @property
    def honest(self) -> tuple[str, ...]:
        return tuple(name for name in self.world.members.roster if name not in self.allies)

    def words(self, number: int, member: str) -> np.ndarray:
        """(4096,) uint64: the body as it was sent, modulo 2^(60-d)."""
        return form(packets=True).decode_upload(self.heard.bodies[number, member], ciphertexts=1).residues[0]

    def public(self, number: int) -> PublicPolynomials:
        return PublicPolynomials(self.heard.cohorts[number].digest, section=0)

    def shares_of(self, number: int, sender: str) -> dict[int, np.ndarray]:
        """By position in the cohort: the sender's shares that the allies can open."""
        cohort, head = self.heard.cohorts[number], self.heard.heads[number, sender]
        rules = self.world.members.rules
        found = {}
        for ally in self.allies:
            place = cohort.index(ally)
            opened = KeyShares(rules, member=ally, channels=FakeChannels(ally)).opened(
                head.packets[place], cohort, sender=cohort.index(sender), body_digest=head.body_digest
            )
            assert opened is not None
            found[place] = decode_share(opened, rules.sizes(cohort))
        return found

    def guessed_key(self, number: int, sender: str) -> np.ndarray:
        """The key that the allies' shares give, with zeros in the place of those that they lack."""
        cohort = self.heard.cohorts[number]
        sizes = self.world.members.rules.sizes(cohort)
        known = self.shares_of(number, sender)
        lacking = [place for place in range(sizes.members) if place not in known]
        zeros = np.zeros(sizes.words, dtype=np.uint16)
        filled = known | dict.fromkeys(lacking[: sizes.threshold - len(known)], zeros)
        return Sharing(sizes).combine(filled)

    def left_over(self, number: int, words: np.ndarray, key: np.ndarray) -> np.ndarray:
        """(4096,) int64, centred: words with a key taken off; message and noise where the key is the right one."""
        phase = np.zeros((1, 4096), dtype=np.uint64)
        # A guess is as long as residues are; three bits of each coefficient are a short polynomial.
        for shift in range(0, 16, 3):
            part = np.sign(key) * (np.abs(key) >> shift & 7)
            phase += products(self.public(number).limbs(0, 1), spectrum_of(part), Q) << np.uint64(shift)
        phase += Q.reduced(words.reshape(1, -1) << np.uint64(PROFILE.dropped_bits))
        return Q.centred(phase)[0]


def coalition(folder: Path, seed: int, colluders: int) -> Coalition:
    heard = Heard()
    world = play(
        folder,
        seed=seed,
        faults=Faults(),
        size=SIZE,
        min_clients=SIZE,
        rounds=1,
        make_core=lambda core: ListeningServer(core, heard),  # type: ignore[arg-type,return-value]
    )
    assert not world.violations()
    return Coalition(world, heard, world.members.roster[:colluders])


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def coalitions(folder: Path) -> list[Coalition]:
    """Worlds with as many colluders as the roster bears."""
    made = [coalition(folder / str(seed), seed, 0) for seed in SEEDS]
    for each in made:
        each.allies = each.world.members.roster[: each.world.members.rules.constants.max_colluders]
    assert {len(each.allies) for each in made} == {3}
    return made


def evenness(values: np.ndarray, modulus: int) -> float:
    """P-value of the chi-square test for values spread evenly below a modulus."""
    cells = (values.astype(np.float64) * (CELLS / modulus)).astype(np.int64)
    counts = np.bincount(cells, minlength=CELLS)
    expected = values.size / CELLS
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), CELLS - 1))


def message(rest: np.ndarray) -> np.ndarray:
    """What a right key leaves, without its noise."""
    return (rest + (1 << PROFILE.scale_bits >> 1)) >> PROFILE.scale_bits


def centred_evenness(values: np.ndarray) -> float:
    return evenness(values.astype(np.float64) + 2.0**59, 1 << 60)


def test_every_honest_body_is_uniform(coalitions: list[Coalition]) -> None:
    bits = Q.bits - PROFILE.dropped_bits
    for each in coalitions:
        for member in each.honest:
            assert evenness(each.words(1, member), 1 << bits) > FAIR


def test_the_shares_that_c_max_members_hold_are_uniform(coalitions: list[Coalition]) -> None:
    held = [
        share for each in coalitions for member in each.honest for share in each.shares_of(1, member).values()
    ]
    assert len(held) == len(SEEDS) * 5 * 3
    assert evenness(np.concatenate(held), 65521) > FAIR


def test_with_the_best_guess_at_its_key_taken_off_every_honest_contribution_is_uniform(
    coalitions: list[Coalition],
) -> None:
    for each in coalitions:
        for member in each.honest:
            rest = each.left_over(1, each.words(1, member), each.guessed_key(1, member))
            assert centred_evenness(rest) > FAIR


def test_differences_of_honest_contributions_are_uniform(coalitions: list[Coalition]) -> None:
    bits = Q.bits - PROFILE.dropped_bits
    for each in coalitions:
        first, *others = (each.words(1, member) for member in each.honest)
        for other in others:
            assert evenness((first - other) & np.uint64((1 << bits) - 1), 1 << bits) > FAIR


def test_control_one_sum_over_the_honest_members_is_read(coalitions: list[Coalition]) -> None:
    """All reveals open under the group's key that an ally has: the sum, less what the allies sent, and no more."""
    for each in coalitions:
        cohort, sizes = each.heard.cohorts[1], each.world.members.rules.sizes(each.heard.cohorts[1])
        group = FakeChannels(each.allies[0]).group(1)
        opened = {}
        for (_, member), sent in each.heard.reveals.items():
            place = cohort.index(member)
            reveal = sent.reveal.body
            share = open_reveal(group, reveal.sealed, place=RevealPlace(reveal.statement_digest, place))
            opened[place] = decode_share(share, sizes)
        total = np.sum([each.words(1, member) for member in cohort.members], axis=0, dtype=np.uint64)
        sums = message(each.left_over(1, total, Sharing(sizes).combine(opened)))
        allied = sum(each.world.draw(member, 1) for member in each.allies)
        honest = sum(each.world.draw(member, 1) for member in each.honest)
        np.testing.assert_array_equal(sums - allied, honest)


def test_control_with_t_members_instead_every_contribution_is_read(coalitions: list[Coalition]) -> None:
    each = coalitions[0]
    sizes = each.world.members.rules.sizes(each.heard.cohorts[1])
    many = Coalition(each.world, each.heard, each.world.members.roster[: sizes.threshold])
    victim = many.honest[0]
    rest = many.left_over(1, many.words(1, victim), many.guessed_key(1, victim))
    assert centred_evenness(rest) < 1e-300
    np.testing.assert_array_equal(message(rest), many.world.draw(victim, 1))


def test_control_a_key_that_serves_two_bodies_is_told_at_once() -> None:
    """The masks fall out of the difference; what is left is the difference of two updates."""
    draw = np.random.default_rng(5)
    public = PublicPolynomials(bytes(32), section=0)
    bits = Q.bits - PROFILE.dropped_bits
    slots = draw.integers(-3, 4, (2, 1, 4096))

    def difference(keys: list[ShortKey]) -> np.ndarray:
        one, two = (
            Encryptor(PROFILE, key=key, public=public).encrypt(each, first=0)[0]
            for key, each in zip(keys, slots, strict=True)
        )
        return (one - two) & np.uint64((1 << bits) - 1)

    key = ShortKey.fresh(draw.bytes)
    assert evenness(difference([key, key]), 1 << bits) < 1e-300
    assert evenness(difference([key, ShortKey.fresh(draw.bytes)]), 1 << bits) > FAIR
