"""All channel keys of one member, in one fixed-length form: the group's, and one for each other member.

The rule kept here: they are all of the same round, and move on together. A member's folder holds one copy, which is
replaced when a round is settled; so whoever reads the folder later opens nothing of settled rounds.

    magic and version   8 bytes    b"SFLCHNL" 0x01
    key epoch           4 bytes, big-endian, from 1
    step                4 bytes, big-endian: rounds since the federation's first
    own index           2 bytes, big-endian, in the roster
    members             2 bytes, big-endian, of the roster
    group's key         32 bytes
    keys of the pairs   32 bytes for each other member, in the roster's order
    digest              32 bytes   SHA-256 of all before it, against damage
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from securefl.crypto.channel_keys import STEP_BYTES, ChannelKey
from securefl.crypto.dealt_keys import INDEX_BYTES, KEY_BYTES, KEY_EPOCH_BYTES, KeyKind
from securefl.errors import IdentityError, ProtocolError

_MAGIC: Final = b"SFLCHNL\x01"
_DIGEST_BYTES: Final = 32
_HINT: Final = "make the members' folders anew, or copy this one again"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Channels:
    """Channel keys of one member at one round; ``repr`` shows nothing of them.

    Attributes:
        key_epoch: Number of the rotation, from 1.
        own: The member's index in the roster.
        group: The group's key.
        pairs: A key for each other member of the roster, by its index.

    Raises:
        IdentityError: if a key is missing, of another kind or of another round, or a number is out of its range.
    """

    key_epoch: int
    own: int
    group: ChannelKey
    pairs: Mapping[int, ChannelKey]

    def __post_init__(self) -> None:
        others = set(range(len(self.pairs) + 1)) - {self.own}
        steps = {self.group.step, *(key.step for key in self.pairs.values())}
        kinds = {key.kind for key in self.pairs.values()}
        of_one_round = len(steps) == 1 and self.group.kind is KeyKind.GROUP and kinds == {KeyKind.PAIR}
        in_range = 1 <= self.key_epoch < 1 << 8 * KEY_EPOCH_BYTES
        if set(self.pairs) != others or not of_one_round or not in_range:
            raise IdentityError("a member's channel keys are not complete", hint=_HINT)

    def __repr__(self) -> str:
        return f"Channels(key_epoch={self.key_epoch}, own={self.own}, step={self.step}, <redacted>)"

    @property
    def step(self) -> int:
        """Rounds since the federation's first."""
        return self.group.step

    def pair(self, index: int) -> ChannelKey:
        """The key that this member shares with one other.

        Raises:
            ProtocolError: if there is no other member at this index.
        """
        if index not in self.pairs:
            raise ProtocolError(f"there is no key for a member at index {index} of the roster")
        return self.pairs[index]

    def advanced_to(self, step: int) -> Channels:
        """The keys of a later round, or these; the caller forgets the earlier ones.

        Raises:
            ProtocolError: if the round is earlier than that of these keys.
        """
        pairs = {index: key.advanced_to(step) for index, key in self.pairs.items()}
        return Channels(self.key_epoch, self.own, self.group.advanced_to(step), pairs)

    def encode(self) -> bytes:
        """The bytes of the member's file."""
        body = b"".join(
            [
                _MAGIC,
                self.key_epoch.to_bytes(KEY_EPOCH_BYTES, "big"),
                self.step.to_bytes(STEP_BYTES, "big"),
                self.own.to_bytes(INDEX_BYTES, "big"),
                (len(self.pairs) + 1).to_bytes(INDEX_BYTES, "big"),
                self.group.key,
                *(self.pairs[index].key for index in sorted(self.pairs)),
            ]
        )
        return body + hashlib.sha256(body).digest()

    @classmethod
    def decode(cls, data: bytes, *, where: str = "") -> Channels:
        """The inverse of ``encode``.

        Args:
            data: The bytes.
            where: Where they come from, for the error.

        Raises:
            IdentityError: if they are no channel keys of this version, cut short, or damaged.
        """
        if not data.startswith(_MAGIC):
            raise IdentityError("the channel keys are of another kind or version", where=where, hint=_HINT)
        body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
        numbers = _numbers(body[len(_MAGIC) :])
        keys = body[_HEAD_BYTES:]
        whole = len(keys) == numbers[-1] * KEY_BYTES and numbers[-1] > 0
        if not whole or not hmac.compare_digest(hashlib.sha256(body).digest(), digest):
            raise IdentityError("the channel keys are cut short or damaged", where=where, hint=_HINT)
        key_epoch, step, own, members = numbers
        group, *pairs = (keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES))
        others = [index for index in range(members) if index != own]
        if len(others) != len(pairs):
            raise IdentityError("the channel keys are cut short or damaged", where=where, hint=_HINT)
        return cls(
            key_epoch=key_epoch,
            own=own,
            group=ChannelKey(KeyKind.GROUP, step, group),
            pairs={i: ChannelKey(KeyKind.PAIR, step, key) for i, key in zip(others, pairs, strict=True)},
        )


_WIDTHS: Final = (KEY_EPOCH_BYTES, STEP_BYTES, INDEX_BYTES, INDEX_BYTES)
_HEAD_BYTES: Final = len(_MAGIC) + sum(_WIDTHS)


def _numbers(data: bytes) -> tuple[int, int, int, int]:
    """Key epoch, step, own index and number of members; zeros where the bytes end."""
    numbers, at = [], 0
    for width in _WIDTHS:
        numbers.append(int.from_bytes(data[at : at + width], "big"))
        at += width
    key_epoch, step, own, members = numbers
    return key_epoch, step, own, members
