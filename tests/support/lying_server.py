"""A server that says anything to anybody, by seed: two cohorts, two statements, attempts not settled, old sums.

Members are real sessions with journals, some of which are started anew in between. The server has the keys of the first
c_max members; those take part as honest members do, and their votes are made for every statement that it likes.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from securefl.errors import ProtocolError, SecureFLError
from securefl.identity.signing import SigningKey
from securefl.protocol.agreement.cohort import Cohort, Manifest
from securefl.protocol.agreement.commitment import header_digest
from securefl.protocol.agreement.signed import Signed, sign
from securefl.protocol.agreement.statement import (
    Certificate,
    Survivor,
    Survivors,
    SurvivorsVote,
    VoidProof,
    VoidVote,
    settlements_digest,
)
from securefl.protocol.calls import (
    Acknowledge,
    AggregateHead,
    AggregateReady,
    Announcement,
    CastVote,
    Certified,
    CohortClosed,
    CommitAsked,
    Done,
    FetchAggregate,
    FetchCohort,
    FetchPackets,
    Packets,
    RoundOpened,
    SendAdvert,
    SendReveal,
    SettledAttempt,
    StageContribution,
    SurvivorsProposed,
    VoidAsked,
)
from securefl.protocol.calls import Staged as StagedAnswer
from securefl_client.round_work import Downloaded, Got, Sent, Upload
from support.agreements import Members
from support.fake_members import Station
from support.fake_server import total_of
from support.world_oracle import Observed

Body = tuple[StageContribution, bytes]


class LyingServer:
    """One run of one seed.

    Args:
        members: The federation.
        folder: Of the members' journals.
        draw: Every choice.

    Attributes:
        observed: Everything that honest members sent.
        lies: How many announcements differed from what another member was told in the same attempt.
    """

    def __init__(self, members: Members, folder: Path, draw: random.Random) -> None:
        self.members, self.draw = members, draw
        self.stations = {name: Station(members, name, folder / name) for name in members.roster}
        self.allies = members.roster[: members.rules.constants.max_colluders]
        self.observed = Observed()
        self.manifests: list[RoundOpened] = []
        self.adverts: dict[bytes, dict[str, Signed]] = defaultdict(dict)
        self.cohorts: list[Cohort] = []
        self.shown: dict[str, Cohort] = {}
        self.bodies: dict[tuple[bytes, str], Body] = {}
        self.headers: dict[tuple[bytes, str], Signed] = {}
        self.statements: list[tuple[Cohort, SurvivorsProposed]] = []
        self.votes: dict[bytes, dict[str, Signed]] = defaultdict(dict)
        self.voids: dict[bytes, dict[str, Signed]] = defaultdict(dict)
        self.reveals: dict[bytes, dict[str, Signed]] = defaultdict(dict)
        self.heads: list[tuple[AggregateHead, bytes]] = []
        self.told = 0
        self.refused = 0

    # --- what it hears

    def answer(self, member: str, request: Sent) -> Got:
        """Take whatever comes, and answer what helps."""
        if member not in self.allies:
            self.observed(member, request)
        match request:
            case SendAdvert(advert):
                self.adverts[advert.body.manifest_digest][member] = advert
            case Upload(head, path):
                body = path.read_bytes()
                assert hashlib.sha256(body).digest() == head.body_digest
                self.bodies[head.cohort_digest, member] = (head, body)
                return StagedAnswer(len(body), complete=True)
            case FetchPackets(attempt):
                return Packets(attempt, self._packets(member))
            case Acknowledge(_, _, header) if header is not None:
                self.headers[header.body.cohort_digest, member] = header
            case CastVote(vote) if isinstance(vote, Signed) and isinstance(vote.body, SurvivorsVote):
                self.votes[vote.body.statement_digest][member] = vote
            case CastVote(vote) if isinstance(vote, Signed) and isinstance(vote.body, VoidVote):
                self.voids[vote.body.cohort_digest][member] = vote
            case SendReveal(reveal):
                self.reveals[reveal.body.statement_digest][member] = reveal
            case FetchCohort():
                return CohortClosed(self._cohort_for(member))
            case FetchAggregate(number):
                return self._sum(number)
        return Done()

    def _packets(self, member: str) -> tuple[tuple[int, bytes, bytes], ...]:
        cohort = self.shown.get(member)
        if cohort is None or member not in cohort.members:
            return ()
        place = cohort.index(member)
        held = [(sender, self.bodies.get((cohort.digest, sender))) for sender in cohort.members]
        return tuple(
            (cohort.index(sender), body[0].packets[place], body[0].body_digest)
            for sender, body in held
            if body is not None and sender != member
        )

    def _cohort_for(self, member: str) -> Cohort:
        if member not in self.shown:
            raise ProtocolError("there is no cohort")
        return self.shown[member]

    def _sum(self, number: int) -> Downloaded:
        found = [each for each in self.heads if each[0].cohort.attempt.round_number == number]
        if not found:
            raise ProtocolError("there is no such sum")
        return Downloaded(*self.draw.choice(found))

    # --- what it says

    def play(self, steps: int) -> None:
        """Say so many things."""
        sayings = (
            self._open,
            self._close,
            self._ask,
            self._propose,
            self._void,
            self._certify,
            self._publish,
        )
        at = 0
        for _ in range(steps):
            # Mostly the next step of a round, at times any.
            at = (at + 1) % len(sayings) if self.draw.random() < 0.8 else self.draw.randrange(len(sayings))
            sayings[at]()
            if self.draw.random() < 0.2:
                self.stations[self.draw.choice(self.members.roster)].start()

    def _tell(self, announcement: Announcement, to: Iterable[str]) -> None:
        for member in to:
            self.told += 1
            try:
                self.stations[member].hear(
                    announcement, lambda sent, member=member: self.answer(member, sent)
                )
            except SecureFLError:
                self.refused += 1

    def _some(self) -> list[str]:
        if self.draw.random() < 0.5:
            return list(self.members.roster)
        return self.draw.sample(self.members.roster, self.draw.randrange(1, len(self.members.roster) + 1))

    def _open(self) -> None:
        round_number = 1 + max(
            (self.stations[name].state.applied for name in self.members.roster if self.draw.random() < 0.7),
            default=0,
        )
        number = 1 + sum(each.manifest.attempt.round_number == round_number for each in self.manifests)
        settled = self._settled(round_number)
        proofs = settlements_digest(tuple(each.settlement for each in settled))
        manifest = Manifest(self.members.attempt(number, round_number), self.members.roster, proofs)
        opened = RoundOpened(manifest, settled)
        self.manifests.append(opened)
        self._tell(opened, self._some())

    def _settled(self, round_number: int) -> tuple[SettledAttempt, ...]:
        """Proofs of whatever it has enough VOID votes for; at times of less."""
        found = {}
        for cohort in self.cohorts:
            votes = dict(self.voids[cohort.digest])
            for ally in self.allies:
                if ally in cohort.members:
                    votes[ally] = self._signed(VoidVote(cohort.attempt, ally, cohort.digest), ally)
            least = self.members.rules.sizes(cohort).threshold if self.draw.random() < 0.9 else 1
            if cohort.attempt.round_number == round_number and len(votes) >= least:
                proof = VoidProof(cohort.attempt, cohort.digest, tuple(votes.values()))
                found[cohort.attempt.number] = SettledAttempt(cohort, proof)
        return tuple(found[number] for number in sorted(found))

    def _close(self) -> None:
        """The newest attempt's cohort: at times two of them, each for some."""
        if not self.manifests:
            return
        opened = self.manifests[-1]
        there = self.adverts[opened.manifest.digest]
        least = self.members.min_clients
        present = [name for name in self.members.roster if name in there]
        if len(present) < least:
            return
        for _ in range(self.draw.choice((1, 1, 2))):
            left_out = self.draw.sample(present, self.draw.randrange(0, len(present) - least + 1))
            cohort = Cohort(opened.manifest, tuple(there[name] for name in present if name not in left_out))
            self.cohorts.append(cohort)
            to = [name for name in self._some() if name in cohort.members]
            self.shown.update(dict.fromkeys(to, cohort))
            self._tell(CohortClosed(cohort), to)

    def _ask(self) -> None:
        for cohort in self.cohorts[-2:]:
            staged = tuple(
                index for index, name in enumerate(cohort.members) if (cohort.digest, name) in self.bodies
            )
            self._tell(
                CommitAsked(cohort.digest, staged), [name for name in self._some() if name in cohort.members]
            )

    def _propose(self) -> None:
        """Survivors: all, or without a victim; at times both, each to some."""
        for cohort in self.cohorts[-2:]:
            there = [name for name in cohort.members if (cohort.digest, name) in self.headers]
            least = self.members.rules.sizes(cohort).threshold
            if len(there) < least:
                continue
            for _ in range(self.draw.choice((1, 2, 2))):
                out = self.draw.sample(there, self.draw.randrange(0, len(there) - least + 1))
                proposal = self._proposal(cohort, [name for name in there if name not in out])
                self.statements.append((cohort, proposal))
                self.observed.propose(proposal.statement, cohort.members)
                self._tell(proposal, [name for name in self._some() if name in cohort.members])

    def _proposal(self, cohort: Cohort, chosen: list[str]) -> SurvivorsProposed:
        headers = tuple(self.headers[cohort.digest, name] for name in chosen)
        listed = tuple(
            Survivor(cohort.index(name), header_digest(header))
            for name, header in zip(chosen, headers, strict=True)
        )
        total = hashlib.sha256(self._total(cohort, chosen)).digest()
        return SurvivorsProposed(Survivors(cohort.attempt, cohort.digest, listed, total), headers)

    def _total(self, cohort: Cohort, chosen: Iterable[str]) -> bytes:
        return total_of(
            [self.bodies[cohort.digest, name][1] for name in chosen], packets=self.members.packets
        )

    def _void(self) -> None:
        if self.cohorts and self.draw.random() < 0.4:
            cohort = self.draw.choice(self.cohorts[-2:])
            self._tell(VoidAsked(cohort.digest), self._some())

    def _certificate(self, cohort: Cohort, statement: Survivors) -> Certificate:
        votes = dict(self.votes[statement.digest])
        for ally in self.allies:
            if ally in cohort.members:
                votes[ally] = self._signed(SurvivorsVote(statement.attempt, ally, statement.digest), ally)
        return Certificate(statement, tuple(votes[name] for name in cohort.members if name in votes))

    def _certify(self) -> None:
        for cohort, proposal in self.statements[-4:]:
            self._tell(Certified(self._certificate(cohort, proposal.statement)), self._some())

    def _publish(self) -> None:
        """Sums that are certified, shown to some."""
        for cohort, proposal in self.statements[-4:]:
            statement = proposal.statement
            chosen = [cohort.members[each.index] for each in statement.survivors]
            body = self._total(cohort, chosen)
            reveals = self.reveals[statement.digest]
            opened = next(each for each in self.manifests if each.manifest == cohort.manifest)
            head = AggregateHead(
                cohort=cohort,
                settled=opened.settled,
                certificate=self._certificate(cohort, statement),
                headers=proposal.headers,
                seeds=(b"",) * len(proposal.headers),
                reveals=tuple(reveals[name] for name in cohort.members if name in reveals),
                body_bytes=len(body),
                aggregate_seconds=0.0,
            )
            self.heads.append((head, body))
            self._tell(AggregateReady(cohort.attempt.round_number, len(head.reveals)), self._some())

    def _signed(self, body: object, ally: str) -> Signed:
        key: SigningKey = self.members.keys[ally]
        return sign(body, key)  # type: ignore[type-var]

    def violations(self) -> list[str]:
        """Promises that honest members broke; see ``world_oracle``."""
        honest = {name: station.state for name, station in self.stations.items() if name not in self.allies}
        return self.observed.violations(honest, colluders=len(self.allies))

    def close(self) -> None:
        """Close the journals."""
        for station in self.stations.values():
            if station.journal is not None:
                with suppress(OSError):
                    station.journal.close()
