"""Members of one process that agree on everything: the signed objects around a sum that is measured.

The rule kept here: every signature is a real one, made and verified by the functions that a round uses. What only a
federation's rules can say (how small a cohort may be, who owns what) is not looked at.

    advert of every member -> cohort | header of every contribution -> a statement, all votes -> the head of a sum
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from securefl.aggregation.encryption import Encryption
from securefl.crypto.entropy import SYSTEM
from securefl.crypto.thresholds import threshold
from securefl.errors import AuthenticationError
from securefl.identity.signing import SigningKey
from securefl.protocol.agreement.cohort import NONCE_BYTES, Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import NO_PACKETS, ContributionHeader, header_digest
from securefl.protocol.agreement.signed import DIGEST_BYTES, Attempt, Body, Signed, sign
from securefl.protocol.agreement.statement import (
    Certificate,
    Survivor,
    Survivors,
    SurvivorsVote,
    settlements_digest,
)
from securefl.protocol.calls import AggregateHead


@dataclass(frozen=True, slots=True)
class SampleContribution:
    """All that one member sends, in memory.

    Attributes:
        header: Signed.
        seeds: Seeds of all ciphertexts; empty under a scheme without.
        body: All ciphertexts, in the wire form.
    """

    header: Signed[ContributionHeader]
    seeds: bytes
    body: bytes

    def verify(self, cohort: Cohort, public_key: bytes) -> None:
        """Check that its member signed it for this cohort, every byte of it.

        Raises:
            AuthenticationError: naming what it did not sign.
        """
        _verify_header(self.header, self.seeds, cohort, public_key)
        if hashlib.sha256(self.body).digest() != self.header.body.body_digest:
            raise AuthenticationError(f"{self.header.body.signer}'s body is not the one that it signed")

    def without_body(self) -> SampleContribution:
        """The rest of it, which is kept once the body is in the sum."""
        return replace(self, body=b"")


class SampleCohort:
    """A cohort, with everybody's signing key.

    Args:
        federation_digest: Of the federation that is measured (32 bytes).
        key_epoch: Number of the rotation of keys.
        members: Ids, in the roster's order.
        signing_keys: Theirs.
        round_number: The round; its first attempt.
    """

    def __init__(
        self,
        federation_digest: bytes,
        members: Sequence[str],
        *,
        signing_keys: Sequence[SigningKey],
        round_number: int,
        key_epoch: int,
    ) -> None:
        self._keys = dict(zip(members, signing_keys, strict=True))
        attempt = Attempt(federation_digest, key_epoch, round_number, 1)
        manifest = Manifest(attempt, tuple(members), settlements_digest(()))
        state = bytes(DIGEST_BYTES)
        adverts = (Advert(attempt, member, manifest.digest, SYSTEM(NONCE_BYTES), state) for member in members)
        self.cohort = Cohort(manifest, tuple(self.signed(advert) for advert in adverts))

    def public_key(self, member: str) -> bytes:
        """A member's public key (32 bytes)."""
        return self._keys[member].public_key

    def complete(self, encryption: Encryption, *, member: str) -> SampleContribution:
        """Encrypt every window, and sign the header."""
        body = b"".join(encryption.windows())
        header = self.header(
            member,
            salt=encryption.salt,
            seeds_digest=encryption.seeds_digest,
            body_digest=encryption.body_digest,
        )
        return SampleContribution(header, encryption.seeds, body)

    def header(
        self,
        member: str,
        *,
        salt: bytes,
        seeds_digest: bytes,
        body_digest: bytes,
        packets: bytes = NO_PACKETS,
    ) -> Signed[ContributionHeader]:
        """A member's signed header; salt and digests are 32 bytes each."""
        digests = (self.cohort.digest, salt, seeds_digest, body_digest, packets)
        return self.signed(ContributionHeader(self.cohort.attempt, member, *digests))

    def signed(self, body: Body) -> Signed[Body]:
        """Anything that a member of the cohort signs."""
        return sign(body, self._keys[body.signer])

    def head(self, contributions: Sequence[SampleContribution], body: bytes) -> AggregateHead:
        """The head of the sum of everybody's contributions, which is this body; t members voted for it."""
        headers = tuple(each.header for each in contributions)
        listed = tuple(
            Survivor(self.cohort.index(header.body.signer), header_digest(header)) for header in headers
        )
        statement = Survivors(self.cohort.attempt, self.cohort.digest, listed, hashlib.sha256(body).digest())
        return AggregateHead(
            cohort=self.cohort,
            settled=(),
            certificate=self._certificate(statement),
            headers=headers,
            seeds=tuple(each.seeds for each in contributions),
            reveals=(),
            body_bytes=len(body),
            aggregate_seconds=0.0,
        )

    def verify(self, head: AggregateHead) -> None:
        """Check the signatures of a head: adverts, votes, headers, and the seeds under them.

        Raises:
            AuthenticationError: at the first that does not hold.
        """
        for advert in head.cohort.adverts:
            advert.verify(self.public_key(advert.body.signer))
        members = head.cohort.members
        head.certificate.verify(
            members=members, threshold=threshold(len(members)), public_key_of=self.public_key
        )
        for header, seeds in zip(head.headers, head.seeds, strict=True):
            _verify_header(header, seeds, head.cohort, self.public_key(header.body.signer))

    def _certificate(self, statement: Survivors) -> Certificate:
        voters = self.cohort.members[: threshold(len(self.cohort.members))]
        votes = (SurvivorsVote(statement.attempt, voter, statement.digest) for voter in voters)
        return Certificate(statement, tuple(self.signed(vote) for vote in votes))


def _verify_header(
    header: Signed[ContributionHeader], seeds: bytes, cohort: Cohort, public_key: bytes
) -> None:
    body = header.body
    header.verify(public_key)
    if body.attempt != cohort.attempt or body.cohort_digest != cohort.digest:
        raise AuthenticationError(f"{body.signer}'s contribution is for another attempt or cohort")
    if hashlib.sha256(seeds).digest() != body.seeds_digest:
        raise AuthenticationError(f"{body.signer}'s seeds are not those it signed")
