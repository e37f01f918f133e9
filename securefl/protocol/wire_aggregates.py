"""Aggregates as streams: head, the seeds of all survivors, and the total from an offset on.

The rule kept here: a reader knows from the head's cohort how many bytes of what must come, takes the parts in one
order only, and refuses at the first one that is out of place or a byte too long; it never holds more than the head,
the seeds and one part of the total. No I/O; nothing is verified but forms and lengths.

Reference: ``protos/SPEC.md``, "AggregatePart".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import assert_never

from securefl.config.cohort import MAX_COHORT
from securefl.errors import WireError
from securefl.protocol import wire_fields as fields
from securefl.protocol import wire_signed as signed
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.calls import AggregateHead
from securefl.protocol.sections import StreamSizes
from securefl.protocol.wire_staging import PART_BYTES, BodyChunk, SeedsChunk, chunks
from securefl.v3 import aggregator_pb2 as pb

SizesOf = Callable[[Cohort], StreamSizes]
"""Gives the lengths that the aggregate of a round has for a cohort: seeds of each survivor, and the total."""


@dataclass(frozen=True, slots=True)
class AggregateBegin:
    """The first part of an aggregate: its head, but for the seeds, and their length for each survivor."""

    head: AggregateHead
    seeds_bytes: int


AggregatePart = AggregateBegin | SeedsChunk | BodyChunk


def encode_aggregate_part(part: AggregatePart) -> bytes:
    """The bytes of one part of an aggregate.

    Raises:
        ProtocolError: if something in the head belongs to another attempt or statement than what it stands in.
    """
    match part:
        case AggregateBegin():
            return fields.to_bytes(pb.AggregatePart(head=_written_head(part)))
        case SeedsChunk(data):
            return fields.to_bytes(pb.AggregatePart(seeds=data))
        case BodyChunk(data):
            return fields.to_bytes(pb.AggregatePart(body=data))
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
        return _read_head(message.head)
    if kind == "seeds":
        return SeedsChunk(fields.chunk(message.seeds))
    if kind == "body":
        return BodyChunk(fields.chunk(message.body))
    raise WireError("an aggregate's part is of no kind that this version knows")


def aggregate_preface(head: AggregateHead) -> Iterator[bytes]:
    """The messages of an aggregate up to its total."""
    seeds_bytes = len(head.seeds[0]) if head.seeds else 0
    yield encode_aggregate_part(AggregateBegin(replace(head, seeds=()), seeds_bytes))
    for chunk in chunks(b"".join(head.seeds), PART_BYTES):
        yield encode_aggregate_part(SeedsChunk(chunk))


class AggregateReader:
    """Takes an aggregate's messages one by one.

    Args:
        round_number: The round asked for.
        sizes_of: What its aggregate measures, given the cohort.
        offset: Place in the total of the first byte of it that comes.
    """

    def __init__(self, round_number: int, *, sizes_of: SizesOf, offset: int = 0) -> None:
        self._round_number = round_number
        self._sizes_of = sizes_of
        self._begin: AggregateBegin | None = None
        self._seeds = bytearray()
        self._place = offset

    @property
    def head(self) -> AggregateHead | None:
        """The head with its seeds, once all of them are there."""
        if self._begin is None or len(self._seeds) != self._all_seeds(self._begin):
            return None
        length = self._begin.seeds_bytes
        places = range(len(self._begin.head.headers))
        seeds = tuple(bytes(self._seeds[at * length : (at + 1) * length]) for at in places)
        return replace(self._begin.head, seeds=seeds)

    @property
    def total_digest(self) -> bytes | None:
        """The certified digest of the total (32 bytes), once the head is there."""
        return None if self._begin is None else self._begin.head.certificate.statement.total_digest

    def receive(self, message: bytes) -> bytes:
        """The bytes of the total that one message adds; b"" for the parts before it.

        Raises:
            WireError: if the message is malformed, out of place, or longer than what was declared.
            SecureFLError: whatever ``sizes_of`` raises for a cohort that cannot be.
        """
        part = decode_aggregate_part(message)
        match part:
            case AggregateBegin():
                self._take_begin(part)
            case SeedsChunk(data):
                self._take_seeds(data)
            case BodyChunk(data):
                return self._take_body(data)
            case _:
                assert_never(part)
        return b""

    def finish(self) -> AggregateHead:
        """To be called when the stream has ended: the head, whose signatures are still to be verified.

        Raises:
            WireError: if bytes are missing.
        """
        if (head := self.head) is None or self._place != head.body_bytes:
            raise WireError(f"an aggregate ended after {self._place} bytes of its total")
        return head

    def _take_begin(self, begin: AggregateBegin) -> None:
        if self._begin is not None:
            raise WireError("an aggregate has two heads")
        number = begin.head.cohort.attempt.round_number
        if number != self._round_number:
            raise WireError(f"the aggregate is of round {number}, not of {self._round_number}")
        sizes = self._sizes_of(begin.head.cohort)
        if (begin.seeds_bytes, begin.head.body_bytes) != (sizes.seeds_bytes, sizes.body_bytes):
            raise WireError(
                f"an aggregate declares {begin.seeds_bytes} bytes of seeds and {begin.head.body_bytes} of its total",
                hint=f"the layout gives {sizes.seeds_bytes} and {sizes.body_bytes}",
            )
        self._begin = begin

    def _take_seeds(self, data: bytes) -> None:
        if self._begin is None or len(self._seeds) + len(data) > self._all_seeds(self._begin):
            raise WireError("an aggregate has seeds where none belong")
        self._seeds += data

    def _take_body(self, data: bytes) -> bytes:
        if self._begin is None or len(self._seeds) != self._all_seeds(self._begin):
            raise WireError("an aggregate's total begins before its head is complete")
        self._place += len(data)
        if self._place > self._begin.head.body_bytes:
            raise WireError("an aggregate's total is longer than declared")
        return data

    @staticmethod
    def _all_seeds(begin: AggregateBegin) -> int:
        return begin.seeds_bytes * len(begin.head.headers)


def _written_head(begin: AggregateBegin) -> pb.AggregateHead:
    head = begin.head
    attempt = head.cohort.attempt
    statement = head.certificate.statement
    return pb.AggregateHead(
        cohort=signed.write_cohort(head.cohort),
        certificate=signed.write_certificate(head.certificate),
        headers=[signed.write_header(header, statement.attempt) for header in head.headers],
        reveals=[signed.write_reveal(reveal, attempt) for reveal in head.reveals],
        seeds_bytes=begin.seeds_bytes,
        body_bytes=head.body_bytes,
        aggregate_seconds=head.aggregate_seconds,
        settled=[signed.write_settled(each) for each in head.settled],
    )


def _read_head(message: pb.AggregateHead) -> AggregateBegin:
    cohort = signed.read_cohort(message.cohort)
    certificate = signed.read_certificate(message.certificate)
    signed.check_indices((each.index for each in certificate.statement.survivors), cohort)
    fields.within(len(message.reveals), 0, MAX_COHORT, "number of reveals")
    reveals = tuple(signed.read_reveal(reveal, cohort.attempt) for reveal in message.reveals)
    fields.different([reveal.body.signer for reveal in reveals], "list of reveals")
    head = AggregateHead(
        cohort=cohort,
        settled=signed.read_all_settled(message.settled),
        certificate=certificate,
        headers=signed.read_headers(message.headers, certificate.statement),
        seeds=(),
        reveals=reveals,
        body_bytes=fields.within(message.body_bytes, 1, fields.MAX_STREAM_BYTES, "length of the total"),
        aggregate_seconds=_seconds(message.aggregate_seconds),
    )
    seeds = fields.within(message.seeds_bytes, 0, fields.MAX_STREAM_BYTES, "length of the seeds")
    return AggregateBegin(head, seeds)


def _seconds(value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise WireError("an aggregate's seconds are no duration")
    return value
