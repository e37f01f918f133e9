"""A member's wish for new keys, signed: where it stands, and the public key that its new keys are sealed for.

The rule kept here: keys change only with the signatures of the whole roster, each under the pinned signing key, on one
rotation after one and the same sum. Whoever signs says with it that its contributions are settled, and sends nothing
more under the old keys; so nobody is left behind in a round that can no longer be opened.

    rotation-ID.json   the request of one member: public, the same for everybody

A request may carry a refusal: a vote that the certified sum of the open attempt cannot be opened, because a MAC in it
did not hold. The votes of t members of its cohort settle that attempt (``agreement.statement.SpoiledProof``).

Reference: ``protos/SPEC.md``, "Rotation of keys".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainSerializer

from securefl.config.names import Name
from securefl.config.section import Section
from securefl.crypto.fingerprints import fingerprint
from securefl.crypto.framing import framed
from securefl.errors import AuthenticationError, IdentityError
from securefl.identity.signing import SIGNATURE_BYTES, SigningKey, verify
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.agreement.statement import SpoiledVote
from securefl.protocol.file_format import canonical, file_text, parsed
from securefl.protocol.server_view import Digest, from_hex

_DOMAIN: Final = b"securefl/v3/key-rotation\x00"
_KEM_KEY_BYTES: Final = 1216
_MAX_EPOCH: Final = (1 << 31) - 1

Signature = Annotated[
    bytes,
    BeforeValidator(from_hex),
    Field(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES),
    PlainSerializer(lambda value: value.hex(), return_type=str),
]
"""An Ed25519 signature, written as hexadecimal digits."""
KemKeyBytes = Annotated[
    bytes,
    BeforeValidator(from_hex),
    Field(min_length=_KEM_KEY_BYTES, max_length=_KEM_KEY_BYTES),
    PlainSerializer(lambda value: value.hex(), return_type=str),
]
"""A public key that boxes are sealed for; its dealer checks that it is one."""


class Refusal(Section):
    """A certified sum that a member refused together with its keys.

    Attributes:
        round_number: The round.
        number: The attempt.
        cohort_digest: A (32 bytes).
        statement_digest: Of the certified statement (32 bytes).
        survivors: Their ids, in the roster's order.
        signature: Of the member's vote that the sum cannot be opened.
    """

    round_number: int
    number: int = Field(ge=1)
    cohort_digest: Digest
    statement_digest: Digest
    survivors: tuple[Name, ...]
    signature: Signature

    def vote(self, member: str, *, federation_digest: bytes, key_epoch: int) -> Signed[SpoiledVote]:
        """The vote, as the member signed it under the keys that it refused."""
        attempt = Attempt(federation_digest, key_epoch, self.round_number, self.number)
        return Signed(SpoiledVote(attempt, member, self.statement_digest), self.signature)

    @property
    def subject(self) -> tuple[object, ...]:
        """Attempt, cohort and statement that it is about: all but who says so."""
        return (
            self.round_number,
            self.number,
            self.cohort_digest,
            self.statement_digest,
            self.survivors,
        )


class Wish(Section):
    """The part of a request that is signed.

    Attributes:
        id: The member's id.
        federation_digest: Digest of the federation file (32 bytes).
        key_epoch: Number of the rotation that is asked for, from 2.
        applied: Number of the last round that the member has applied.
        newest_sum: Digest of that sum's statement (32 bytes); zeros before the first sum.
        kem_key: Public key, made for this rotation, that the member's new keys are sealed for (1216 bytes).
        refusal: The sum that the member refused under the old keys; None where it refused none.
    """

    id: Name
    federation_digest: Digest
    key_epoch: int = Field(ge=2, le=_MAX_EPOCH)
    applied: int
    newest_sum: Digest
    kem_key: KemKeyBytes
    refusal: Refusal | None

    @property
    def place(self) -> tuple[object, ...]:
        """Federation, rotation and sum, which are the same for all members."""
        return self.federation_digest, self.key_epoch, self.applied, self.newest_sum


class RotationRequest(Section):
    """A wish for new keys with its member's signature.

    Attributes:
        wish: What is signed.
        signature: Ed25519, under the key that the roster has for the member (64 bytes).
    """

    wish: Wish
    signature: Signature

    @classmethod
    def signed(cls, wish: Wish, signing_key: SigningKey) -> RotationRequest:
        """The request for a wish.

        Guarantee: nobody else makes one in this member's name, if Ed25519 is unforgeable; the signed form is
        injective (``file_format.canonical``) and of its own domain.
        """
        return cls(wish=wish, signature=signing_key.sign(_DOMAIN + canonical(wish)))

    @property
    def fingerprint(self) -> str:
        """Fingerprint for people to compare over another way than the file took."""
        return fingerprint(framed(canonical(self.wish)))

    def to_text(self) -> str:
        """The text of its file."""
        return file_text(self)

    @classmethod
    def parse(cls, text: str, *, where: str) -> RotationRequest:
        """Read a request; no signature is verified yet.

        Raises:
            IdentityError: if it is no request of this version.
        """
        return parsed(cls, text, where=where)

    def verify(self, signing_key: bytes) -> None:
        """Check that the owner of this key signed the wish, and the refusal in it.

        Raises:
            IdentityError: if not.
        """
        wish, refusal = self.wish, self.wish.refusal
        try:
            verify(signing_key, self.signature, _DOMAIN + canonical(wish))
            if refusal is not None:
                vote = refusal.vote(
                    wish.id, federation_digest=wish.federation_digest, key_epoch=wish.key_epoch - 1
                )
                vote.verify(signing_key)
        except AuthenticationError:
            raise IdentityError(
                f"the request for new keys of {wish.id} is not signed by the key that the roster has for it",
                hint="ask its owner for the file again, and compare fingerprints",
            ) from None


def check_requests(requests: Mapping[str, RotationRequest], signing_keys: Mapping[str, bytes]) -> Wish:
    """Check that the whole roster asks for one rotation after one and the same sum.

    Args:
        requests: By member.
        signing_keys: By member of the roster: its Ed25519 public key (32 bytes).

    Returns:
        The wish of the first member, whose place is everybody's.

    Raises:
        IdentityError: if a request is missing, not signed by its member, or for another federation, rotation or sum.
    """
    missing = [member for member in signing_keys if member not in requests]
    if missing or set(requests) - set(signing_keys):
        raise IdentityError(
            f"there is no request for new keys of {', '.join(missing) or 'the roster alone'}",
            hint="'securefl keys rotate' in each member's folder makes one; all members of the roster take part",
        )
    first = requests[next(iter(signing_keys))].wish
    for member, signing_key in signing_keys.items():
        check_request(requests[member], member=member, signing_key=signing_key, beside=first)
    return first


def check_request(request: RotationRequest, *, member: str, signing_key: bytes, beside: Wish) -> None:
    """Check that a member asks for the same rotation as another one, after the same sum.

    Args:
        request: The member's.
        member: Its id.
        signing_key: Its Ed25519 public key in the roster (32 bytes).
        beside: The other's wish.

    Raises:
        IdentityError: if it is not signed by the member, or is for another federation, rotation or sum.
    """
    request.verify(signing_key)
    if request.wish.id != member or request.wish.place != beside.place:
        raise IdentityError(
            f"the request of {member} is for another federation, rotation or sum than that of {beside.id}",
            hint="let all members apply the same last sum under the old keys first: 'securefl keys rotate --abandon' "
            "at those that have asked, start server and clients once more, stop them, and ask anew",
        )


def settling_refusals(requests: Sequence[RotationRequest], *, cohort: Sequence[str]) -> tuple[Refusal, ...]:
    """The largest group of refusals by members of a cohort that are about one and the same certified sum."""
    groups: dict[tuple[object, ...], list[Refusal]] = {}
    for request in requests:
        if request.wish.refusal is not None and request.wish.id in cohort:
            groups.setdefault(request.wish.refusal.subject, []).append(request.wish.refusal)
    return max((tuple(group) for group in groups.values()), key=len, default=())
