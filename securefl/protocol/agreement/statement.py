"""Survivors, VOID and SPOILED: what is voted on, and the certificates that t votes make.

The rule kept here: a member votes at most once on what an attempt's sum is (survivors or VOID, one vote a round and
attempt, whatever A), and a certificate needs t votes of distinct members of the cohort on one identical statement.

Guarantee: of two certificates of one attempt on different statements, more than 2t - n - 1 >= c_max members have
signed both, which no honest member does; so with at most c_max colluders there are no two. EUF-CMA of Ed25519.

Reference: ``protos/SPEC.md``, "The round", steps 3 to 5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from securefl.crypto.framing import framed
from securefl.errors import AuthenticationError
from securefl.protocol.agreement.signed import DOMAIN, Attempt, Signed


@dataclass(frozen=True, slots=True)
class Survivor:
    """A member whose contribution is in the sum: its index in the cohort, the digest of its signed header."""

    index: int
    header_digest: bytes


@dataclass(frozen=True)
class Survivors:
    """The sum of these members' contributions is this total; no slots, so that its digest is computed once.

    Attributes:
        attempt: The attempt.
        cohort_digest: A (32 bytes).
        survivors: U, by strictly ascending index.
        total_digest: SHA-256 of the total's bytes (32 bytes).
    """

    attempt: Attempt
    cohort_digest: bytes
    survivors: tuple[Survivor, ...]
    total_digest: bytes

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the statement (32 bytes): what votes, reveals and SPOILED name."""
        listed = (
            part for each in self.survivors for part in (each.index.to_bytes(4, "big"), each.header_digest)
        )
        fields = (*self.attempt.fields, self.cohort_digest, self.total_digest, *listed)
        return hashlib.sha256(DOMAIN + b"survivors\x00" + framed(*fields)).digest()


@dataclass(frozen=True, slots=True)
class SurvivorsVote:
    """One member's vote for a statement of survivors."""

    KIND: ClassVar[bytes] = b"vote-survivors"

    attempt: Attempt
    signer: str
    statement_digest: bytes

    @property
    def content(self) -> tuple[bytes, ...]:
        """Its own fields."""
        return (self.statement_digest,)


@dataclass(frozen=True, slots=True)
class VoidVote:
    """One member's vote that the attempt has no sum."""

    KIND: ClassVar[bytes] = b"vote-void"

    attempt: Attempt
    signer: str
    cohort_digest: bytes

    @property
    def content(self) -> tuple[bytes, ...]:
        """Its own fields."""
        return (self.cohort_digest,)


@dataclass(frozen=True, slots=True)
class SpoiledVote:
    """One member's word that it cannot open the certified total from all reveals it was shown."""

    KIND: ClassVar[bytes] = b"vote-spoiled"

    attempt: Attempt
    signer: str
    statement_digest: bytes

    @property
    def content(self) -> tuple[bytes, ...]:
        """Its own fields."""
        return (self.statement_digest,)


PublicKeyOf = Callable[[str], bytes]
"""Gives a member's Ed25519 public key (32 bytes); raises for whom the roster does not list."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """t votes on one statement of survivors.

    Attributes:
        statement: What was voted on.
        votes: By distinct members of the cohort, in its order.
    """

    statement: Survivors
    votes: tuple[Signed[SurvivorsVote], ...]

    def verify(self, *, members: tuple[str, ...], threshold: int, public_key_of: PublicKeyOf) -> None:
        """Raise unless t distinct members of the cohort voted for exactly this statement.

        Args:
            members: The cohort.
            threshold: t of it.
            public_key_of: Of the roster.

        Raises:
            AuthenticationError: if not.
        """
        digest = self.statement.digest
        if any(vote.body.statement_digest != digest for vote in self.votes):
            raise AuthenticationError("a vote of the certificate is on another statement")
        _check_votes(self.votes, self.statement.attempt, members, threshold, public_key_of)


@dataclass(frozen=True, slots=True)
class VoidProof:
    """t votes that an attempt has no sum."""

    attempt: Attempt
    cohort_digest: bytes
    votes: tuple[Signed[VoidVote], ...]

    def verify(self, *, members: tuple[str, ...], threshold: int, public_key_of: PublicKeyOf) -> None:
        """As ``Certificate.verify``.

        Raises:
            AuthenticationError: if it does not hold.
        """
        if any(vote.body.cohort_digest != self.cohort_digest for vote in self.votes):
            raise AuthenticationError("a vote of the proof is on another cohort")
        _check_votes(self.votes, self.attempt, members, threshold, public_key_of)


@dataclass(frozen=True, slots=True)
class SpoiledProof:
    """t votes that a certified total cannot be opened."""

    certificate: Certificate
    votes: tuple[Signed[SpoiledVote], ...]

    def verify(self, *, members: tuple[str, ...], threshold: int, public_key_of: PublicKeyOf) -> None:
        """As ``Certificate.verify``, for the certificate too.

        Raises:
            AuthenticationError: if it does not hold.
        """
        self.certificate.verify(members=members, threshold=threshold, public_key_of=public_key_of)
        statement = self.certificate.statement
        if any(vote.body.statement_digest != statement.digest for vote in self.votes):
            raise AuthenticationError("a vote of the proof is on another statement")
        _check_votes(self.votes, statement.attempt, members, threshold, public_key_of)


Settlement = Certificate | VoidProof | SpoiledProof
"""Proof of an attempt's end."""


def settlements_digest(settlements: tuple[Settlement, ...]) -> bytes:
    """SHA-256 over the proofs of all earlier attempts, in their order (32 bytes); zeros where there are none."""
    if not settlements:
        return bytes(32)
    parts = (part for each in settlements for part in _parts(each))
    return hashlib.sha256(DOMAIN + b"settled\x00" + framed(*parts)).digest()


def _parts(settlement: Settlement) -> tuple[bytes, ...]:
    match settlement:
        case Certificate(statement, votes):
            return b"certificate", statement.digest, *(vote.signature for vote in votes)
        case VoidProof(attempt, digest, votes):
            return b"void", *attempt.fields, digest, *(vote.signature for vote in votes)
        case SpoiledProof(certificate, votes):
            return b"spoiled", *_parts(certificate), *(vote.signature for vote in votes)


def _check_votes(
    votes: tuple[Signed[SurvivorsVote], ...] | tuple[Signed[VoidVote], ...] | tuple[Signed[SpoiledVote], ...],
    attempt: Attempt,
    members: tuple[str, ...],
    threshold: int,
    public_key_of: PublicKeyOf,
) -> None:
    signers = [vote.body.signer for vote in votes]
    if len(set(signers)) != len(signers) or not set(signers) <= set(members):
        raise AuthenticationError("votes are not by distinct members of the cohort")
    if len(signers) < threshold:
        raise AuthenticationError(f"{len(signers)} votes are no certificate: {threshold} are needed")
    for vote in votes:
        if vote.body.attempt != attempt:
            raise AuthenticationError("a vote is for another attempt")
        vote.verify(public_key_of(vote.body.signer))
