"""Fields of messages, checked: what all modules that read protobuf have in common.

The rule kept here: a value is returned as it came, or refused; the error names the field and its limit, and never
quotes a peer's bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from securefl.config.cohort import MAX_COHORT
from securefl.errors import WireError
from securefl.protocol.agreement.signed import DIGEST_BYTES
from securefl.protocol.openings import MAX_OPENINGS

SIGNATURE_BYTES: Final = 64
CHUNK_BYTES: Final = 1 << 20
"""Largest payload of one streamed message, up and down."""
PROCESS_BYTES: Final = 16
"""Length of what tells two processes of one member apart; drawn at random, so never equal by chance."""
MAX_STREAM_BYTES: Final = 1 << 40
"""No stream declares more than this; the exact size comes from the layout."""
MAX_WORDS: Final = 500
"""Longest sentence, in characters, that one peer may have another one read."""
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


def members(values: Sequence[str], *, at_least: int, what: str) -> tuple[str, ...]:
    """Ids of different members, ``at_least`` to ``MAX_COHORT`` of them.

    Raises:
        WireError: if they are too few or too many, malformed, or one stands there twice.
    """
    count(values, at_least=at_least, what=what)
    listed = tuple(member_id(value) for value in values)
    different(listed, what)
    return listed


def count(values: Sequence[object], *, at_least: int, what: str) -> None:
    """Raise unless a list has ``at_least`` to ``MAX_COHORT`` entries.

    Raises:
        WireError: if it has not.
    """
    within(len(values), at_least, MAX_COHORT, f"number of entries of a {what}")


def different(listed: Sequence[str], what: str) -> None:
    """Raise if a member stands in a list twice.

    Raises:
        WireError: if one does.
    """
    if len(set(listed)) != len(listed):
        raise WireError(f"a {what} names a member twice")


def ascending(values: Iterable[int], what: str) -> tuple[int, ...]:
    """Places in a cohort, each above the one before it, at most ``MAX_COHORT`` of them.

    Raises:
        WireError: if they are not, or one lies beyond every cohort.
    """
    last, listed = -1, []
    for value in values:
        if not last < value < MAX_COHORT:
            raise WireError(f"a {what} is out of order", hint=f"it ascends, below {MAX_COHORT}")
        listed.append(last := value)
    return tuple(listed)


def chunk(value: bytes) -> bytes:
    """A part of a stream, 1 to ``CHUNK_BYTES`` bytes.

    Raises:
        WireError: if it has none, or more.
    """
    within(len(value), 1, CHUNK_BYTES, "chunk's length")
    return value


def process(value: bytes) -> bytes:
    """The number of a member's process, ``PROCESS_BYTES``.

    Raises:
        WireError: if its length is another.
    """
    if len(value) != PROCESS_BYTES:
        raise WireError(
            "a member does not say which process it is",
            hint="install the same version of securefl everywhere",
        )
    return value


def plain_words(text: str) -> str:
    """Make any text fit to be sent as last words: one line, printable, at most ``MAX_WORDS`` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1].rstrip() + "…"


def words(value: str) -> str:
    """A sentence of a peer.

    Raises:
        WireError: if it is not as ``plain_words`` leaves it.
    """
    if value != plain_words(value):
        raise WireError(
            "a peer's sentence is not plain", hint=f"one printable line of at most {MAX_WORDS} characters"
        )
    return value
