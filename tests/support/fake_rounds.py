"""Members driven by hand against a small server in memory: real journals, signatures, shares and keys, no network.

The integers are drawn from a seed, encryption is that of ``crypto.kahe`` on one ciphertext, or none at all. The last
value of every contribution is the sum of the others, which stands for the tag.
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
from securefl.crypto.thresholds import threshold
from securefl.errors import ForgeryError, ProtocolError
from securefl.ledger.events import Event
from securefl.protocol.agreement.cohort import Cohort, Manifest
from securefl.protocol.agreement.commitment import header_digest
from securefl.protocol.agreement.rules import Owners
from securefl.protocol.agreement.signed import Signed
from securefl.protocol.agreement.statement import (
    Certificate,
    SpoiledProof,
    Survivor,
    Survivors,
    VoidProof,
    settlements_digest,
)
from securefl.protocol.calls import (
    Abstention,
    Acknowledge,
    AggregateHead,
    AggregateReady,
    Announcement,
    CastVote,
    Certified,
    CohortClosed,
    CommitAsked,
    Confirm,
    Done,
    FederationClosed,
    FetchAggregate,
    FetchCohort,
    FetchPackets,
    Leave,
    Packets,
    RoundOpened,
    SendAdvert,
    SendReveal,
    SettledAttempt,
    SpoiledAsked,
    StageContribution,
    Staged,
    SurvivorsProposed,
    VoidAsked,
)
from securefl.protocol.member_session import MemberState
from securefl_client.driver import carry_out
from securefl_client.journal import Journal
from securefl_client.key_shares import KeyShares
from securefl_client.round_work import Downloaded, Got, Sent, TrainedRound, Upload
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


def total_of(bodies: list[bytes], *, packets: bool) -> bytes:
    """The sum of bodies, as a server adds them."""
    kind = "<u8" if packets else "<i8"
    parts = [np.frombuffer(body, dtype=kind) for body in bodies]
    with np.errstate(over="ignore"):
        total = np.sum(np.stack(parts), axis=0, dtype=parts[0].dtype)
    bits = np.uint64((1 << 60 - PROFILE.dropped_bits) - 1)
    return (total & bits if packets else total).astype(kind).tobytes()


class FakeServer:
    """A server of honest words that a test can make lie: what it holds is in plain attributes."""

    def __init__(self, members: Members, folder: Path, **station: object) -> None:
        self.members = members
        self.stations = {
            member: Station(members, member, folder / member, **station)  # type: ignore[arg-type]
            for member in members.roster
        }
        self.settled: tuple[SettledAttempt, ...] = ()
        self.heads: dict[int, AggregateHead] = {}
        self.totals: dict[int, bytes] = {}
        self.confirmed: dict[str, int] = {}
        self.left: set[str] = set()
        self.round_number, self.number = 1, 0

    # --- what members send

    def answer(self, member: str, request: Sent) -> Got:
        match request:
            case SendAdvert(advert):
                self.adverts[member] = advert
            case Upload(head, path):
                body = path.read_bytes()
                assert hashlib.sha256(body).digest() == head.body_digest
                assert self.bodies.setdefault(member, (head, body)) == (head, body), (
                    "two bodies of one attempt"
                )
                return Staged(len(body), complete=True)
            case FetchPackets(attempt):
                return Packets(attempt, tuple(self._packets_to(member)))
            case Acknowledge(_, opened, header):
                self.opened[member] = opened
                if header is not None:
                    assert self.headers.setdefault(member, header) == header, "two headers of one attempt"
            case CastVote(Abstention()):
                self.abstained.add(member)
            case CastVote(vote):
                assert self.votes.setdefault((member, vote.body.KIND), vote) == vote, "two votes"  # type: ignore[union-attr]
            case SendReveal(reveal):
                assert self.reveals.setdefault(member, reveal) == reveal, "two reveals"
            case FetchCohort(attempt):
                if member not in self.cohort.members or attempt != self.cohort.attempt:
                    raise ProtocolError("there is no such cohort for this member")
                return CohortClosed(self.cohort)
            case FetchAggregate(number):
                return Downloaded(self.heads[number], self.totals[number])
            case Confirm(number):
                self.confirmed[member] = number
            case Leave():
                self.left.add(member)
            case _:
                raise AssertionError(request)
        return Done()

    def _packets_to(self, member: str) -> Iterator[tuple[int, bytes, bytes]]:
        place = self.cohort.index(member)
        for sender, (head, _) in self.bodies.items():
            if sender != member:
                yield self.cohort.index(sender), head.packets[place], head.body_digest

    def tell(self, announcement: Announcement, *to: str) -> dict[str, list[Sent]]:
        return {member: self.tell_one(announcement, member) for member in to or self.members.roster}

    def tell_one(self, announcement: Announcement, member: str) -> list[Sent]:
        """One member hears something; where its process ends, it starts anew and hears it once more."""
        station = self.stations[member]

        def answer(request: Sent) -> Got:
            if station.stop_before_sending(request):
                raise Crash(request)
            got = self.answer(member, request)
            if station.stop_before_answer(request):
                raise Crash(request)
            return got

        try:
            return station.hear(announcement, answer)
        except Crash:
            station.start()
            return self.tell_one(announcement, member)

    # --- the steps of an attempt

    def open(self, *to: str) -> Manifest:
        self.number += 1
        self.adverts: dict[str, Signed] = {}
        self.bodies: dict[str, tuple[StageContribution, bytes]] = {}
        self.opened: dict[str, tuple[int, ...]] = {}
        self.headers: dict[str, Signed] = {}
        self.votes: dict[tuple[str, bytes], Signed] = {}
        self.abstained: set[str] = set()
        self.reveals: dict[str, Signed] = {}
        attempt = self.members.attempt(self.number, self.round_number)
        proofs = settlements_digest(tuple(each.settlement for each in self.settled))
        self.manifest = Manifest(attempt, self.members.roster, proofs)
        self.tell(self.opening, *to)
        return self.manifest

    @property
    def opening(self) -> RoundOpened:
        return RoundOpened(self.manifest, self.settled)

    def close_cohort(self, *to: str) -> Cohort:
        present = [member for member in self.members.roster if member in self.adverts]
        self.cohort = Cohort(self.manifest, tuple(self.adverts[member] for member in present))
        self.tell(self.closing, *(to or present))
        return self.cohort

    @property
    def closing(self) -> CohortClosed:
        return CohortClosed(self.cohort)

    @property
    def asking(self) -> CommitAsked:
        staged = sorted(self.cohort.index(member) for member in self.bodies)
        return CommitAsked(self.cohort.digest, tuple(staged))

    def total(self, survivors: Iterable[str]) -> bytes:
        return total_of([self.bodies[member][1] for member in survivors], packets=self.members.packets)

    def proposal(self, survivors: Iterable[str] | None = None) -> SurvivorsProposed:
        chosen = [
            member
            for member in self.cohort.members
            if member in (self.headers if survivors is None else survivors)
        ]
        headers = tuple(self.headers[member] for member in chosen)
        listed = tuple(
            Survivor(self.cohort.index(member), header_digest(header))
            for member, header in zip(chosen, headers, strict=True)
        )
        total = hashlib.sha256(self.total(chosen)).digest()
        return SurvivorsProposed(Survivors(self.cohort.attempt, self.cohort.digest, listed, total), headers)

    def certificate(self, proposal: SurvivorsProposed) -> Certificate:
        votes = tuple(
            self.votes[member, b"vote-survivors"]
            for member in self.cohort.members
            if (member, b"vote-survivors") in self.votes
            and self.votes[member, b"vote-survivors"].body.statement_digest == proposal.statement.digest
        )
        return Certificate(proposal.statement, votes)

    def publish(self, proposal: SurvivorsProposed, certificate: Certificate) -> AggregateReady:
        chosen = [self.cohort.members[each.index] for each in proposal.statement.survivors]
        body = self.total(chosen)
        reveals = tuple(self.reveals[m] for m in self.cohort.members if m in self.reveals)
        number = self.cohort.attempt.round_number
        self.heads[number] = AggregateHead(
            cohort=self.cohort,
            settled=self.settled,
            certificate=certificate,
            headers=proposal.headers,
            seeds=(b"",) * len(proposal.headers),
            reveals=reveals,
            body_bytes=len(body),
            aggregate_seconds=0.0,
        )
        self.totals[number] = body
        return AggregateReady(number, len(reveals))

    def void(self, *to: str) -> VoidProof:
        self.tell(VoidAsked(self.cohort.digest), *to)
        votes = tuple(
            self.votes[member, b"vote-void"]
            for member in self.cohort.members
            if (member, b"vote-void") in self.votes
        )
        proof = VoidProof(self.cohort.attempt, self.cohort.digest, votes)
        if len(votes) >= threshold(len(self.cohort.members)):
            self.settled = (*self.settled, SettledAttempt(self.cohort, proof))
        return proof

    def spoiled(self, certificate: Certificate, *to: str) -> SpoiledProof:
        self.tell(SpoiledAsked(certificate.statement.digest), *to)
        votes = tuple(
            self.votes[member, b"vote-spoiled"]
            for member in self.cohort.members
            if (member, b"vote-spoiled") in self.votes
        )
        proof = SpoiledProof(certificate, votes)
        self.settled = (*self.settled, SettledAttempt(self.cohort, proof))
        return proof

    def to_commit(self, *to: str) -> None:
        self.open(*to)
        self.close_cohort()
        self.tell(self.asking, *self.cohort.members)

    def to_certificate(self, *to: str, survivors: Iterable[str] | None = None) -> SurvivorsProposed:
        self.to_commit(*to)
        proposal = self.proposal(survivors)
        self.tell(proposal, *self.cohort.members)
        return proposal

    def finish_round(self, proposal: SurvivorsProposed, *to: str) -> None:
        certificate = self.certificate(proposal)
        self.tell(Certified(certificate), *(to or self.cohort.members))
        self.tell(self.publish(proposal, certificate), *to)
        self.round_number, self.number, self.settled = self.round_number + 1, 0, ()

    def whole_run(self, rounds: int = ROUNDS) -> None:
        for _ in range(rounds):
            self.finish_round(self.to_certificate())
        self.tell(FederationClosed())


def expected_sum(survivors: Iterable[str], number: int) -> np.ndarray:
    return np.sum([integers(member, number) for member in survivors], axis=0)
