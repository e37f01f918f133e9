"""An attempt to which everybody contributed given integers, as a server holds it; any of them can be summed.

All signatures are real. Votes are there for whatever is to be certified: what a server gets votes for is another test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.encrypted_rounds import EncryptedRounds
from securefl.aggregation.encryption import Encryption
from securefl.aggregation.outcome import Outcome
from securefl.aggregation.selection import Selection
from securefl.crypto.addition import ResidueSum
from securefl.crypto.cipher import Cipher
from securefl.crypto.kahe.keys import KeySum
from securefl.protocol.agreement.cohort import Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import NO_PACKETS, ContributionHeader, header_digest
from securefl.protocol.agreement.rules import Rules
from securefl.protocol.agreement.signed import Attempt, Signed, sign
from securefl.protocol.agreement.statement import (
    Certificate,
    Survivor,
    Survivors,
    SurvivorsVote,
    settlements_digest,
)
from securefl.protocol.calls import AggregateHead
from securefl.protocol.federation import Federation
from securefl_client.member_rules import member_rules
from support.federations import TestFederation

STATE = bytes(32)
"""What all members say of their state."""


def encoded(integers: np.ndarray) -> EncodedContribution:
    """A contribution of these integers."""
    return EncodedContribution(lambda: [integers])


def cohort_of(
    made: TestFederation,
    round_number: int,
    *,
    number: int = 1,
    federation: Federation | None = None,
    nonce: bytes = bytes(32),
    members: Sequence[str] | None = None,
) -> Cohort:
    """A cohort of an attempt, by default the whole roster."""
    inner = federation or made.federation
    attempt = Attempt(inner.digest, made.keys.key_epoch, round_number, number)
    manifest = Manifest(attempt, inner.cohort, settlements_digest(()))
    adverts = (Advert(attempt, member, manifest.digest, nonce, STATE) for member in members or inner.cohort)
    return Cohort(manifest, tuple(sign(advert, made.signing_keys[advert.signer]) for advert in adverts))


def whole_outcome(federation: Federation, round_number: int) -> Outcome:
    """The outcome of a round that everybody contributes to."""
    digest = hashlib.sha256(b"statement of round %d" % round_number).digest()
    return Outcome(round_number, federation.cohort, federation.cohort, digest)


class Played:
    """An attempt.

    Args:
        made: Whose members contribute.
        federation: Another layout or digest than theirs.
        round_number: Of the round.
        number: Of the attempt.
        nonce: Of all adverts.
        seed: Of integers and salts.
        integers: What each member contributes; drawn where they are not given.
    """

    def __init__(
        self,
        made: TestFederation,
        *,
        federation: Federation | None = None,
        round_number: int = 2,
        number: int = 1,
        nonce: bytes = bytes(32),
        seed: int = 0,
        integers: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.made, self.federation = made, federation or made.federation
        self.round_number = round_number
        self.cohort = cohort_of(made, round_number, number=number, federation=self.federation, nonce=nonce)
        length = self.federation.kind_of(round_number).total
        rng = np.random.default_rng(seed)
        self.integers = integers or {
            member: rng.integers(-32_767, 32_768, length) for member in self.federation.cohort
        }
        self.members = {member: self.rounds(member) for member in self.federation.cohort}
        self.encryptions: dict[str, Encryption] = {}
        self.bodies: dict[str, bytes] = {}
        for place, (member, values) in enumerate(self.integers.items()):
            self.encryptions[member] = self.members[member].encrypt_attempt(
                encoded(values), cohort=self.cohort, salt=bytes([place + seed]) * 32
            )
            self.bodies[member] = b"".join(self.encryptions[member].windows())

    @property
    def rules(self) -> Rules:
        """What a member holds a server against."""
        return member_rules(self.federation, key_epoch=self.made.keys.key_epoch)

    def cipher(self) -> Cipher:
        """A cipher with the federation's keys."""
        return self.made.cipher()

    def rounds(self, member: str) -> EncryptedRounds:
        """A member's use of the keys."""
        return EncryptedRounds(
            self.federation,
            member=member,
            cipher=self.cipher(),
            keys=self.made.keys,
            signing_key=self.made.signing_keys[member],
            selection=Selection(self.federation),
        )

    def header(self, member: str) -> Signed[ContributionHeader]:
        """A member's signed header."""
        encryption = self.encryptions[member]
        header = ContributionHeader(
            self.cohort.attempt,
            member,
            self.cohort.digest,
            encryption.salt,
            encryption.seeds_digest,
            encryption.body_digest,
            NO_PACKETS,
        )
        return sign(header, self.made.signing_keys[member])

    def total(self, survivors: Sequence[str]) -> bytes:
        """The sum of the survivors' bodies, as the server makes it."""
        parts, start = [], 0
        for section in self.federation.sections(self.round_number):
            total = ResidueSum(section.form, section.ciphertexts)
            for member in survivors:
                data = self.bodies[member][start : start + section.upload_bytes]
                total.add(0, section.form.decode_upload(data, ciphertexts=section.ciphertexts))
            parts.append(section.form.encode_aggregate(total.total()))
            start += section.upload_bytes
        return b"".join(parts)

    def head(
        self,
        survivors: Sequence[str],
        body: bytes,
        *,
        headers: Sequence[Signed[ContributionHeader]] | None = None,
        seeds: Sequence[bytes] | None = None,
        voters: Sequence[str] | None = None,
    ) -> AggregateHead:
        """A head that names these survivors, with a certificate for this body; everybody votes for it."""
        listed = tuple(headers or (self.header(member) for member in survivors))
        statement = Survivors(
            self.cohort.attempt,
            self.cohort.digest,
            tuple(
                Survivor(self.cohort.index(member), header_digest(header))
                for member, header in zip(survivors, listed, strict=True)
            ),
            hashlib.sha256(body).digest(),
        )
        votes = (
            SurvivorsVote(statement.attempt, voter, statement.digest)
            for voter in (self.cohort.members if voters is None else voters)
        )
        return AggregateHead(
            cohort=self.cohort,
            settled=(),
            certificate=Certificate(
                statement, tuple(sign(vote, self.made.signing_keys[vote.signer]) for vote in votes)
            ),
            headers=listed,
            seeds=tuple(seeds or (self.encryptions[member].seeds for member in survivors)),
            reveals=(),
            body_bytes=len(body),
            aggregate_seconds=0.0,
        )

    def key_sum(self, survivors: Sequence[str]) -> KeySum | None:
        """The sum of the survivors' keys; None where they have none."""
        return KeySum.of(self.encryptions[member].key for member in survivors)

    def opened(
        self, survivors: Sequence[str], *, reader: str = "client-1", body: bytes | None = None
    ) -> np.ndarray:
        """What a member makes of a certified body."""
        body = self.total(survivors) if body is None else body
        head = self.head(survivors, body)
        return self.members[reader].decrypt_attempt(head, body, key_sum=self.key_sum(survivors))

    def sums(self, survivors: Sequence[str]) -> np.ndarray:
        """The true sums of these members' integers."""
        return sum(self.integers[member] for member in survivors)
