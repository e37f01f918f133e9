"""Keys that one member deals to another through the server: sealed for the recipient, and signed by the dealer.

The rule kept here: a dealt key is taken only if the dealer that the roster names signed this very box for this very
use. HPKE alone names no sender, so a server that sealed keys of its own making would read whatever they protect.

Of two members the one with the lower index deals the key of the pair, once a key epoch; the lead deals what all
members share, one box for each of them. A dealer that signs two different boxes for one use deals twice: the two
boxes together are proof against it, so it keeps the first one and sends the same bytes again.

    dealt key, encoded
    federation       32 bytes   digest of the federation file
    key epoch        4 bytes, big-endian, from 1
    kind             1 byte     1 pair, 2 group, 3 shared
    dealer           2 bytes, big-endian, its index in the roster
    recipient        2 bytes, the same
    box              1136 bytes more than the key: 1168 of a pair's and of the group's
    signature        64 bytes

    >>> from securefl.crypto.dealt_keys import Dealing, KeyKind, deal
    >>> from securefl.crypto.sealed_box import KemKey
    >>> from securefl.identity.signing import SigningKey
    >>> dealer, recipient = SigningKey.generate(), KemKey.generate()
    >>> dealing = Dealing(federation=bytes(32), key_epoch=1, kind=KeyKind.PAIR, dealer=0, recipient=2)
    >>> dealt = deal(b"k" * 32, dealing, recipient_key=recipient.public_key, signing_key=dealer)
    >>> dealt.accept(dealing, dealer_key=dealer.public_key, kem_key=recipient) == b"k" * 32
    True
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.framing import framed
from securefl.crypto.sealed_box import OVERHEAD_BYTES, KemKey, seal
from securefl.errors import AuthenticationError, ProtocolError, WireError
from securefl.identity.signing import SIGNATURE_BYTES, SigningKey, verify

KEY_BYTES: Final = 32
MAX_KEY_BYTES: Final = 1 << 17
"""More than the encoded shared keys take."""
FEDERATION_BYTES: Final = 32
KEY_EPOCH_BYTES: Final = 4
INDEX_BYTES: Final = 2
_HEAD_BYTES: Final = FEDERATION_BYTES + KEY_EPOCH_BYTES + 1 + 2 * INDEX_BYTES
_AROUND_BYTES: Final = _HEAD_BYTES + OVERHEAD_BYTES + SIGNATURE_BYTES
PAIR_KEY_BYTES: Final = _AROUND_BYTES + KEY_BYTES
"""Bytes of a dealt key of a pair, encoded."""
_DOMAIN: Final = b"securefl/v3/dealt-key"


class KeyKind(IntEnum):
    """Uses of dealt keys; the numbers are those of the wire."""

    PAIR = 1
    """Packets between two members."""
    GROUP = 2
    """Messages to all members."""
    SHARED = 3
    """All other keys that every member holds, encoded (``keys.SharedKeys``)."""


@dataclass(frozen=True, slots=True)
class Dealing:
    """One use of one key: who deals it to whom, and when.

    Attributes:
        federation: Digest of the federation file, 32 bytes.
        key_epoch: Number of the rotation, from 1.
        kind: What the key is for.
        dealer: Index of the dealer in the roster.
        recipient: Index of the recipient.

    Raises:
        ProtocolError: if a number is out of its range, or the key of a pair is not dealt by the lower index.
    """

    federation: bytes
    key_epoch: int
    kind: KeyKind
    dealer: int
    recipient: int

    def __post_init__(self) -> None:
        indices = 0 <= self.dealer < 1 << 8 * INDEX_BYTES and 0 <= self.recipient < 1 << 8 * INDEX_BYTES
        epoch = 1 <= self.key_epoch < 1 << 8 * KEY_EPOCH_BYTES
        if len(self.federation) != FEDERATION_BYTES or not epoch or not indices:
            raise ProtocolError("a dealt key names no use of this version")
        if self.kind is KeyKind.PAIR and self.dealer >= self.recipient:
            raise ProtocolError(
                f"member {self.dealer} deals no key to member {self.recipient}",
                hint="of two members the one with the lower index deals the key of the pair",
            )

    def encode(self) -> bytes:
        """41 bytes, which differ for different uses."""
        return b"".join(
            [
                self.federation,
                self.key_epoch.to_bytes(KEY_EPOCH_BYTES, "big"),
                self.kind.to_bytes(1, "big"),
                self.dealer.to_bytes(INDEX_BYTES, "big"),
                self.recipient.to_bytes(INDEX_BYTES, "big"),
            ]
        )

    @classmethod
    def decode(cls, data: bytes) -> Dealing:
        """The inverse of ``encode``.

        Raises:
            WireError: if the bytes are no use of this version.
        """
        at = FEDERATION_BYTES + KEY_EPOCH_BYTES
        try:
            return cls(
                federation=data[:FEDERATION_BYTES],
                key_epoch=int.from_bytes(data[FEDERATION_BYTES:at], "big"),
                kind=KeyKind(data[at]),
                dealer=int.from_bytes(data[at + 1 : at + 1 + INDEX_BYTES], "big"),
                recipient=int.from_bytes(data[at + 1 + INDEX_BYTES : _HEAD_BYTES], "big"),
            )
        except (IndexError, ValueError, ProtocolError):
            raise WireError("a dealt key names no use of this version") from None


@dataclass(frozen=True, slots=True)
class DealtKey:
    """A sealed and signed key; the server carries it and learns only its use.

    Attributes:
        dealing: Use that the dealer says the key is for.
        box: The sealed key.
        signature: The dealer's signature.
    """

    dealing: Dealing
    box: bytes
    signature: bytes

    def encode(self) -> bytes:
        """The bytes that travel: ``PAIR_KEY_BYTES`` of a pair's key and of the group's."""
        return self.dealing.encode() + self.box + self.signature

    @classmethod
    def decode(cls, data: bytes) -> DealtKey:
        """The inverse of ``encode``; nothing is verified yet.

        Raises:
            WireError: if the length is not one of the use that it names, or the use is none.
        """
        if not _AROUND_BYTES < len(data) <= _AROUND_BYTES + MAX_KEY_BYTES:
            raise WireError(f"a dealt key has {len(data)} bytes")
        dealing = Dealing.decode(data[:_HEAD_BYTES])
        if not _fits(len(data) - _AROUND_BYTES, dealing.kind):
            raise WireError(f"a dealt key of kind {dealing.kind.name} has {len(data)} bytes")
        return cls(
            dealing=dealing,
            box=data[_HEAD_BYTES:-SIGNATURE_BYTES],
            signature=data[-SIGNATURE_BYTES:],
        )

    def verify(self, dealer_key: bytes) -> None:
        """Raise unless the dealer signed this box for this use.

        Args:
            dealer_key: The signing key that the roster has at the dealer's index, 32 bytes.

        Raises:
            AuthenticationError: if the signature does not hold.
        """
        verify(dealer_key, self.signature, _signed(self.dealing, self.box))

    def accept(self, expected: Dealing, *, dealer_key: bytes, kem_key: KemKey) -> bytes:
        """Open a dealt key as its recipient, who then keeps the first one that this accepts.

        Guarantee:
            The key was sealed for exactly this use by the holder of the dealer's signing key, if Ed25519 is
            unforgeable; nobody but dealer and recipient knows it, as ``sealed_box.seal`` states.

        Args:
            expected: Use that the recipient waits for a key for.
            dealer_key: The signing key that the roster has at the dealer's index, 32 bytes.
            kem_key: The recipient's own key.

        Returns:
            The key, 32 bytes of a pair's and of the group's.

        Raises:
            AuthenticationError: if it is for another use, the dealer did not sign it, or it does not open.
        """
        if self.dealing != expected:
            raise AuthenticationError(
                "a dealt key is for another use than the one that is waited for",
                hint="keys are taken for one federation, key epoch, kind, dealer and recipient only",
            )
        self.verify(dealer_key)
        key = kem_key.open(self.box, associated_data=framed(_DOMAIN, expected.encode()))
        if not _fits(len(key), expected.kind):
            raise AuthenticationError("a dealt key has a wrong length", hint="its dealer must deal another")
        return key


def fresh_key(*, entropy: Entropy = SYSTEM) -> bytes:
    """A key to deal: 32 uniform bytes."""
    return entropy(KEY_BYTES)


def deal(key: bytes, dealing: Dealing, *, recipient_key: bytes, signing_key: SigningKey) -> DealtKey:
    """Seal a key for its recipient and sign the box; call it once for a use, and send the same bytes again.

    Args:
        key: 32 bytes from ``fresh_key``; of the shared keys their encoded form.
        dealing: Use of the key.
        recipient_key: The public KEM key that the roster has at the recipient's index.
        signing_key: The dealer's.

    Raises:
        ProtocolError: if the key has another length.
        IdentityError: if the recipient's public key is none.
    """
    if not _fits(len(key), dealing.kind):
        raise ProtocolError(f"a key of {len(key)} bytes and kind {dealing.kind.name} is not dealt")
    box = seal(recipient_key, key, associated_data=framed(_DOMAIN, dealing.encode()))
    return DealtKey(dealing, box, signing_key.sign(_signed(dealing, box)))


def prove_double_dealing(first: DealtKey, second: DealtKey, *, dealer_key: bytes) -> None:
    """Raise unless two boxes are proof that their dealer dealt two keys for one use.

    Guarantee: nobody else can make such a proof against an honest dealer, who signs one box for a use, if Ed25519 is
    unforgeable.

    Args:
        first: One dealt key.
        second: Another one for the same use.
        dealer_key: The signing key that the roster has at the dealer's index, 32 bytes.

    Raises:
        AuthenticationError: if they are for different uses, are the same box, or a signature does not hold.
    """
    if first.dealing != second.dealing or first.box == second.box:
        raise AuthenticationError(
            "two dealt keys prove nothing", hint="only different boxes for one and the same use do"
        )
    first.verify(dealer_key)
    second.verify(dealer_key)


def _signed(dealing: Dealing, box: bytes) -> bytes:
    return _DOMAIN + b"\x00" + framed(dealing.encode(), hashlib.sha256(box).digest())


def _fits(length: int, kind: KeyKind) -> bool:
    return 0 < length <= MAX_KEY_BYTES if kind is KeyKind.SHARED else length == KEY_BYTES
