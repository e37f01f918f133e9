"""Members driven by hand: real journals, signatures, shares and keys, work that draws integers from a seed.

Encryption is that of ``crypto.kahe`` on one ciphertext, or none at all. The last value of every contribution is the sum
of the others, which stands for the tag. ``fake_server`` is the server that they speak to.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from securefl.crypto.channel_keys import ChannelKey
from securefl.crypto.dealt_keys import KeyKind
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.kahe.profiles import KAHE_PROFILES
from securefl.crypto.kahe.public import PublicPolynomials
from securefl.crypto.kahe.scheme import Decryptor, Encryptor
from securefl.crypto.profiles import DEGREE
from securefl.crypto.schemes import profile_for
from securefl.errors import BudgetError, ForgeryError
from securefl.ledger.events import Event
from securefl.protocol.agreement.cohort import Cohort, Manifest
from securefl.protocol.agreement.rules import Owners
from securefl.protocol.calls import (
    AggregateHead,
    Announcement,
)
from securefl.protocol.member_session import MemberState
from securefl_client.driver import carry_out
from securefl_client.journal import Journal
from securefl_client.key_shares import KeyShares
from securefl_client.round_work import Got, Sent, TrainedRound
from securefl_client.session import MemberSession
from securefl_client.standing import Standing
from support.agreements import Asked, Members, digest

PROFILE = next(each for each in KAHE_PROFILES if each == profile_for(16, 16, scheme="kahe"))
ROUNDS = 2


class Crash(BaseException):
    """The member's process ends here."""


def integers(member: str, round_number: int) -> np.ndarray:
    """(4096,) of a member in a round; the last is the sum of the others."""
    seed = int.from_bytes(hashlib.sha256(f"{member} {round_number}".encode()).digest()[:8], "big")
    values = np.random.default_rng(seed).integers(-3, 4, DEGREE)
    values[-1] = values[:-1].sum()
    return values


class FakeChannels:
    """Channel keys that all members derive from one secret of the test."""

    def __init__(self, member: str) -> None:
        self._member = member
        self.forgotten = 0

    def pair(self, member: str, round_number: int) -> ChannelKey:
        low, high = sorted((member, self._member))
        return ChannelKey(KeyKind.PAIR, round_number, digest(f"pair {low} {high} {round_number}"))

    def group(self, round_number: int) -> ChannelKey:
        return ChannelKey(KeyKind.GROUP, round_number, digest(f"group {round_number}"))

    def forget_before(self, round_number: int) -> None:
        self.forgotten = round_number


@dataclass
class FakeEncrypting:
    """A contribution of one ciphertext, or of plain integers."""

    values: np.ndarray
    cohort: Cohort
    key: ShortKey | None
    seeds: bytes = b""

    def windows(self) -> Iterator[bytes]:
        if self.key is None:
            yield self.values.astype("<i8").tobytes()
            return
        public = PublicPolynomials(self.cohort.digest, section=0)
        slots = self.values.reshape(1, DEGREE)
        words = Encryptor(PROFILE, key=self.key, public=public).encrypt(slots, first=0)
        yield words.astype("<u8").tobytes()


@dataclass
class FakeWork:
    """Training that draws integers, and a state that is the chain of sums."""

    member: str
    packets: bool
    chain: bytes = bytes(32)
    trained_rounds: list[int] = field(default_factory=list)
    applied: list[np.ndarray] = field(default_factory=list)
    keys: list[ShortKey] = field(default_factory=list)
    abstained: list[tuple[int, str]] = field(default_factory=list)
    finished: bool = False
    ends_with: int | None = None
    owner_rule: Owners = field(default_factory=Asked)

    def agreement(self, manifest: Manifest) -> bytes:
        return hmac.digest(b"members", self.chain + manifest.digest, "sha256")

    def owners(self, round_number: int) -> Owners:
        return self.owner_rule

    def train(self, round_number: int) -> TrainedRound:
        self.trained_rounds.append(round_number)
        return TrainedRound([integers(self.member, round_number)], lambda: 0)

    def trained(self, round_number: int) -> None:
        pass

    def encrypt(
        self, runs: Callable[[], Iterable[np.ndarray]], *, cohort: Cohort, salt: bytes
    ) -> FakeEncrypting:
        key = ShortKey.fresh() if self.packets else None
        if key is not None:
            self.keys.append(key)
        return FakeEncrypting(np.concatenate(list(runs())), cohort, key)

    def decrypt(self, head: AggregateHead, body: bytes, *, key_sum: KeySum | None) -> np.ndarray:
        if key_sum is None:
            sums = np.frombuffer(body[:], dtype="<i8").astype(np.int64)
        else:
            public = PublicPolynomials(head.cohort.digest, section=0)
            total = np.frombuffer(body[:], dtype="<u8").reshape(1, DEGREE).astype(np.uint64)
            sums = Decryptor(PROFILE, key=key_sum, public=public).decrypt(total, first=0)[0]
        if sums[-1] != sums[:-1].sum():
            raise ForgeryError("the aggregate is not the sum of what its contributors sent")
        return sums

    def apply(self, sums: np.ndarray, head: AggregateHead) -> bool:
        self._advance(sums, head.certificate.statement.digest)
        return head.cohort.attempt.round_number == self.ends_with

    def _advance(self, sums: np.ndarray, statement: bytes) -> None:
        self.chain = hashlib.sha256(self.chain + statement + sums.astype("<i8").tobytes()).digest()
        self.applied.append(sums)

    def rebuild(self, journal: Journal) -> FakeWork:
        self.chain, self.applied = bytes(32), []
        for each in journal.state.sums:
            self._advance(np.concatenate(list(journal.integers(each.sums))), each.statement_digest)
        self.journal = journal
        return self

    def go_back(self, state: MemberState) -> None:
        self.rebuild(self.journal)

    def finish(self, state: MemberState) -> None:
        self.finished = True

    def sit_out(self, round_number: int, refused: BudgetError) -> None:
        raise refused

    def abstain(self, round_number: int, reason: str) -> None:
        self.abstained.append((round_number, reason))

    def await_members(self, missing: tuple[str, ...]) -> None:
        pass


@dataclass
class FakeLedger:
    """A ledger's events, each once."""

    events: list[Event] = field(default_factory=list)

    def note(self, event: Event) -> None:
        if event not in self.events:
            self.events.append(event)


@dataclass
class Station:
    """One member with its folder: its session can be thrown away and made anew."""

    members: Members
    member: str
    folder: Path
    rounds: int = ROUNDS
    ledger: FakeLedger = field(default_factory=FakeLedger)
    steps: list[str] = field(default_factory=list)
    stop_after: Callable[[list[str]], bool] = field(default=lambda steps: False)
    stop_before_sending: Callable[[Sent], bool] = field(default=lambda request: False)
    stop_before_answer: Callable[[Sent], bool] = field(default=lambda request: False)
    sent: list[Sent] = field(default_factory=list)
    is_past: bool = False
    ends_with: int | None = None
    owner_rule: Owners = field(default_factory=Asked)

    def __post_init__(self) -> None:
        self.journal: Journal | None = None
        self.start()

    def start(self) -> None:
        if self.journal is not None:
            self.journal.close()
        self.journal = Journal(
            self.folder, self.members.rules, member=self.member, first_round=1, on_step=self._stepped
        )
        self.work = FakeWork(
            self.member, self.members.packets, ends_with=self.ends_with, owner_rule=self.owner_rule
        ).rebuild(self.journal)
        shares = (
            KeyShares(self.members.rules, member=self.member, channels=FakeChannels(self.member))
            if self.members.packets
            else None
        )
        standing = Standing(
            self.members.rules,
            self.members.keys[self.member],
            self.journal,
            self.work,
            self.ledger,
            shares=shares,
            reason_key=digest("reasons"),
        )
        self.session = MemberSession(standing, rounds=self.rounds)

    def _stepped(self, step: str) -> None:
        self.steps.append(step)
        if self.stop_after(self.steps):
            raise Crash(step)

    @property
    def state(self) -> MemberState:
        return self.session.state

    def hear(self, announcement: Announcement, answer: Callable[[Sent], Got]) -> list[Sent]:
        """Handle one announcement; what was sent."""
        sent: list[Sent] = []

        def ask(request: Sent) -> Got:
            self.sent.append(request)
            sent.append(request)
            return answer(request)

        carry_out(self.session, announcement, ask, is_past=lambda: self.is_past)
        return sent


def expected_sum(survivors: Iterable[str], number: int) -> np.ndarray:
    return np.sum([integers(member, number) for member in survivors], axis=0)
