"""One binary form for everything that a member signs.

The rule kept here: a signature covers the kind of the object, the protocol's version, the federation, the key epoch,
the round, the attempt and the signer, so that nothing signed for one of them stands for another.

Reference: ``protos/SPEC.md``, "Signed objects"; Ed25519 is that of ``identity.signing``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Generic, Protocol, TypeVar

from securefl.crypto.framing import framed
from securefl.identity.signing import SigningKey, verify

DOMAIN = b"securefl/v3/"
PROTOCOL_VERSION = 3
"""1 is that of securefl 0.1.0; 2 had one sum a round and no attempts."""
DIGEST_BYTES = 32
FIRST_KEY_EPOCH = 1
"""The epoch of the keys that a federation is provisioned with; each rotation counts one on."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one round of one federation under one set of keys.

    Attributes:
        federation_digest: Digest of the federation file (32 bytes).
        key_epoch: Number of the rotation of keys, from 1.
        round_number: From 1 on for training, up to 0 for openings.
        number: From 1; it only grows within a round.
    """

    federation_digest: bytes
    key_epoch: int
    round_number: int
    number: int

    @property
    def fields(self) -> tuple[bytes, ...]:
        """The fields that every signature covers, after kind and version."""
        return (
            self.federation_digest,
            self.key_epoch.to_bytes(4, "big"),
            self.round_number.to_bytes(8, "big", signed=True),
            self.number.to_bytes(4, "big"),
        )


class Signable(Protocol):
    """Something that one member signs."""

    KIND: ClassVar[bytes]

    @property
    def attempt(self) -> Attempt:
        """The attempt that it belongs to."""
        ...

    @property
    def signer(self) -> str:
        """Id of the member that signs it."""
        ...

    @property
    def content(self) -> tuple[bytes, ...]:
        """Its own fields."""
        ...


Body = TypeVar("Body", bound=Signable)


@dataclass(frozen=True, slots=True)
class Signed(Generic[Body]):
    """An object with its signer's Ed25519 signature (64 bytes)."""

    body: Body
    signature: bytes

    def verify(self, public_key: bytes) -> None:
        """Raises unless the owner of this key (32 bytes) signed the object.

        Raises:
            AuthenticationError: if not.
        """
        verify(public_key, self.signature, signed_bytes(self.body))


def signed_bytes(body: Signable) -> bytes:
    """The canonical bytes under a signature."""
    return _head(body.KIND, body.attempt) + framed(body.signer.encode(), *body.content)


@lru_cache(maxsize=64)
def _head(kind: bytes, attempt: Attempt) -> bytes:
    """The part that everybody's objects of one kind and attempt share: a member reads thousands of them."""
    return DOMAIN + kind + b"\x00" + framed(PROTOCOL_VERSION.to_bytes(2, "big"), *attempt.fields)


def sign(body: Body, key: SigningKey) -> Signed[Body]:
    """Signs an object.

    Guarantee: a signature on one object holds for no other object, kind, attempt or signer; EUF-CMA of Ed25519
    (``SigningKey.sign``), and the form above is injective.
    """
    return Signed(body, key.sign(signed_bytes(body)))
