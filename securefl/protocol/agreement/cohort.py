"""Attempts, adverts, and the cohort that they close to.

The rule kept here: who takes part, in which order, and the thresholds follow from the manifest and the adverts by a
public formula, so the server chooses nothing but which adverts came in time.

What takes all members or all adverts is computed once an object, which never changes: every packet and every header of
a cohort of a thousand asks for it. So these classes have no slots.

    manifest (server)  ->  advert of each member (nonce, agreement on the state)  ->  cohort, its digest is A

Reference: ``protos/SPEC.md``, "The round", steps 0 and 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from securefl.crypto.framing import framed
from securefl.errors import ProtocolError
from securefl.protocol.agreement.signed import DOMAIN, Attempt, Signed, signed_bytes

NONCE_BYTES = 32


@dataclass(frozen=True)
class Manifest:
    """The server's proposal when it opens an attempt; everything else is pinned in the federation file.

    Attributes:
        attempt: The attempt.
        invited: Ids of the members invited, in the roster's order.
        settled: Digest over the proofs of how every earlier attempt ended (32 bytes); zeros where there was none.
    """

    attempt: Attempt
    invited: tuple[str, ...]
    settled: bytes

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over the manifest's canonical bytes (32 bytes)."""
        fields = (*self.attempt.fields, self.settled, *(member.encode() for member in self.invited))
        return hashlib.sha256(DOMAIN + b"manifest\x00" + framed(*fields)).digest()


@dataclass(frozen=True, slots=True)
class Advert:
    """A member's word that it will take part, and on which state.

    Attributes:
        attempt: The attempt.
        signer: The member.
        manifest_digest: Digest of the manifest that it answers (32 bytes).
        nonce: Fresh randomness (32 bytes): nobody can know A before every member of the cohort has spoken.
        state: HMAC over the chain of aggregates, the digest of the basis and the manifest, under a key of the
            members (32 bytes): equal for members that are in one state, and nothing to the server.
    """

    KIND: ClassVar[bytes] = b"advert"

    attempt: Attempt
    signer: str
    manifest_digest: bytes
    nonce: bytes
    state: bytes

    @property
    def content(self) -> tuple[bytes, ...]:
        """Its own fields."""
        return self.manifest_digest, self.nonce, self.state


@dataclass(frozen=True)
class Cohort:
    """The members that contribute to one attempt.

    Attributes:
        manifest: The attempt's.
        adverts: Of the members, in the roster's order; all of one state.
    """

    manifest: Manifest
    adverts: tuple[Signed[Advert], ...]

    @property
    def attempt(self) -> Attempt:
        """The attempt."""
        return self.manifest.attempt

    @cached_property
    def members(self) -> tuple[str, ...]:
        """Ids, in the roster's order; a member's place here is its index."""
        return tuple(advert.body.signer for advert in self.adverts)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Index of every member, by its id."""
        return {member: index for index, member in enumerate(self.members)}

    @cached_property
    def digest(self) -> bytes:
        """A, SHA-256 over the manifest's digest and the adverts with their signatures (32 bytes).

        What public polynomials, tags, packets and statements of the attempt are bound to.
        """
        adverts = (part for each in self.adverts for part in (signed_bytes(each.body), each.signature))
        return hashlib.sha256(DOMAIN + b"cohort\x00" + framed(self.manifest.digest, *adverts)).digest()

    def index(self, member: str) -> int:
        """Place of a member in the cohort, from 0.

        Raises:
            ProtocolError: if it is not in it.
        """
        if member not in self.places:
            raise ProtocolError(f"{member} is not in the cohort of round {self.attempt.round_number}")
        return self.places[member]
