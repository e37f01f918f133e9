"""Members without models for benchmarks: real sessions, journals, shares, keys and encryption of drawn integers.

The sum of a slot's integers is checked against plain addition, so that a benchmark that is wrong says so.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from securefl.aggregation.decryption import Body
from securefl.crypto.channel_keys import ChannelKey
from securefl.crypto.dealt_keys import KeyKind
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.kahe.profiles import KaheProfile
from securefl.crypto.kahe.public import PublicPolynomials
from securefl.crypto.kahe.scheme import Decryptor, Encryptor
from securefl.crypto.profiles import DEGREE
from securefl.crypto.schemes import profile_for
from securefl.crypto.wireform import WireForm, wire_form
from securefl.errors import BudgetError
from securefl.identity.signing import SigningKey
from securefl.ledger.events import Event
from securefl.protocol.agreement.cohort import Cohort, Manifest
from securefl.protocol.agreement.rules import Owners, Rules
from securefl.protocol.calls import AggregateHead
from securefl.protocol.member_session import MemberState
from securefl.protocol.sections import Section
from securefl_client.journal import Journal
from securefl_client.key_shares import KeyShares
from securefl_client.round_work import Integers, TrainedRound
from securefl_client.session import MemberSession
from securefl_client.standing import Standing

BITS = 16


@dataclass(frozen=True)
class Layout:
    """Sizes of one contribution.

    Attributes:
        members: Of the roster.
        values: Of an update.
    """

    members: int
    values: int

    @cached_property
    def profile(self) -> KaheProfile:
        """The parameters that the planner would take."""
        chosen = profile_for(self.members, BITS, scheme="kahe")
        assert isinstance(chosen, KaheProfile)
        return chosen

    @property
    def ciphertexts(self) -> int:
        """Ciphertexts of a contribution."""
        return -(-self.values // (DEGREE * self.profile.lanes))

    @cached_property
    def form(self) -> WireForm:
        """A ciphertext's bytes."""
        return wire_form("kahe", self.profile)

    @property
    def section(self) -> Section:
        """The one section of a contribution."""
        return Section(self.form, self.ciphertexts)

    def slots(self, member: str, round_number: int) -> Integers:
        """A member's integers in a round (ciphertexts x 4096)."""
        seed = int.from_bytes(_digest(f"{member} {round_number}")[:8], "big")
        return np.random.default_rng(seed).integers(-3, 4, self.ciphertexts * DEGREE)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class DrawnChannels:
    """Channel keys that all members derive from one word; dealing them is no part of a round."""

    def __init__(self, member: str) -> None:
        self._member = member

    def pair(self, member: str, round_number: int) -> ChannelKey:
        """The key between this member and another."""
        low, high = sorted((member, self._member))
        return ChannelKey(KeyKind.PAIR, round_number, _digest(f"pair {low} {high} {round_number}"))

    def group(self, round_number: int) -> ChannelKey:
        """The key that all members have."""
        return ChannelKey(KeyKind.GROUP, round_number, _digest(f"group {round_number}"))

    def forget_before(self, round_number: int) -> None:
        """Keep nothing, so that there is nothing to forget."""


class NoOwners:
    """An owner rule of a federation in which everybody owns everything."""

    def check(self, *, survivors: tuple[str, ...], cohort: tuple[str, ...]) -> None:
        """Take every set of survivors."""


class NoLedger:
    """A ledger that keeps nothing; a real one costs one ``fsync`` an event."""

    def note(self, event: Event) -> None:
        """Forget it."""


class DrawnEncryption:
    """A contribution in its wire form, one ciphertext a window."""

    seeds = b""

    def __init__(self, slots: Integers, layout: Layout, cohort: Cohort) -> None:
        self._slots, self._layout = slots.reshape(-1, DEGREE), layout
        self.key: ShortKey | None = ShortKey.fresh()
        public = PublicPolynomials(cohort.digest, section=0)
        self._encryptor = Encryptor(layout.profile, key=self.key, public=public)

    def windows(self) -> Iterator[bytes]:
        """The body, in order, once."""
        for first in range(0, len(self._slots), 4):
            yield self._layout.form.encode_residues(
                self._encryptor.encrypt(self._slots[first : first + 4], first=first)
            )


@dataclass
class DrawnWork:
    """A member's work: integers from a seed, and a chain over the sums."""

    member: str
    layout: Layout
    chain: bytes = bytes(32)
    sums: list[Integers] = field(default_factory=list)
    survivors: list[tuple[str, ...]] = field(default_factory=list)

    def agreement(self, manifest: Manifest) -> bytes:
        """HMAC of the chain."""
        return hmac.digest(b"members", self.chain + manifest.digest, "sha256")

    def owners(self, round_number: int) -> Owners:
        """Nobody owns a part alone."""
        return NoOwners()

    def train(self, round_number: int) -> TrainedRound:
        """Draw the integers."""
        return TrainedRound([self.layout.slots(self.member, round_number)], lambda: 0)

    def trained(self, round_number: int) -> None:
        """Nothing comes after."""

    def encrypt(
        self, runs: Callable[[], Iterable[Integers]], *, cohort: Cohort, salt: bytes
    ) -> DrawnEncryption:
        """Encrypt them for a cohort."""
        return DrawnEncryption(np.concatenate(list(runs())), self.layout, cohort)

    def decrypt(self, head: AggregateHead, body: Body, *, key_sum: KeySum | None) -> Integers:
        """Open a verified sum."""
        assert key_sum is not None
        words = self.layout.form.decode_window(body[:]).residues
        public = PublicPolynomials(head.cohort.digest, section=0)
        return Decryptor(self.layout.profile, key=key_sum, public=public).decrypt(words, first=0).reshape(-1)

    def apply(self, sums: Integers, head: AggregateHead) -> bool:
        """Keep the sum."""
        statement = head.certificate.statement
        self.chain = hashlib.sha256(self.chain + statement.digest + sums.tobytes()).digest()
        self.sums.append(sums)
        self.survivors.append(tuple(head.cohort.members[each.index] for each in statement.survivors))
        return False

    def is_exact(self, round_number: int) -> bool:
        """Tell if a round's sum is that of its survivors' integers, added as plain numbers."""
        place = round_number - 1
        total = sum(self.layout.slots(each, round_number) for each in self.survivors[place])
        return bool(np.array_equal(total, self.sums[place]))

    def go_back(self, state: MemberState) -> None:
        """A benchmark has no spoiled round."""
        raise AssertionError("a round of a benchmark was spoiled")

    def finish(self, state: MemberState) -> None:
        """Nothing to save."""

    def sit_out(self, round_number: int, refused: BudgetError) -> None:
        """A benchmark charges no budget."""
        raise AssertionError("a member of a benchmark sat out") from refused

    def abstain(self, round_number: int, reason: str) -> None:
        """A benchmark has no lying server."""
        raise AssertionError(f"a member of a benchmark abstained: {reason}")

    def await_members(self, missing: tuple[str, ...]) -> None:
        """Nobody to tell."""


def make_session(
    folder: Path, rules: Rules, key: SigningKey, work: DrawnWork, *, rounds: int
) -> tuple[MemberSession, Journal]:
    """A member's real session with a journal in a folder of its own."""
    journal = Journal(folder, rules, member=work.member, first_round=1)
    shares = KeyShares(rules, member=work.member, channels=DrawnChannels(work.member))
    standing = Standing(rules, key, journal, work, NoLedger(), shares=shares, reason_key=_digest("reasons"))
    return MemberSession(standing, rounds=rounds), journal


def key_of(member: str) -> SigningKey:
    """A member's signing key: known to everybody who reads this, so for benchmarks only."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return SigningKey(Ed25519PrivateKey.from_private_bytes(_digest(f"signing {member}")))
