"""The signed header of a contribution: with it, and not before, a member is committed.

The rule kept here: the header leaves last. A body without it can be in no sum; a member that has sent it sends no
other one, in any attempt, before this one is settled.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from securefl.protocol.agreement.signed import DIGEST_BYTES, Attempt, Signed, signed_bytes

SALT_BYTES = 32
NO_PACKETS = bytes(DIGEST_BYTES)
"""The packets' digest where the scheme has none."""
NO_BUDGET = bytes(DIGEST_BYTES)
"""The budget's head where nothing is charged."""


@dataclass(frozen=True, slots=True)
class ContributionHeader:
    """The part of a contribution that a member signs.

    Attributes:
        attempt: The attempt.
        signer: Id of the contributor.
        cohort_digest: A (32 bytes).
        salt: Fresh randomness (32 bytes); it goes into every pad of tags and MACs.
        seeds_digest: SHA-256 of the concatenated ciphertext seeds (32 bytes); of nothing under ``kahe`` and ``none``.
        body_digest: SHA-256 of the body (32 bytes).
        packets_digest: SHA-256 over the SHA-256s of the packets to all members of the cohort, in its order, the own
            one being empty (32 bytes); ``NO_PACKETS`` under ``bfv`` and ``none``.
        budget_head: Digest of the newest entry of the ledger that the contribution was charged in (32 bytes); others
            keep it, so that the ledger cannot be turned back. ``NO_BUDGET`` without differential privacy.
    """

    KIND: ClassVar[bytes] = b"contribution"

    attempt: Attempt
    signer: str
    cohort_digest: bytes
    salt: bytes
    seeds_digest: bytes
    body_digest: bytes
    packets_digest: bytes
    budget_head: bytes = NO_BUDGET

    @property
    def content(self) -> tuple[bytes, ...]:
        """Its own fields; the budget's head only where something is charged."""
        fields = self.cohort_digest, self.salt, self.seeds_digest, self.body_digest, self.packets_digest
        return fields if self.budget_head == NO_BUDGET else (*fields, self.budget_head)


def header_digest(signed: Signed[ContributionHeader]) -> bytes:
    """SHA-256 of a header's signed bytes and signature (32 bytes): what statements list."""
    return hashlib.sha256(signed_bytes(signed.body) + signed.signature).digest()


def packets_digest(packets: tuple[bytes, ...]) -> bytes:
    """SHA-256 over the SHA-256s of one sender's packets, in the cohort's order (32 bytes)."""
    return hashlib.sha256(b"".join(hashlib.sha256(packet).digest() for packet in packets)).digest()
