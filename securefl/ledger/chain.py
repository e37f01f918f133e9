"""The chain that gives away every change to a ledger: signed JSON lines, each naming the digest of the last.

The rule kept here: a line is accepted only if it is byte for byte what its entry encodes to, so there is
nothing in a ledger that a signature does not cover.

    {"event":"...","fields":{...},"previous":"<64 hex digits>","sequence":0,"signature":"<128 hex digits>"}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from securefl.errors import AuthenticationError, StateError
from securefl.ledger.events import Event, event_fields, parse_event

DOMAIN = b"securefl/v2/ledger\x00"
FORMER_DOMAIN = b"securefl/v1/ledger\x00"
"""That of securefl 0.1.0, whose ledgers this version tells from broken ones, and does not read."""
GENESIS = bytes(32)
"""Digest that the first entry names as its predecessor's."""
MAX_LINE_BYTES = 1 << 16
"""No event of ours comes near this; a longer line is something else."""


class Signer(Protocol):
    """Whoever writes a ledger."""

    def sign(self, message: bytes) -> bytes:
        """A signature of the message under the writer's key."""
        ...


class Verifier(Protocol):
    """Check of a signature under the writer's public key."""

    def __call__(self, signature: bytes, message: bytes, /) -> None:
        """Return if the signature holds.

        Raises:
            AuthenticationError: if it does not.
        """
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a ledger.

    Attributes:
        sequence: Its place, from 0.
        previous: SHA-256 of the line before it (32 bytes), ``GENESIS`` for the first.
        event: What happened.
        signature: The writer's, over ``signed_bytes``.
    """

    sequence: int
    previous: bytes
    event: Event
    signature: bytes

    def signed_bytes(self) -> bytes:
        """Bytes that the signature covers: the domain, and everything else in the line."""
        return unsigned_bytes(sequence=self.sequence, previous=self.previous, event=self.event)

    def line(self) -> bytes:
        """The entry's only encoding, without the newline."""
        unsigned = _unsigned(sequence=self.sequence, previous=self.previous, event=self.event)
        return _canonical({**unsigned, "signature": self.signature.hex()})

    @property
    def digest(self) -> bytes:
        """SHA-256 of the line (32 bytes)."""
        return hashlib.sha256(self.line()).digest()


def unsigned_bytes(*, sequence: int, previous: bytes, event: Event) -> bytes:
    """Encode what the writer signs for an entry."""
    return DOMAIN + _canonical(_unsigned(sequence=sequence, previous=previous, event=event))


def verified_entries(data: bytes, verifier: Verifier) -> Iterator[Entry]:
    """The entries of a whole ledger file, each checked before it is given out.

    Guarantee:
        A file that passes is a prefix of what the holder of the key wrote, in its order: changed, moved,
        repeated and missing lines break the signature, the place or the chain. It assumes an unforgeable
        signature and a collision-resistant SHA-256. That lines at the end are gone is not seen here: compare
        the head with one that was recorded elsewhere. Source: hash-chained logs as in Schneier and Kelsey
        1999.

    Raises:
        StateError: naming the first line that does not hold, and why; or for a ledger of 0.1.0, which is not read.
    """
    *lines, rest = data.split(b"\n")
    previous = GENESIS
    for number, line in enumerate(lines, start=1):
        entry = _checked(line, number=number, previous=previous, verifier=verifier)
        previous = entry.digest
        yield entry
    if rest:
        raise StateError(
            "the ledger's last line is torn",
            where=f"line {len(lines) + 1}",
            hint="its writer ended while it wrote, before it acted on that entry: keep a copy of the file, "
            "then delete this incomplete line",
        )


def _checked(line: bytes, *, number: int, previous: bytes, verifier: Verifier) -> Entry:
    try:
        entry = _placed(line, sequence=number - 1, previous=previous)
        _check_signature(entry, verifier)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise _broken(number, "it is no JSON") from None
    except ValueError as error:
        raise _broken(number, str(error)) from None
    except AuthenticationError:
        raise _broken(number, "its signature does not hold") from None
    return entry


def _check_signature(entry: Entry, verifier: Verifier) -> None:
    """Check that the writer signed the entry for a ledger of this version; one of 0.1.0 is named as such."""
    try:
        verifier(entry.signature, entry.signed_bytes())
    except AuthenticationError:
        verifier(entry.signature, FORMER_DOMAIN + entry.signed_bytes().removeprefix(DOMAIN))
        raise StateError(
            "the ledger was written by securefl 0.1.0",
            hint="read it with that version",
        ) from None


def _placed(line: bytes, *, sequence: int, previous: bytes) -> Entry:
    """The line's entry, if it is encoded as it should be and follows what came before."""
    entry = _parsed(line)
    if entry.line() != line:
        raise ValueError("it is not in the ledger's one encoding")
    if entry.sequence != sequence:
        raise ValueError("it is out of sequence")
    if entry.previous != previous:
        raise ValueError("it does not follow the line before it")
    return entry


def _broken(number: int, reason: str) -> StateError:
    return StateError("the ledger has been altered or damaged", where=f"line {number}", hint=reason)


def _parsed(line: bytes) -> Entry:
    """An entry from its line; what is too many in it shows when it is encoded again."""
    if len(line) > MAX_LINE_BYTES:
        raise ValueError("it is too long")
    value = json.loads(line)
    fields = value.get("fields") if isinstance(value, dict) else None
    if not isinstance(fields, dict):
        raise ValueError("it is no entry")  # noqa: TRY004 - one kind of error for every malformed line
    sequence = value.get("sequence")
    if not isinstance(sequence, int) or isinstance(sequence, bool):
        raise ValueError("it has no sequence number")  # noqa: TRY004 - as above
    event = parse_event(value.get("event"), fields)
    return Entry(sequence, _hex(value, "previous"), event, _hex(value, "signature"))


def _hex(value: Mapping[str, object], name: str) -> bytes:
    text = value.get(name)
    if not isinstance(text, str):
        raise ValueError(f"it has no {name}")  # noqa: TRY004 - as above
    return bytes.fromhex(text)


def _unsigned(*, sequence: int, previous: bytes, event: Event) -> dict[str, object]:
    return {
        "sequence": sequence,
        "previous": previous.hex(),
        "event": event.name,
        "fields": event_fields(event),
    }


def _canonical(value: Mapping[str, object]) -> bytes:
    """One byte string for one value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")
