"""Messages to protobuf bytes and back: the one border where a peer's bytes become objects.

The rule kept here: what a ``decode_`` function returns is complete and within its limits: every id, length,
digest and range has been looked at, and anything else raised ``WireError``. No other module reads protobuf.
Limits that depend on the federation (exact sizes, the roster, the open round) are checked by ``streams`` and
by the sessions.

Terms: a *part* is one message of a stream; a *chunk* is a part that carries raw bytes.
Reference: ``protos/SPEC.md`` lists every field with its limits; the wire is
``protos/securefl/v1/aggregator.proto``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, assert_never

from google.protobuf.message import DecodeError, Message

from securefl.config.federation import MAX_COHORT, MIN_COHORT
from securefl.errors import WireError
from securefl.protocol.messages import (
    CHUNK_BYTES,
    DIGEST_BYTES,
    SIGNATURE_BYTES,
    AggregateReady,
    Announcement,
    ContributionHeader,
    FederationClosed,
    FederationFailed,
    Manifest,
    Receipt,
    RoundOpened,
    SignedHeader,
    Waiting,
)
from securefl.protocol.sections import StreamSizes
from securefl.v1 import aggregator_pb2 as pb

MAX_ROUND: Final = 10_000
"""The largest ``federation.rounds`` that a config may hold."""
MAX_WORDS: Final = 500
"""Longest sentence, in characters, that one peer may have another one read."""
MAX_STREAM_BYTES: Final = 1 << 40
"""No stream declares more than this; the exact size comes from the layout."""
MAX_VERSION: Final = 0xFFFF
PROCESS_BYTES: Final = 16
"""Length of what tells two processes of one member apart; drawn at random, so never equal by chance."""
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_Wire = TypeVar("_Wire", bound=Message)


@dataclass(frozen=True, slots=True)
class Hello:
    """A member's introduction; who it is, its certificate says.

    Attributes:
        protocol_version: What it speaks.
        federation_digest: Digest of its federation file (32 bytes).
        process: Drawn at random when its process started (``PROCESS_BYTES``): two processes of one member differ.
    """

    protocol_version: int
    federation_digest: bytes
    process: bytes


@dataclass(frozen=True, slots=True)
class Farewell:
    """A member's last call.

    Attributes:
        finished: Whether it has all it needs.
        last_words: Why it cannot go on, one sentence; "" when finished.
        process: As in ``Hello``.
    """

    finished: bool
    last_words: str
    process: bytes


@dataclass(frozen=True, slots=True)
class ContributionHead:
    """The first part of a contribution: the round that it is for, and the lengths of what follows."""

    round: int
    sizes: StreamSizes


@dataclass(frozen=True, slots=True)
class AggregateHead:
    """The first part of an aggregate: how many contributors and bytes follow.

    Attributes:
        round: Number of the round.
        contributors: How many signed headers follow.
        seeds_bytes: Length of the seeds behind each of them.
        body_bytes: Length of the body, residues and MACs, behind the last.
        aggregate_seconds: What the server spent on addition.
    """

    round: int
    contributors: int
    seeds_bytes: int
    body_bytes: int
    aggregate_seconds: float


@dataclass(frozen=True, slots=True)
class SeedsChunk:
    """A part of a contribution's seeds, 1 to ``CHUNK_BYTES`` bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class BodyChunk:
    """A part of the body, 1 to ``CHUNK_BYTES`` bytes."""

    data: bytes


ContributionPart = ContributionHead | BodyChunk | SeedsChunk | SignedHeader
AggregatePart = AggregateHead | SignedHeader | SeedsChunk | BodyChunk


def plain_words(text: str) -> str:
    """Makes any text fit to be sent as last words: one line, printable, at most ``MAX_WORDS`` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1].rstrip() + "…"


def encode_hello(hello: Hello) -> bytes:
    """The bytes of a ``Hello``."""
    return _bytes(
        pb.Hello(
            protocol_version=hello.protocol_version,
            federation_digest=hello.federation_digest,
            process=hello.process,
        )
    )


def decode_hello(data: bytes) -> Hello:
    """The inverse of ``encode_hello``; whether the version is spoken here, the server decides.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = _parsed(pb.Hello, data)
    version = _within(message.protocol_version, 1, MAX_VERSION, "protocol version")
    return Hello(version, _digest(message.federation_digest, "federation digest"), _process(message.process))


def encode_announcement(announcement: Announcement) -> bytes:
    """The bytes of an ``Announcement``."""
    match announcement:
        case Waiting(missing):
            return _bytes(pb.Announcement(waiting=pb.Waiting(missing=missing)))
        case RoundOpened(manifest):
            wire = pb.Manifest(
                federation_digest=manifest.federation_digest, round=manifest.round, cohort=manifest.cohort
            )
            return _bytes(pb.Announcement(round_opened=pb.RoundOpened(manifest=wire)))
        case AggregateReady(number):
            return _bytes(pb.Announcement(aggregate_ready=pb.AggregateReady(round=number)))
        case FederationClosed():
            return _bytes(pb.Announcement(closed=pb.FederationClosed()))
        case FederationFailed(member, reason):
            failed = pb.FederationFailed(member=member, reason=plain_words(reason))
            return _bytes(pb.Announcement(failed=failed))
        case _:
            assert_never(announcement)


def decode_announcement(data: bytes) -> Announcement:
    """The inverse of ``encode_announcement``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = _parsed(pb.Announcement, data)
    kind = message.WhichOneof("kind")
    if kind == "waiting":
        return Waiting(_members(message.waiting.missing, at_least=1, what="list of missing members"))
    if kind == "round_opened":
        return RoundOpened(_manifest(message.round_opened.manifest))
    if kind == "aggregate_ready":
        return AggregateReady(_round(message.aggregate_ready.round))
    if kind == "closed":
        return FederationClosed()
    if kind == "failed":
        member = message.failed.member
        return FederationFailed(_member(member) if member else "", _words(message.failed.reason))
    raise WireError("an announcement is of no kind that this version knows")


def encode_receipt(receipt: Receipt) -> bytes:
    """The bytes of a ``Receipt``."""
    return _bytes(pb.Receipt(round=receipt.round, body_digest=receipt.body_digest))


def decode_receipt(data: bytes) -> Receipt:
    """The inverse of ``encode_receipt``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = _parsed(pb.Receipt, data)
    return Receipt(_round(message.round), _digest(message.body_digest, "body digest"))


def encode_fetch(number: int) -> bytes:
    """The bytes of a request for the aggregate of round ``number``."""
    return _bytes(pb.FetchRequest(round=number))


def decode_fetch(data: bytes) -> int:
    """The inverse of ``encode_fetch``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    return _round(_parsed(pb.FetchRequest, data).round)


def encode_confirm(number: int) -> bytes:
    """The bytes of a member's word that it has the aggregate of round ``number``."""
    return _bytes(pb.ConfirmRequest(round=number))


def decode_confirm(data: bytes) -> int:
    """The inverse of ``encode_confirm``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    return _round(_parsed(pb.ConfirmRequest, data).round)


def encode_farewell(farewell: Farewell) -> bytes:
    """The bytes of a ``Farewell``; last words are made plain."""
    return _bytes(
        pb.LeaveRequest(
            finished=farewell.finished,
            last_words=plain_words(farewell.last_words),
            process=farewell.process,
        )
    )


def decode_farewell(data: bytes) -> Farewell:
    """The inverse of ``encode_farewell``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = _parsed(pb.LeaveRequest, data)
    return Farewell(message.finished, _words(message.last_words), _process(message.process))


def encode_contribution_part(part: ContributionPart) -> bytes:
    """The bytes of one part of a contribution."""
    match part:
        case ContributionHead(number, sizes):
            head = pb.ContributionHead(
                round=number, seeds_bytes=sizes.seeds_bytes, body_bytes=sizes.body_bytes
            )
            return _bytes(pb.ContributionPart(head=head))
        case SignedHeader():
            return _bytes(pb.ContributionPart(header=_wire_header(part)))
        case SeedsChunk(chunk):
            return _bytes(pb.ContributionPart(seeds=chunk))
        case BodyChunk(chunk):
            return _bytes(pb.ContributionPart(body=chunk))
        case _:
            assert_never(part)


def decode_contribution_part(data: bytes) -> ContributionPart:
    """The inverse of ``encode_contribution_part``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = _parsed(pb.ContributionPart, data)
    kind = message.WhichOneof("part")
    if kind == "head":
        head = message.head
        sizes = StreamSizes(
            seeds_bytes=_within(head.seeds_bytes, 0, MAX_STREAM_BYTES, "length of the seeds"),
            body_bytes=_within(head.body_bytes, 1, MAX_STREAM_BYTES, "length of the body"),
        )
        return ContributionHead(_round(head.round), sizes)
    if kind == "header":
        return _signed_header(message.header)
    if kind == "seeds":
        return SeedsChunk(_chunk(message.seeds))
    if kind == "body":
        return BodyChunk(_chunk(message.body))
    raise WireError("a contribution's part is of no kind that this version knows")


def encode_aggregate_part(part: AggregatePart) -> bytes:
    """The bytes of one part of an aggregate."""
    match part:
        case AggregateHead(number, contributors, seeds_bytes, body_bytes, aggregate_seconds):
            head = pb.AggregateHead(
                round=number,
                contributors=contributors,
                seeds_bytes=seeds_bytes,
                body_bytes=body_bytes,
                aggregate_seconds=aggregate_seconds,
            )
            return _bytes(pb.AggregatePart(head=head))
        case SignedHeader():
            return _bytes(pb.AggregatePart(contributor=_wire_header(part)))
        case SeedsChunk(chunk):
            return _bytes(pb.AggregatePart(seeds=chunk))
        case BodyChunk(chunk):
            return _bytes(pb.AggregatePart(body=chunk))
        case _:
            assert_never(part)


def decode_aggregate_part(data: bytes) -> AggregatePart:
    """The inverse of ``encode_aggregate_part``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = _parsed(pb.AggregatePart, data)
    kind = message.WhichOneof("part")
    if kind == "head":
        return _aggregate_head(message.head)
    if kind == "contributor":
        return _signed_header(message.contributor)
    if kind == "seeds":
        return SeedsChunk(_chunk(message.seeds))
    if kind == "body":
        return BodyChunk(_chunk(message.body))
    raise WireError("an aggregate's part is of no kind that this version knows")


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()


def _parsed(kind: type[_Wire], data: bytes) -> _Wire:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise WireError(f"a message is no {kind.DESCRIPTOR.name}") from None


def _wire_header(signed: SignedHeader) -> pb.SignedHeader:
    header = signed.header
    return pb.SignedHeader(
        member=header.member,
        round=header.round,
        manifest_digest=header.manifest_digest,
        seeds_digest=header.seeds_digest,
        body_digest=header.body_digest,
        signature=signed.signature,
    )


def _signed_header(message: pb.SignedHeader) -> SignedHeader:
    header = ContributionHeader(
        member=_member(message.member),
        round=_round(message.round),
        manifest_digest=_digest(message.manifest_digest, "manifest digest"),
        seeds_digest=_digest(message.seeds_digest, "seeds digest"),
        body_digest=_digest(message.body_digest, "body digest"),
    )
    return SignedHeader(header, _exactly(message.signature, SIGNATURE_BYTES, "signature"))


def _manifest(message: pb.Manifest) -> Manifest:
    return Manifest(
        federation_digest=_digest(message.federation_digest, "federation digest"),
        round=_round(message.round),
        cohort=_members(message.cohort, at_least=MIN_COHORT, what="cohort"),
    )


def _aggregate_head(message: pb.AggregateHead) -> AggregateHead:
    seconds = message.aggregate_seconds
    if not (math.isfinite(seconds) and seconds >= 0):
        raise WireError("an aggregate's seconds are no duration")
    return AggregateHead(
        round=_round(message.round),
        contributors=_within(message.contributors, 1, MAX_COHORT, "number of contributors"),
        seeds_bytes=_within(message.seeds_bytes, 0, MAX_STREAM_BYTES, "length of the seeds"),
        body_bytes=_within(message.body_bytes, 1, MAX_STREAM_BYTES, "length of the body"),
        aggregate_seconds=seconds,
    )


def _within(value: int, lowest: int, highest: int, what: str) -> int:
    if not lowest <= value <= highest:
        raise WireError(f"a {what} is out of range", hint=f"it must lie between {lowest} and {highest}")
    return value


def _round(value: int) -> int:
    return _within(value, 1, MAX_ROUND, "round number")


def _exactly(value: bytes, length: int, what: str) -> bytes:
    if len(value) != length:
        raise WireError(f"a {what} has {len(value)} bytes", hint=f"it must have {length}")
    return value


def _digest(value: bytes, what: str) -> bytes:
    return _exactly(value, DIGEST_BYTES, what)


def _process(value: bytes) -> bytes:
    if len(value) != PROCESS_BYTES:
        raise WireError(
            "a member does not say which process it is",
            hint="install the same version of securefl everywhere",
        )
    return value


def _chunk(value: bytes) -> bytes:
    _within(len(value), 1, CHUNK_BYTES, "chunk's length")
    return value


def _member(value: str) -> str:
    if _MEMBER.fullmatch(value) is None:
        raise WireError("a member's id is malformed", hint="1 to 63 of a-z, 0-9, '-' and '_'")
    return value


def _members(values: Sequence[str], *, at_least: int, what: str) -> tuple[str, ...]:
    _within(len(values), at_least, MAX_COHORT, f"{what}'s length")
    members = tuple(_member(value) for value in values)
    if len(set(members)) != len(members):
        raise WireError(f"a {what} names a member twice")
    return members


def _words(value: str) -> str:
    if value != plain_words(value):
        raise WireError(
            "a peer's sentence is not plain", hint=f"one printable line of at most {MAX_WORDS} characters"
        )
    return value
