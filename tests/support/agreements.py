"""Signed objects of a round as honest members make them: what a test alters one field of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from securefl.crypto.thresholds import RosterConstants
from securefl.identity.signing import SigningKey
from securefl.protocol.agreement.cohort import Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import NO_PACKETS, ContributionHeader, header_digest
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Attempt, Signed, sign
from securefl.protocol.agreement.statement import (
    Certificate,
    SpoiledProof,
    SpoiledVote,
    Survivor,
    Survivors,
    SurvivorsVote,
    VoidProof,
    VoidVote,
    settlements_digest,
)
from securefl.protocol.agreement.verification import Rules
from securefl.protocol.calls import AggregateHead, SettledAttempt


def digest(text: str) -> bytes:
    """32 bytes that belong to a text."""
    return hashlib.sha256(text.encode()).digest()


@dataclass
class Members:
    """A roster with its signing keys."""

    size: int
    min_clients: int
    packets: bool = True
    max_colluders: int | None = None
    keys: dict[str, SigningKey] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = {f"client-{number}": SigningKey.generate() for number in range(1, self.size + 1)}

    @property
    def roster(self) -> tuple[str, ...]:
        return tuple(self.keys)

    @property
    def rules(self) -> Rules:
        return Rules(
            federation_digest=digest("federation"),
            key_epoch=1,
            members=self.roster,
            public_key_of=lambda member: self.keys[member].public_key,
            constants=RosterConstants.of(
                self.size, min_clients=self.min_clients, max_colluders=self.max_colluders
            ),
            packets=self.packets,
        )

    def attempt(self, number: int = 1, round_number: int = 1) -> Attempt:
        return self.rules.attempt(round_number, number)

    def manifest(
        self, number: int = 1, *, round_number: int = 1, settled: Iterable[SettledAttempt] = ()
    ) -> Manifest:
        proofs = settlements_digest(tuple(each.settlement for each in settled))
        return Manifest(self.attempt(number, round_number), self.roster, proofs)

    def advert(self, member: str, manifest: Manifest, state: str = "state") -> Signed[Advert]:
        name = f"{member} {manifest.attempt.number}"
        return sign(
            Advert(manifest.attempt, member, manifest.digest, digest(name), digest(state)),
            self.keys[member],
        )

    def cohort(self, manifest: Manifest, members: Iterable[str] | None = None) -> Cohort:
        chosen = self.roster if members is None else members
        return Cohort(manifest, tuple(self.advert(member, manifest) for member in chosen))

    def header(self, member: str, cohort: Cohort, body: str = "") -> Signed[ContributionHeader]:
        header = ContributionHeader(
            cohort.attempt,
            member,
            cohort.digest,
            digest(f"salt {member} {cohort.attempt.number}"),
            hashlib.sha256(b"").digest(),
            digest(body or f"body {member}"),
            digest(f"packets {member}") if self.packets else NO_PACKETS,
        )
        return sign(header, self.keys[member])

    def statement(self, cohort: Cohort, headers: Iterable[Signed[ContributionHeader]]) -> Survivors:
        listed = tuple(Survivor(cohort.index(each.body.signer), header_digest(each)) for each in headers)
        return Survivors(cohort.attempt, cohort.digest, listed, digest("total"))

    def certificate(self, statement: Survivors, voters: Iterable[str]) -> Certificate:
        votes = (SurvivorsVote(statement.attempt, voter, statement.digest) for voter in voters)
        return Certificate(statement, tuple(sign(vote, self.keys[vote.signer]) for vote in votes))

    def void(self, cohort: Cohort, voters: Iterable[str]) -> VoidProof:
        votes = (VoidVote(cohort.attempt, voter, cohort.digest) for voter in voters)
        signed = tuple(sign(vote, self.keys[vote.signer]) for vote in votes)
        return VoidProof(cohort.attempt, cohort.digest, signed)

    def spoiled(self, certificate: Certificate, voters: Iterable[str]) -> SpoiledProof:
        statement = certificate.statement
        votes = (SpoiledVote(statement.attempt, voter, statement.digest) for voter in voters)
        return SpoiledProof(certificate, tuple(sign(vote, self.keys[vote.signer]) for vote in votes))

    def reveal(self, member: str, statement: Survivors) -> Signed[Reveal]:
        reveal = Reveal(statement.attempt, member, statement.digest, b"sealed")
        return sign(reveal, self.keys[member])

    def head(
        self,
        cohort: Cohort,
        survivors: Iterable[str],
        *,
        settled: tuple[SettledAttempt, ...] = (),
        voters: Iterable[str] | None = None,
    ) -> AggregateHead:
        headers = tuple(self.header(member, cohort) for member in survivors)
        statement = self.statement(cohort, headers)
        chosen = tuple(cohort.members if voters is None else voters)
        return AggregateHead(
            cohort=cohort,
            settled=settled,
            certificate=self.certificate(statement, chosen),
            headers=headers,
            seeds=(b"",) * len(headers),
            reveals=tuple(self.reveal(member, statement) for member in chosen) if self.packets else (),
            body_bytes=64,
            aggregate_seconds=0.0,
        )


@dataclass
class Asked:
    """An owner rule that everything keeps, and that remembers what it was asked."""

    asked: list[tuple[str, ...]] = field(default_factory=list)

    def check(self, *, survivors: tuple[str, ...], cohort: tuple[str, ...]) -> None:
        assert set(survivors) <= set(cohort)
        self.asked.append(survivors)
