"""Fields of messages, checked: what ``wire`` and ``wire_parts`` have in common.

The rule kept here: a value is returned as it came, or refused; the error names the field and its limit, and never
quotes a peer's bytes.
"""

from __future__ import annotations

import re
from typing import Final, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from securefl.errors import WireError
from securefl.protocol.messages import DIGEST_BYTES
from securefl.protocol.openings import MAX_OPENINGS

MAX_ROUND: Final = 10_000
"""The largest ``federation.rounds`` that a config may hold."""
MIN_ROUND: Final = 1 - MAX_OPENINGS
"""The number of the first opening where there are most of them."""
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_Wire = TypeVar("_Wire", bound=Message)


class Numbered(Protocol):
    """A message that names a round."""

    round_number: int

    def HasField(self, field_name: str) -> bool:  # noqa: N802 - protobuf's name
        """True where the peer sent the field."""
        ...


def to_bytes(message: Message) -> bytes:
    """The wire form of a message."""
    return message.SerializeToString()


def parsed(kind: type[_Wire], data: bytes) -> _Wire:
    """A message of this kind.

    Raises:
        WireError: if the bytes are none.
    """
    try:
        return kind.FromString(data)
    except DecodeError:
        raise WireError(f"a message is no {kind.DESCRIPTOR.name}") from None


def within(value: int, lowest: int, highest: int, what: str) -> int:
    """A number from ``lowest`` to ``highest``.

    Raises:
        WireError: if it lies outside.
    """
    if not lowest <= value <= highest:
        raise WireError(f"a {what} is out of range", hint=f"it must lie between {lowest} and {highest}")
    return value


def round_number(message: Numbered) -> int:
    """The number of the round that a message names, ``MIN_ROUND`` to ``MAX_ROUND``.

    Raises:
        WireError: if it lies outside, or the message names none: 0 is a round, so it is not what is left out.
    """
    if not message.HasField("round_number"):
        raise WireError("a message names no round")
    return within(message.round_number, MIN_ROUND, MAX_ROUND, "round number")


def exactly(value: bytes, length: int, what: str) -> bytes:
    """Bytes of this very length.

    Raises:
        WireError: if there are more or fewer.
    """
    if len(value) != length:
        raise WireError(f"a {what} has {len(value)} bytes", hint=f"it must have {length}")
    return value


def digest(value: bytes, what: str) -> bytes:
    """A SHA-256, 32 bytes.

    Raises:
        WireError: if its length is another.
    """
    return exactly(value, DIGEST_BYTES, what)


def member_id(value: str) -> str:
    """A member's id.

    Raises:
        WireError: if it is malformed.
    """
    if _MEMBER.fullmatch(value) is None:
        raise WireError("a member's id is malformed", hint="1 to 63 of a-z, 0-9, '-' and '_'")
    return value
