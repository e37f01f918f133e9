"""A server's core on a virtual clock, and members without models that answer it, with real signatures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from securefl.config.server import ServerSection
from securefl.crypto.thresholds import RosterConstants
from securefl.crypto.wireform import Ciphertexts, WireForm
from securefl.identity.signing import SigningKey
from securefl.progress import Event
from securefl.protocol.agreement.cohort import Advert, Cohort
from securefl.protocol.agreement.commitment import (
    NO_PACKETS,
    ContributionHeader,
    header_digest,
    packets_digest,
)
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Attempt, Signed, sign
from securefl.protocol.agreement.statement import SpoiledVote, Survivors, SurvivorsVote, VoidVote
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
    FederationClosed,
    FetchAggregate,
    FetchPackets,
    Leave,
    RoundOpened,
    SendAdvert,
    SendReveal,
    SpoiledAsked,
    StageContribution,
    Staged,
    SurvivorsProposed,
    VoidAsked,
)
from securefl.protocol.sections import Section
from securefl.protocol.serving.server_state import ServerRules
from securefl.simulation.in_memory import MemoryStore
from securefl_server.bodies import Bodies
from securefl_server.round_server import RoundServer

DIGEST = bytes(range(32))
FORM = WireForm(
    degree=8,
    modulus=251,
    dropped_bits=0,
    upload_residue_bytes=1,
    aggregate_residue_bytes=1,
    mac_bytes=1,
    seed_bytes=0,
)
SECTIONS = (Section(FORM, 2), Section(FORM, 1))
BODY_BYTES = sum(section.upload_bytes for section in SECTIONS)
LIMITS = ServerSection(join_timeout_s=100, round_timeout_s=1000, step_timeout_s=10, reconnect_grace_s=5)


@cache
def key_of(member: str) -> SigningKey:
    """The member's signing key: the same in every test of one process."""
    del member
    return SigningKey.generate()


def rules_for(members: int, *, rounds: int = 1, shares: bool = True, least: int | None = None) -> ServerRules:
    names = [f"client-{index + 1}" for index in range(members)]
    return ServerRules(
        federation_digest=DIGEST,
        key_epoch=1,
        signing_keys={name: key_of(name).public_key for name in names},
        first_round=1,
        rounds=rounds,
        constants=RosterConstants.of(members, min_clients=least or max(3, members - max(1, members // 8))),
        shares=shares,
        limits=LIMITS,
    )


@dataclass
class Member:
    """A member that knows what it has done, as its journal would.

    Attributes:
        name: Its id.
        refuses: Ids of senders whose packets it cannot open.
        abstains: Whether it abstains from votes for survivors.
        opens: Whether it can open sums.
        applied: The newest round whose sum it applied.
        sums: Totals that it applied, by round.
    """

    name: str
    refuses: frozenset[str] = frozenset()
    abstains: bool = False
    opens: bool = True
    shares: bool = True
    applied: int = 0
    last_after: int | None = None
    sums: dict[int, bytes] = field(default_factory=dict)
    voted: dict[tuple[int, int], object] = field(default_factory=dict)
    cohort: Cohort | None = None
    statement: Survivors | None = None
    answered: list[Announcement] = field(default_factory=list)

    def values(self, attempt: Attempt) -> list[Ciphertexts]:
        seed = [attempt.round_number + 10, attempt.number, *self.name.encode()]
        rng = np.random.default_rng(seed)
        return [
            Ciphertexts(
                rng.integers(0, 251, (section.ciphertexts, 8), dtype=np.uint64),
                rng.integers(0, 251, section.ciphertexts, dtype=np.uint64),
            )
            for section in SECTIONS
        ]

    def body(self, attempt: Attempt) -> bytes:
        return b"".join(FORM.encode_upload(each) for each in self.values(attempt))

    def advert(self, opened: RoundOpened, *, state: bytes = bytes(32)) -> Signed[Advert]:
        manifest = opened.manifest
        nonce = hashlib.sha256(self.name.encode() + manifest.digest).digest()
        return self.sign(Advert(manifest.attempt, self.name, manifest.digest, nonce, state))

    def contribution(self, cohort: Cohort, rules: ServerRules) -> StageContribution:
        size = rules.constants.cohort(len(cohort.members)).sealed_bytes
        packets = tuple(
            b"" if other == self.name else bytes([cohort.index(self.name), cohort.index(other)]) * (size // 2)
            for other in cohort.members
        )
        digest = hashlib.sha256(self.body(cohort.attempt)).digest()
        return StageContribution(cohort.attempt, cohort.digest, digest, b"", packets if rules.shares else ())

    def header(self, cohort: Cohort, rules: ServerRules) -> Signed[ContributionHeader]:
        request = self.contribution(cohort, rules)
        return self.sign(
            ContributionHeader(
                attempt=cohort.attempt,
                signer=self.name,
                cohort_digest=cohort.digest,
                salt=hashlib.sha256(self.name.encode()).digest(),
                seeds_digest=hashlib.sha256(b"").digest(),
                body_digest=request.body_digest,
                packets_digest=packets_digest(request.packets) if rules.shares else NO_PACKETS,
            )
        )

    def reveal(self, statement: Survivors, rules: ServerRules, cohort: Cohort) -> Signed[Reveal]:
        size = rules.constants.cohort(len(cohort.members)).sealed_bytes
        return self.sign(Reveal(statement.attempt, self.name, statement.digest, bytes(size)))

    def sign(self, body):  # type: ignore[no-untyped-def]
        return sign(body, key_of(self.name))


class Federation:
    """A server and its members on a virtual clock.

    Args:
        folder: Where the server's files go.
        members: How many members there are.
    """

    def __init__(
        self,
        folder: Path,
        members: int,
        *,
        rounds: int = 1,
        shares: bool = True,
        least: int | None = None,
        store: object = None,
    ) -> None:
        self.rules = rules_for(members, rounds=rounds, shares=shares, least=least)
        self.folder = folder
        self.store = store if store is not None else MemoryStore()
        self.clock = 0.0
        self.events: list[Event] = []
        self.members = {name: Member(name) for name in self.rules.roster}
        self.away: set[str] = set()
        self.start()

    def start(self) -> None:
        """Starts the server, for the first time or after a crash."""
        self.server = RoundServer(
            self.rules,
            lambda _number: SECTIONS,
            store=self.store,
            bodies=Bodies(self.folder / "rounds"),
            now=lambda: self.clock,
            emit=self.events.append,
        )

    def connect(self, *names: str) -> None:
        for name in names or self.rules.roster:
            self.away.discard(name)
            self.server.presence(name, True)

    def lose(self, *names: str) -> None:
        for name in names:
            self.away.add(name)
            self.server.presence(name, False)

    @property
    def here(self) -> list[Member]:
        return [member for name, member in self.members.items() if name not in self.away]

    def pass_time(self) -> bool:
        """Moves the clock to the next deadline; False if there is none."""
        deadline = self.server.next_deadline
        if deadline is None:
            return False
        self.clock = max(self.clock, deadline)
        self.server.wake()
        return True

    def round_of_answers(self, *, until: type | None = None) -> bool:
        """Everybody who is there answers what is announced now; False if nobody has anything new to say."""
        moved = False
        for member in self.here:
            announcement = self.server.announcement
            if until is not None and isinstance(announcement, until):
                return False
            if member.answered and member.answered[-1] == announcement:
                continue
            member.answered.append(announcement)
            self.answer(member, announcement)
            moved = True
        if self.server.next_deadline is not None and self.server.next_deadline <= self.clock:
            self.server.wake()
            moved = True
        return moved

    def settle(self, *, until: type | None = None, patience: int = 60) -> None:
        """Lets members answer and time pass until the run is over, or a certain thing is announced."""
        for _ in range(patience):
            while self.round_of_answers(until=until):
                pass
            if until is not None and isinstance(self.server.announcement, until):
                return
            if self.server.over or not self.pass_time():
                return
        raise AssertionError(f"nothing settles: {self.server.announcement}")

    def answer(self, member: Member, announcement: Announcement) -> None:
        hear = self.server.hear
        match announcement:
            case RoundOpened():
                self.catch_up(member, announcement.manifest.attempt.round_number - 1)
                hear(member.name, SendAdvert(member.advert(announcement)))
            case CohortClosed(cohort):
                member.cohort = cohort
                if member.name in cohort.members:
                    self.stage(member, cohort)
            case CommitAsked(_, staged):
                self.acknowledge(member, staged)
            case SurvivorsProposed(statement, headers):
                self.vote(member, statement, headers)
            case VoidAsked(digest):
                self.vote_void(member, digest)
            case Certified(certificate):
                self.send_reveal(member, certificate.statement)
            case AggregateReady(round_number):
                if member.opens:
                    self.catch_up(member, round_number)
            case SpoiledAsked(digest):
                self.vote_spoiled(member, digest)
            case FederationClosed():
                self.catch_up(member, self.server.state.newest_sum)
                hear(member.name, Leave(finished=True))
                self.away.add(member.name)

    def takes_part(self, member: Member) -> bool:
        return member.name in self.server.state.members

    def stage(self, member: Member, cohort: Cohort) -> Staged:
        answer = self.server.hear(member.name, member.contribution(cohort, self.rules))
        assert isinstance(answer, Staged)
        body = member.body(cohort.attempt)
        while not answer.complete:
            chunk = body[answer.received : answer.received + 10]
            answer = self.server.receive(member.name, cohort.attempt, answer.received, chunk)
        return answer

    def acknowledge(self, member: Member, staged: tuple[int, ...]) -> None:
        if not self.takes_part(member):
            return
        cohort = self.server.state.cohort(self.rules)
        refused = {cohort.index(name) for name in member.refuses if name in cohort.members}
        self.server.hear(member.name, FetchPackets(cohort.attempt))
        mine = cohort.index(member.name) in staged
        header = member.header(cohort, self.rules) if mine else None
        opened = tuple(index for index in staged if index not in refused)
        self.server.hear(member.name, Acknowledge(cohort.attempt, opened, header))

    def vote(
        self, member: Member, statement: Survivors, headers: tuple[Signed[ContributionHeader], ...]
    ) -> None:
        if not self.takes_part(member):
            return
        assert [header_digest(header) for header in headers] == [
            each.header_digest for each in statement.survivors
        ]
        place = (statement.attempt.round_number, statement.attempt.number)
        if member.abstains:
            self.server.hear(member.name, CastVote(Abstention(statement.attempt, b"sealed")))
        elif place not in member.voted:
            vote = member.sign(SurvivorsVote(statement.attempt, member.name, statement.digest))
            member.voted[place] = vote
            self.server.hear(member.name, CastVote(vote))

    def vote_void(self, member: Member, digest: bytes) -> None:
        attempt = self.server.state.attempt(self.rules)
        place = (attempt.round_number, attempt.number)
        if not self.takes_part(member) or place in member.voted:
            return
        vote = member.sign(VoidVote(attempt, member.name, digest))
        member.voted[place] = vote
        self.server.hear(member.name, CastVote(vote))

    def send_reveal(self, member: Member, statement: Survivors) -> None:
        state = self.server.state
        word = state.acknowledgement(member.name) if self.takes_part(member) else None
        if word is None:
            return
        mine = 1 << state.members.index(member.name)
        if all((word.opened | mine) >> each.index & 1 for each in statement.survivors):
            self.server.hear(
                member.name, SendReveal(member.reveal(statement, self.rules, state.cohort(self.rules)))
            )

    def vote_spoiled(self, member: Member, digest: bytes) -> None:
        if member.opens:
            self.catch_up(member, self.server.state.round_number)
            return
        if not self.takes_part(member):
            return
        attempt = self.server.state.attempt(self.rules)
        self.server.hear(member.name, CastVote(member.sign(SpoiledVote(attempt, member.name, digest))))

    def catch_up(self, member: Member, newest: int) -> None:
        """Fetches and applies all sums up to a round, each checked against the certificate and the exact sum."""
        applied_before = member.applied
        for number in range(member.applied + 1, newest + 1):
            head = self.server.hear(member.name, FetchAggregate(number))
            assert isinstance(head, AggregateHead)
            self.check(head)
            with self.server.total(number) as file:
                member.sums[number] = file.read()
            assert member.sums[number] == self.exact_sum(head)
            member.applied = number
            self.confirm(member)
        if 0 < applied_before == member.applied <= newest:
            # The server may have gone down before it kept the word.
            self.confirm(member)

    def confirm(self, member: Member) -> None:
        last = member.last_after == member.applied
        self.server.hear(member.name, Confirm(member.applied, last=last))

    def check(self, head: AggregateHead) -> None:
        members = head.cohort.members
        threshold = self.rules.constants.cohort(len(members)).threshold
        head.certificate.verify(
            members=members, threshold=threshold, public_key_of=self.rules.signing_keys.__getitem__
        )
        assert len(head.certificate.statement.survivors) >= threshold
        if self.rules.shares:
            assert len({reveal.body.signer for reveal in head.reveals}) >= threshold
        for earlier in head.settled:
            earlier.settlement.verify(
                members=earlier.cohort.members,
                threshold=self.rules.constants.cohort(len(earlier.cohort.members)).threshold,
                public_key_of=self.rules.signing_keys.__getitem__,
            )

    def exact_sum(self, head: AggregateHead) -> bytes:
        statement, members = head.certificate.statement, head.cohort.members
        names = [members[each.index] for each in statement.survivors]
        all_values = [self.members[name].values(statement.attempt) for name in names]
        total = b"".join(
            FORM.encode_aggregate(
                Ciphertexts(
                    sum(values[place].residues for values in all_values) % np.uint64(251),
                    sum(values[place].macs for values in all_values) % np.uint64(251),
                )
            )
            for place in range(len(SECTIONS))
        )
        assert hashlib.sha256(total).digest() == statement.total_digest
        return total

    @property
    def survivors(self) -> tuple[str, ...]:
        """Survivors of the newest certified sum."""
        head = self.store.sum_head(self.server.state.newest_sum)
        if head is None:
            return ()
        return tuple(head.cohort.members[each.index] for each in head.certificate.statement.survivors)
