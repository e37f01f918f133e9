"""Keys between members: a ratchet by round, and from its key of a round one key for every message.

The rule kept here: a key seals one message, so its nonce is zero; and a key of an earlier round cannot be made from
one of a later round, so that a member's folder opens nothing of the rounds that it has settled and forgotten.

Members exchange two kinds of messages that the server must not read: the packet, one member's share of a key for
another, under the key of the pair; and the reveal, a member's sum of shares for all members, under the group's key.
What fixes a message fixes its key: the attempt, who sends it to whom, the body that the share belongs to, the
statement that the reveal follows from. Both are checked on the way in by the fact that they open.

    key of the round     K_0 = HKDF(dealt key; "channel", use), K_(r+1) = HKDF(K_r; "ratchet", "")
    key of a packet      HKDF(K_r of the pair; "packet", A, i, j, SHA-256(body)), i to j
    key of a reveal      HKDF(K_r of the group; "reveal", SHA-256(statement), j), of member j
    message              ChaCha20-Poly1305, nonce zero, no additional data: 16 bytes more than its plaintext

Indices are 2 bytes, big-endian, and fields are framed as ``framing`` does. Rounds are counted from the federation's
first, openings included: r = round_number - first_round.

References: HKDF (RFC 5869), ChaCha20-Poly1305 (RFC 8439); forward secrecy by one-way steps (Bellare and Yee, CT-RSA
2003).

    >>> from securefl.crypto.channel_keys import ChannelKey, PacketPlace, open_packet, seal_packet
    >>> from securefl.crypto.dealt_keys import Dealing, KeyKind
    >>> dealing = Dealing(federation=bytes(32), key_epoch=1, kind=KeyKind.PAIR, dealer=0, recipient=2)
    >>> channel = ChannelKey.start(b"k" * 32, dealing).advanced_to(5)
    >>> place = PacketPlace(attempt=b"A" * 32, sender=2, recipient=0, body_digest=b"d" * 32)
    >>> packet = seal_packet(channel, b"words of a share", place=place)
    >>> open_packet(channel, packet, place=place)
    b'words of a share'
    >>> channel.advanced_to(4)
    Traceback (most recent call last):
    securefl.errors.ProtocolError
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from securefl.crypto.dealt_keys import INDEX_BYTES, KEY_BYTES, Dealing, KeyKind
from securefl.crypto.framing import framed
from securefl.crypto.prf import derived_key
from securefl.errors import AuthenticationError, ProtocolError

STEP_BYTES: Final = 4
_NONCE: Final = bytes(12)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ChannelKey:
    """A pair's or the group's key of one round; ``repr`` shows nothing of it.

    Attributes:
        kind: ``KeyKind.PAIR`` or ``KeyKind.GROUP``.
        step: Rounds since the federation's first, r.
        key: K_r, 32 bytes.

    Raises:
        ProtocolError: if the kind is another, or step or key are not of their form.
    """

    kind: KeyKind
    step: int
    key: bytes

    def __post_init__(self) -> None:
        of_a_channel = self.kind in (KeyKind.PAIR, KeyKind.GROUP)
        if not of_a_channel or len(self.key) != KEY_BYTES or not 0 <= self.step < 1 << 8 * STEP_BYTES:
            raise ProtocolError("a channel's key is not one of this version's")

    def __repr__(self) -> str:
        return f"ChannelKey({self.kind.name}, step={self.step}, <redacted>)"

    @classmethod
    def start(cls, dealt: bytes, dealing: Dealing) -> ChannelKey:
        """The key of the federation's first round, from the dealt one.

        Args:
            dealt: The 32 bytes that ``DealtKey.accept`` gave, or that the dealer drew.
            dealing: Their use; the recipient of a box with the group's key does not matter, since all get the same key.
        """
        use = dealing if dealing.kind is KeyKind.PAIR else replace(dealing, recipient=dealing.dealer)
        return cls(dealing.kind, 0, derived_key(dealt, purpose=b"channel", context=use.encode()))

    def advanced_to(self, step: int) -> ChannelKey:
        """The key of a later round, or this one.

        Guarantee: from it, no key of an earlier round can be computed, nor anything sealed under one, assuming
        HMAC-SHA256 is a pseudorandom function (Bellare and Yee 2003). The caller forgets the earlier one.

        Args:
            step: Rounds since the federation's first.

        Raises:
            ProtocolError: if the round is earlier than this key's.
        """
        if step < self.step:
            raise ProtocolError(
                f"keys of round step {step} are gone, this member's are of step {self.step}",
                hint="messages of settled rounds are not opened again",
            )
        key = self.key
        for _ in range(step - self.step):
            key = derived_key(key, purpose=b"ratchet", context=b"")
        return ChannelKey(self.kind, step, key)


@dataclass(frozen=True, slots=True)
class PacketPlace:
    """Place of a packet: what its key is derived from.

    Attributes:
        attempt: A, the digest of the attempt's manifest and adverts, 32 bytes.
        sender: Index of the member whose key is shared.
        recipient: Index of the member that the share is for.
        body_digest: SHA-256 of the sender's body.
    """

    attempt: bytes
    sender: int
    recipient: int
    body_digest: bytes

    def encode(self) -> bytes:
        """The fields, framed."""
        return framed(self.attempt, _index(self.sender), _index(self.recipient), self.body_digest)


@dataclass(frozen=True, slots=True)
class RevealPlace:
    """Place of a reveal: what its key is derived from.

    Attributes:
        statement_digest: SHA-256 of the certified statement.
        member: Index of the member that reveals.
    """

    statement_digest: bytes
    member: int

    def encode(self) -> bytes:
        """The fields, framed."""
        return framed(self.statement_digest, _index(self.member))


def seal_packet(channel: ChannelKey, share: bytes, *, place: PacketPlace) -> bytes:
    """Seal a share for the other member of a pair.

    Guarantee: whoever lacks the pair's key learns nothing of the share and cannot change the packet, nor pass it for
    one of another attempt, sender, recipient or body, assuming HMAC-SHA256 is a pseudorandom function and ChaCha20-
    Poly1305 is a secure AEAD (Procter, ePrint 2014/613), if a place is used for one share: its sender keeps the
    packet and sends the same bytes again.

    Args:
        channel: The pair's key of the round.
        share: Bytes of the share.
        place: Place of the packet.

    Returns:
        ``thresholds.SEAL_BYTES`` more than the share.

    Raises:
        ProtocolError: if the key is no pair's.
    """
    return _seal(_packet_key(channel, place), share)


def open_packet(channel: ChannelKey, packet: bytes, *, place: PacketPlace) -> bytes:
    """Open a packet of the other member of a pair.

    Raises:
        AuthenticationError: if it does not open, always in the same words.
        ProtocolError: if the key is no pair's.
    """
    return _open(_packet_key(channel, place), packet, what="a packet")


def seal_reveal(channel: ChannelKey, sum_of_shares: bytes, *, place: RevealPlace) -> bytes:
    """Seal a member's sum of shares for all members.

    Guarantee: whoever lacks the group's key learns nothing of the sum and cannot change it, as ``seal_packet`` states.
    Any member could seal one in another's name: reveals are signed besides. A member reveals one sum for a statement.

    Args:
        channel: The group's key of the round.
        sum_of_shares: Bytes of the sum of shares.
        place: Place of the reveal.

    Returns:
        ``thresholds.SEAL_BYTES`` more than the sum.

    Raises:
        ProtocolError: if the key is not the group's.
    """
    return _seal(_reveal_key(channel, place), sum_of_shares)


def open_reveal(channel: ChannelKey, reveal: bytes, *, place: RevealPlace) -> bytes:
    """Open a member's reveal.

    Raises:
        AuthenticationError: if it does not open, always in the same words.
        ProtocolError: if the key is not the group's.
    """
    return _open(_reveal_key(channel, place), reveal, what="a reveal")


def _packet_key(channel: ChannelKey, place: PacketPlace) -> bytes:
    _require(channel, KeyKind.PAIR)
    return derived_key(channel.key, purpose=b"packet", context=place.encode())


def _reveal_key(channel: ChannelKey, place: RevealPlace) -> bytes:
    _require(channel, KeyKind.GROUP)
    return derived_key(channel.key, purpose=b"reveal", context=place.encode())


def _require(channel: ChannelKey, kind: KeyKind) -> None:
    if channel.kind is not kind:
        raise ProtocolError(f"a key of kind {channel.kind.name} was used as one of kind {kind.name}")


def _seal(key: bytes, plaintext: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(_NONCE, plaintext, None)


def _open(key: bytes, sealed: bytes, *, what: str) -> bytes:
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, sealed, None)
    except InvalidTag:
        raise AuthenticationError(
            f"{what} does not open", hint="it is damaged, or sealed for another place or with another key"
        ) from None


def _index(member: int) -> bytes:
    return member.to_bytes(INDEX_BYTES, "big")
