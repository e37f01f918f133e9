"""A small server in memory for members that are driven by hand (``fake_members``), step by step, with no network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from securefl.crypto.thresholds import threshold
from securefl.errors import ProtocolError
from securefl.protocol.agreement.cohort import Cohort, Manifest
from securefl.protocol.agreement.commitment import header_digest
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
from securefl_client.round_work import Downloaded, Got, Sent, Upload
from support.agreements import Members
from support.fake_members import PROFILE, ROUNDS, Crash, Station


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
