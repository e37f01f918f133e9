"""Parts of contributions and aggregates to protobuf bytes and back: the border that streams cross.

The rule kept here: as in ``wire``, what a ``decode_`` function returns is complete and within its limits. Exact sizes
and the order of the parts depend on the federation; ``streams`` checks them.

Terms: a *part* is one message of a stream; a *chunk* is a part that carries raw bytes.
Reference: ``protos/SPEC.md`` lists every field with its limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, assert_never

from securefl.config.cohort import MAX_COHORT
from securefl.errors import WireError
from securefl.protocol import wire_fields as fields
from securefl.protocol.messages import CHUNK_BYTES, SIGNATURE_BYTES, ContributionHeader, SignedHeader
from securefl.protocol.sections import StreamSizes
from securefl.v2 import aggregator_pb2 as pb

MAX_STREAM_BYTES: Final = 1 << 40
"""No stream declares more than this; the exact size comes from the layout."""


@dataclass(frozen=True, slots=True)
class ContributionHead:
    """The first part of a contribution: the round that it is for, and the lengths of what follows."""

    round_number: int
    sizes: StreamSizes


@dataclass(frozen=True, slots=True)
class AggregateHead:
    """The first part of an aggregate: how many contributors and bytes follow.

    Attributes:
        round_number: Number of the round.
        contributors: How many signed headers follow.
        seeds_bytes: Length of the seeds behind each of them.
        body_bytes: Length of the body, residues and MACs, behind the last.
        aggregate_seconds: What the server spent on addition.
    """

    round_number: int
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


def encode_contribution_part(part: ContributionPart) -> bytes:
    """The bytes of one part of a contribution."""
    match part:
        case ContributionHead(number, sizes):
            head = pb.ContributionHead(
                round_number=number, seeds_bytes=sizes.seeds_bytes, body_bytes=sizes.body_bytes
            )
            return fields.to_bytes(pb.ContributionPart(head=head))
        case SignedHeader():
            return fields.to_bytes(pb.ContributionPart(header=_wire_header(part)))
        case SeedsChunk(chunk):
            return fields.to_bytes(pb.ContributionPart(seeds=chunk))
        case BodyChunk(chunk):
            return fields.to_bytes(pb.ContributionPart(body=chunk))
        case _:
            assert_never(part)


def decode_contribution_part(data: bytes) -> ContributionPart:
    """The inverse of ``encode_contribution_part``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.ContributionPart, data)
    kind = message.WhichOneof("part")
    if kind == "head":
        head = message.head
        sizes = StreamSizes(
            seeds_bytes=fields.within(head.seeds_bytes, 0, MAX_STREAM_BYTES, "length of the seeds"),
            body_bytes=fields.within(head.body_bytes, 1, MAX_STREAM_BYTES, "length of the body"),
        )
        return ContributionHead(fields.round_number(head), sizes)
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
                round_number=number,
                contributors=contributors,
                seeds_bytes=seeds_bytes,
                body_bytes=body_bytes,
                aggregate_seconds=aggregate_seconds,
            )
            return fields.to_bytes(pb.AggregatePart(head=head))
        case SignedHeader():
            return fields.to_bytes(pb.AggregatePart(contributor=_wire_header(part)))
        case SeedsChunk(chunk):
            return fields.to_bytes(pb.AggregatePart(seeds=chunk))
        case BodyChunk(chunk):
            return fields.to_bytes(pb.AggregatePart(body=chunk))
        case _:
            assert_never(part)


def decode_aggregate_part(data: bytes) -> AggregatePart:
    """The inverse of ``encode_aggregate_part``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.AggregatePart, data)
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


def _wire_header(signed: SignedHeader) -> pb.SignedHeader:
    header = signed.header
    return pb.SignedHeader(
        member=header.member,
        round_number=header.round_number,
        manifest_digest=header.manifest_digest,
        seeds_digest=header.seeds_digest,
        body_digest=header.body_digest,
        signature=signed.signature,
    )


def _signed_header(message: pb.SignedHeader) -> SignedHeader:
    header = ContributionHeader(
        member=fields.member_id(message.member),
        round_number=fields.round_number(message),
        manifest_digest=fields.digest(message.manifest_digest, "manifest digest"),
        seeds_digest=fields.digest(message.seeds_digest, "seeds digest"),
        body_digest=fields.digest(message.body_digest, "body digest"),
    )
    return SignedHeader(header, fields.exactly(message.signature, SIGNATURE_BYTES, "signature"))


def _aggregate_head(message: pb.AggregateHead) -> AggregateHead:
    seconds = message.aggregate_seconds
    if not (math.isfinite(seconds) and seconds >= 0):
        raise WireError("an aggregate's seconds are no duration")
    return AggregateHead(
        round_number=fields.round_number(message),
        contributors=fields.within(message.contributors, 1, MAX_COHORT, "number of contributors"),
        seeds_bytes=fields.within(message.seeds_bytes, 0, MAX_STREAM_BYTES, "length of the seeds"),
        body_bytes=fields.within(message.body_bytes, 1, MAX_STREAM_BYTES, "length of the body"),
        aggregate_seconds=seconds,
    )


def _chunk(value: bytes) -> bytes:
    fields.within(len(value), 1, CHUNK_BYTES, "chunk's length")
    return value
