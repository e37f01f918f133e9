"""Everything that members and server say to each other, as frozen objects.

The rule kept here: an object of this module is complete and within its limits; ``wire`` and ``wire_parts`` build
them from peers' bytes and refuse what does not fit. What a member signs is ``ContributionHeader.signed_bytes``,
a fixed binary form with a domain and a version, never the protobuf encoding (which is not canonical).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from securefl.crypto.framing import framed

PROTOCOL_VERSION = 2
"""1 is that of securefl 0.1.0, whose service has another name."""
DIGEST_BYTES = 32
SIGNATURE_BYTES = 64
HEADER_DOMAIN = b"securefl/v2/contribution\x00"
MANIFEST_DOMAIN = b"securefl/v2/manifest\x00"
CHUNK_BYTES = 1 << 20
"""Largest payload of one streamed message, up and down."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The server's proposal when it opens a round; everything else is pinned in the federation file.

    Attributes:
        federation_digest: SHA-256 of the federation file (32 bytes).
        round_number: Number of the round: from 1 on for training, up to 0 for openings.
        cohort: Ids of the members asked to contribute, in the roster's order.
    """

    federation_digest: bytes
    round_number: int
    cohort: tuple[str, ...]

    @property
    def digest(self) -> bytes:
        """SHA-256 over the manifest's canonical bytes: what contributions are bound to."""
        fields = [
            self.federation_digest,
            self.round_number.to_bytes(8, "big", signed=True),
            *(member.encode() for member in self.cohort),
        ]
        return hashlib.sha256(MANIFEST_DOMAIN + framed(*fields)).digest()


@dataclass(frozen=True, slots=True)
class ContributionHeader:
    """The part of a contribution that a member signs.

    Attributes:
        member: Id of the contributor.
        round_number: Number of the round.
        manifest_digest: Digest of the manifest it answers (32 bytes); it binds the federation and the cohort.
        seeds_digest: SHA-256 of the concatenated ciphertext seeds (32 bytes).
        body_digest: SHA-256 of the body, residues and MACs (32 bytes).
    """

    member: str
    round_number: int
    manifest_digest: bytes
    seeds_digest: bytes
    body_digest: bytes

    def signed_bytes(self) -> bytes:
        """The canonical bytes under the member's Ed25519 signature."""
        return HEADER_DOMAIN + framed(
            PROTOCOL_VERSION.to_bytes(2, "big"),
            self.member.encode(),
            self.round_number.to_bytes(8, "big", signed=True),
            self.manifest_digest,
            self.seeds_digest,
            self.body_digest,
        )


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A header with its contributor's signature (64 bytes, Ed25519)."""

    header: ContributionHeader
    signature: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """The server's word that it holds a whole contribution."""

    round_number: int
    body_digest: bytes


@dataclass(frozen=True, slots=True)
class AggregateHeader:
    """The head of an aggregate, before its body: whose contributions are in it, and their seeds.

    Attributes:
        round_number: Number of the round.
        contributors: Signed headers, in the cohort's order.
        seeds: The seeds of each contributor's ciphertexts, in the same order; empty bytes without a cipher.
        body_bytes: Length of the residues and MACs that follow.
        aggregate_seconds: What the server spent on addition, for the report (not authenticated).
    """

    round_number: int
    contributors: tuple[SignedHeader, ...]
    seeds: tuple[bytes, ...]
    body_bytes: int
    aggregate_seconds: float


@dataclass(frozen=True, slots=True)
class RoundOpened:
    """Server to members: contribute to this round."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class AggregateReady:
    """Server to members: the sum of this round can be fetched."""

    round_number: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Server to members: these members have not joined yet."""

    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FederationClosed:
    """Server to members: all rounds are done."""


@dataclass(frozen=True, slots=True)
class FederationFailed:
    """Server to members: the run ended because of a member (empty: the server itself).

    Attributes:
        member: Id of the member that was lost, or "".
        reason: Its last words, or what the server noticed; at most 500 characters.
    """

    member: str
    reason: str


Announcement = Waiting | RoundOpened | AggregateReady | FederationClosed | FederationFailed
"""Messages that travel down the stream that every member holds open."""
