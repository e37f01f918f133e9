"""Records of a member's journal: what it did in a round, before anybody else could know of it.

The rule kept here: a record is small, says one thing, and has one JSON form, which parses back to an equal record.
Everything large (integers, bodies, packets) lies in a file beside the journal, which a record names with its length and
its SHA-256.

    >>> record = HeaderCommitted(3, 1, bytes(32))
    >>> parse_record(record_text(record)) == record
    True
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, TypeAdapter, ValidationError

from securefl.protocol.agreement.signed import PROTOCOL_VERSION

__all__ = [
    "AdvertSigned",
    "AttemptSettled",
    "CohortAccepted",
    "ContributionStaged",
    "FileMark",
    "HeaderCommitted",
    "JournalBegun",
    "KeysRotated",
    "OtherAdvert",
    "PacketOpened",
    "PacketsKept",
    "Record",
    "RevealSigned",
    "RunEnded",
    "SpoiledSigned",
    "SumApplied",
    "SumRefused",
    "SumUndone",
    "UpdateKept",
    "VoteSigned",
    "parse_record",
    "record_text",
]


def _from_hex(value: object) -> object:
    return bytes.fromhex(value) if isinstance(value, str) else value


Hex = Annotated[
    bytes, BeforeValidator(_from_hex), PlainSerializer(lambda value: value.hex(), return_type=str)
]
Digest = Annotated[Hex, Field(min_length=32, max_length=32)]


@dataclass(frozen=True, slots=True)
class FileMark:
    """A file beside the journal: its name, its length in bytes, and the SHA-256 of its content."""

    name: str
    size: int
    sha256: Digest


@dataclass(frozen=True, slots=True)
class JournalBegun:
    """The journal is this member's, for this federation under these keys."""

    federation_digest: Digest
    key_epoch: int
    member: str
    version: int = PROTOCOL_VERSION
    kind: Literal["journal-begun"] = "journal-begun"


@dataclass(frozen=True, slots=True)
class AttemptSettled:
    """An earlier attempt of the open round ended without an aggregate, by verified proof.

    Attributes:
        round_number: The round.
        number: The attempt.
        cohort_digest: A (32 bytes).
        survivors: Of a certified sum that could not be opened; empty where the attempt was void.
    """

    round_number: int
    number: int
    cohort_digest: Digest
    survivors: tuple[str, ...]
    kind: Literal["attempt-settled"] = "attempt-settled"


@dataclass(frozen=True, slots=True)
class AdvertSigned:
    """This member takes part in an attempt."""

    round_number: int
    number: int
    invited: tuple[str, ...]
    settled: Digest
    nonce: Digest
    state: Digest
    signature: Hex
    kind: Literal["advert-signed"] = "advert-signed"


@dataclass(frozen=True, slots=True)
class UpdateKept:
    """The integers of a round are on disk; every attempt of the round takes them.

    Attributes:
        round_number: The round.
        integers: The file of the integers, int64, little-endian.
        saturated: How many of them were clipped.
        loss: Mean training loss, nats; None where it is not told.
    """

    round_number: int
    integers: FileMark
    saturated: int
    loss: float | None
    kind: Literal["update-kept"] = "update-kept"


@dataclass(frozen=True, slots=True)
class OtherAdvert:
    """An advert of a cohort."""

    signer: str
    nonce: Digest
    state: Digest
    signature: Hex


@dataclass(frozen=True, slots=True)
class CohortAccepted:
    """The attempt's cohort, verified; its manifest is that of this member's advert."""

    round_number: int
    number: int
    adverts: tuple[OtherAdvert, ...]
    kind: Literal["cohort-accepted"] = "cohort-accepted"


@dataclass(frozen=True, slots=True)
class ContributionStaged:
    """The outbox is complete: its bytes may leave, and only these."""

    round_number: int
    number: int
    cohort_digest: Digest
    head: FileMark
    kind: Literal["contribution-staged"] = "contribution-staged"


@dataclass(frozen=True, slots=True)
class PacketOpened:
    """The packet of the member at this index opened; it was bound to a body of this digest."""

    index: int
    body_digest: Digest


@dataclass(frozen=True, slots=True)
class PacketsKept:
    """Packets from the others, in a file of their own, and which of them opened."""

    round_number: int
    number: int
    file: FileMark
    opened: tuple[PacketOpened, ...]
    kind: Literal["packets-kept"] = "packets-kept"


@dataclass(frozen=True, slots=True)
class HeaderCommitted:
    """The signed header leaves: from here on no other contribution before this one is settled."""

    round_number: int
    number: int
    cohort_digest: Digest
    kind: Literal["header-committed"] = "header-committed"


@dataclass(frozen=True, slots=True)
class VoteSigned:
    """This member's one vote of the attempt.

    Attributes:
        round_number: The round.
        number: The attempt.
        choice: For survivors, or that there is no sum.
        digest: Of the statement of survivors, or A (32 bytes).
        signature: Of the vote.
    """

    round_number: int
    number: int
    choice: Literal["survivors", "void"]
    digest: Digest
    signature: Hex
    kind: Literal["vote-signed"] = "vote-signed"


@dataclass(frozen=True, slots=True)
class RevealSigned:
    """This member's one reveal of the attempt."""

    round_number: int
    number: int
    statement_digest: Digest
    sealed: Hex
    signature: Hex
    kind: Literal["reveal-signed"] = "reveal-signed"


@dataclass(frozen=True, slots=True)
class SpoiledSigned:
    """This member cannot open the certified sum of this statement."""

    round_number: int
    number: int
    statement_digest: Digest
    signature: Hex
    kind: Literal["spoiled-signed"] = "spoiled-signed"


@dataclass(frozen=True, slots=True)
class SumApplied:
    """A round's sum is verified and opened.

    Attributes:
        round_number: The round.
        number: The attempt that it was certified in.
        cohort_digest: A (32 bytes).
        cohort: Ids of its members, in the roster's order.
        statement_digest: Of the certified statement (32 bytes).
        survivors: Their ids, in the roster's order.
        sums: The file of the integers, int64, little-endian.
        last: Its sums end the federation early.
    """

    round_number: int
    number: int
    cohort_digest: Digest
    cohort: tuple[str, ...]
    statement_digest: Digest
    survivors: tuple[str, ...]
    sums: FileMark
    last: bool
    kind: Literal["sum-applied"] = "sum-applied"


@dataclass(frozen=True, slots=True)
class SumUndone:
    """t members could not open this round's sum, which this member had applied: it is at the state before again."""

    round_number: int
    kind: Literal["sum-undone"] = "sum-undone"


@dataclass(frozen=True, slots=True)
class SumRefused:
    """This member refused a certified sum, and the keys with it: it opens this sum no more, whatever else it is shown.

    Attributes:
        round_number: The round.
        number: The attempt.
        cohort_digest: A (32 bytes).
        statement_digest: Of the certified statement (32 bytes).
        survivors: Their ids, in the roster's order.
        signature: Of the vote that the sum cannot be opened.
    """

    round_number: int
    number: int
    cohort_digest: Digest
    statement_digest: Digest
    survivors: tuple[str, ...]
    signature: Hex
    kind: Literal["sum-refused"] = "sum-refused"


@dataclass(frozen=True, slots=True)
class KeysRotated:
    """From here on this member's keys are those of another rotation."""

    key_epoch: int
    kind: Literal["keys-rotated"] = "keys-rotated"


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The member has finished its part."""

    kind: Literal["run-ended"] = "run-ended"


Record = (
    JournalBegun
    | AttemptSettled
    | AdvertSigned
    | UpdateKept
    | CohortAccepted
    | ContributionStaged
    | PacketsKept
    | HeaderCommitted
    | VoteSigned
    | RevealSigned
    | SpoiledSigned
    | SumApplied
    | SumUndone
    | SumRefused
    | KeysRotated
    | RunEnded
)
"""Everything that a journal may hold, in the order of a round."""
_RECORDS: TypeAdapter[Record] = TypeAdapter(
    Annotated[Record, Field(discriminator="kind")], config=ConfigDict(extra="forbid")
)


def record_text(record: Record) -> bytes:
    """The record's JSON, ASCII, on one line."""
    return _RECORDS.dump_json(record, ensure_ascii=True)


def parse_record(text: bytes) -> Record:
    """The inverse of ``record_text``.

    Raises:
        ValueError: if it is no record of this version.
    """
    try:
        return _RECORDS.validate_json(text)
    except ValidationError:
        raise ValueError("it is no record that this version knows") from None
