"""Reasons for an abstention, sealed to the members: the server keeps them with the round's events, and reads none.

A member tells its own person the reason in words. The box is for a dispute: whoever has the server's record and a
member's keys can read why a round came to nothing.

The rule kept here: every box has a key of its own, drawn from 32 fresh bytes that stand before it, so that a reason may
be told again in other words. All boxes have one length: a sentence's own would tell which check failed, and numbers of
owners and holders in it.

    box = 32 random bytes | ChaCha20-Poly1305 under HKDF(tag key; "abstention", the bytes and the place), nonce zero,
          of the reason and zeros up to 400 bytes
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.framing import framed
from securefl.crypto.prf import KEY_BYTES, derived_key
from securefl.errors import AuthenticationError

MAX_REASON_BYTES: Final = 400
_NONCE: Final = bytes(12)
_PADDING: Final = b"\x00"


def seal_reason(key: bytes, reason: str, *, place: bytes, entropy: Entropy = SYSTEM) -> bytes:
    """Seal a reason; what is beyond ``MAX_REASON_BYTES`` of it is left out.

    Guarantee: whoever lacks the members' key learns nothing of it, not its length either, and cannot alter it, assuming
    HMAC-SHA256 is a pseudorandom function and ChaCha20-Poly1305 a secure AEAD (Procter, ePrint 2014/613).

    Args:
        key: A key that all members have and the server has not (32 bytes).
        reason: In words.
        place: What it is about: attempt, statement and member.
        entropy: Where randomness comes from.
    """
    drawn = entropy(KEY_BYTES)
    text = reason.encode()[:MAX_REASON_BYTES].ljust(MAX_REASON_BYTES, _PADDING)
    return drawn + ChaCha20Poly1305(_box_key(key, drawn, place)).encrypt(_NONCE, text, None)


def open_reason(key: bytes, box: bytes, *, place: bytes) -> str:
    """The reason in a box.

    Raises:
        AuthenticationError: if it does not open.
    """
    drawn, sealed = box[:KEY_BYTES], box[KEY_BYTES:]
    try:
        text = ChaCha20Poly1305(_box_key(key, drawn, place)).decrypt(_NONCE, sealed, None)
    except InvalidTag:
        raise AuthenticationError(
            "a reason does not open", hint="it is damaged, or of another place"
        ) from None
    return text.rstrip(_PADDING).decode(errors="replace")


def _box_key(key: bytes, drawn: bytes, place: bytes) -> bytes:
    return derived_key(key, purpose=b"abstention", context=framed(drawn, place))
