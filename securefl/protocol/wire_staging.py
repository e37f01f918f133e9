"""Contributions as streams: head, packets, seeds, and the body from an offset on.

The rule kept here: a reader knows beforehand how many bytes of what must come, takes the parts in one order only, and
refuses at the first one that is out of place or a byte too long; it never holds more than packets, seeds and one part
of the body. No I/O: callers move the messages and keep the body.

Terms: a *part* is one message of a stream; a *chunk* is a part that carries raw bytes.
Reference: ``protos/SPEC.md``, "Staging".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from securefl.config.cohort import MAX_COHORT, MIN_COHORT
from securefl.errors import WireError
from securefl.protocol import wire_fields as fields
from securefl.protocol import wire_signed as signed
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import StageContribution
from securefl.v3 import aggregator_pb2 as pb

PART_BYTES: Final = 64 << 10
"""Length that bodies are cut to: what a line of 1 Mbit/s carries in a second, so that a broken one loses little."""
_PACKETS_PER_PART: Final = PART_BYTES // signed.MAX_SEALED


@dataclass(frozen=True, slots=True)
class StageSizes:
    """Lengths that a member's contribution to one attempt must have.

    Attributes:
        seeds_bytes: Seeds of all its ciphertexts; 0 under ``kahe`` and ``none``.
        body_bytes: The body.
        packet_bytes: Length of each packet, in the cohort's order, 0 for the member's own; none at all without shares.
    """

    seeds_bytes: int
    body_bytes: int
    packet_bytes: tuple[int, ...] = ()

    @property
    def preface_bytes(self) -> int:
        """Everything that every stream begins with: packets and seeds."""
        return self.seeds_bytes + sum(self.packet_bytes)


@dataclass(frozen=True, slots=True)
class ContributionHead:
    """The first part of a contribution.

    Attributes:
        attempt: The attempt.
        cohort_digest: A (32 bytes).
        body_digest: SHA-256 of the whole body (32 bytes).
        packets: How many packets follow, the own empty one counted; 0, or the cohort's size.
        seeds_bytes: Length of the seeds.
        body_offset: Place in the body of the first byte of it that follows.
    """

    attempt: Attempt
    cohort_digest: bytes
    body_digest: bytes
    packets: int
    seeds_bytes: int
    body_offset: int


@dataclass(frozen=True, slots=True)
class PacketsChunk:
    """Some of the packets, in the cohort's order; the member's own one is empty."""

    packets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SeedsChunk:
    """A part of the seeds, 1 to ``CHUNK_BYTES`` bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class BodyChunk:
    """A part of the body, 1 to ``CHUNK_BYTES`` bytes."""

    data: bytes


ContributionPart = ContributionHead | PacketsChunk | SeedsChunk | BodyChunk


def encode_contribution_part(part: ContributionPart) -> bytes:
    """The bytes of one part of a contribution."""
    match part:
        case ContributionHead():
            return fields.to_bytes(pb.ContributionPart(head=_written_head(part)))
        case PacketsChunk(packets):
            return fields.to_bytes(pb.ContributionPart(packets=pb.PacketsChunk(packets=packets)))
        case SeedsChunk(data):
            return fields.to_bytes(pb.ContributionPart(seeds=data))
        case BodyChunk(data):
            return fields.to_bytes(pb.ContributionPart(body=data))
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
        return _read_head(message.head)
    if kind == "packets":
        return _read_packets(message.packets)
    if kind == "seeds":
        return SeedsChunk(fields.chunk(message.seeds))
    if kind == "body":
        return BodyChunk(fields.chunk(message.body))
    raise WireError("a contribution's part is of no kind that this version knows")


def chunks(data: bytes, size: int = fields.CHUNK_BYTES) -> Iterator[bytes]:
    """Cut bytes into chunks of at most ``size``; none for no bytes."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def contribution_messages(
    contribution: StageContribution, *, body: Iterable[bytes], offset: int
) -> Iterator[bytes]:
    """The messages of one stream, each made when it is asked for.

    Args:
        contribution: What the stream begins with.
        body: The body from the offset on, in pieces of any length.
        offset: How much of the body the server holds.
    """
    head = ContributionHead(
        attempt=contribution.attempt,
        cohort_digest=contribution.cohort_digest,
        body_digest=contribution.body_digest,
        packets=len(contribution.packets),
        seeds_bytes=len(contribution.seeds),
        body_offset=offset,
    )
    yield encode_contribution_part(head)
    for start in range(0, len(contribution.packets), _PACKETS_PER_PART):
        some = contribution.packets[start : start + _PACKETS_PER_PART]
        yield encode_contribution_part(PacketsChunk(some))
    for chunk in chunks(contribution.seeds, PART_BYTES):
        yield encode_contribution_part(SeedsChunk(chunk))
    for piece in body:
        for chunk in chunks(piece, PART_BYTES):
            yield encode_contribution_part(BodyChunk(chunk))


class ContributionReader:
    """Takes the messages of one stream after its head.

    Args:
        head: The stream's first part.
        sizes: What this member's contribution to this attempt measures.

    Raises:
        WireError: if the head declares other lengths.
    """

    def __init__(self, head: ContributionHead, sizes: StageSizes) -> None:
        _check_head(head, sizes)
        self._head = head
        self._sizes = sizes
        self._packets: list[bytes] = []
        self._seeds = bytearray()
        self._place = head.body_offset

    @property
    def contribution(self) -> StageContribution | None:
        """Everything before the body, once all of it is there."""
        if len(self._packets) != len(self._sizes.packet_bytes) or len(self._seeds) != self._sizes.seeds_bytes:
            return None
        return StageContribution(
            attempt=self._head.attempt,
            cohort_digest=self._head.cohort_digest,
            body_digest=self._head.body_digest,
            seeds=bytes(self._seeds),
            packets=tuple(self._packets),
        )

    @property
    def place(self) -> int:
        """Place in the body behind the last byte that came."""
        return self._place

    def receive(self, message: bytes) -> bytes:
        """The bytes of the body that one more message adds; b"" for any other part.

        Raises:
            WireError: if the message is malformed, out of place, or longer than what was declared.
        """
        part = decode_contribution_part(message)
        match part:
            case PacketsChunk(packets):
                self._take_packets(packets)
            case SeedsChunk(data):
                self._take_seeds(data)
            case BodyChunk(data):
                return self._take_body(data)
            case ContributionHead():
                raise WireError("a contribution has two heads")
            case _:
                assert_never(part)
        return b""

    def _take_packets(self, packets: tuple[bytes, ...]) -> None:
        if self._seeds or self._place != self._head.body_offset:
            raise WireError("a contribution's parts are out of order")
        start = len(self._packets)
        if tuple(map(len, packets)) != self._sizes.packet_bytes[start : start + len(packets)]:
            raise WireError(
                "a contribution's packets are not of the cohort's lengths",
                hint="one of the same length for every other member, and an empty one in the own place",
            )
        self._packets += packets

    def _take_seeds(self, data: bytes) -> None:
        if len(self._packets) != len(self._sizes.packet_bytes) or self._place != self._head.body_offset:
            raise WireError("a contribution's parts are out of order")
        self._seeds += data
        if len(self._seeds) > self._sizes.seeds_bytes:
            raise WireError("a contribution's seeds are longer than declared")

    def _take_body(self, data: bytes) -> bytes:
        if len(self._packets) != len(self._sizes.packet_bytes) or len(self._seeds) != self._sizes.seeds_bytes:
            raise WireError("a contribution's body begins before its packets and seeds are complete")
        self._place += len(data)
        if self._place > self._sizes.body_bytes:
            raise WireError(f"a contribution's body is longer than {self._sizes.body_bytes} bytes")
        return data


def _check_head(head: ContributionHead, sizes: StageSizes) -> None:
    if (head.packets, head.seeds_bytes) != (len(sizes.packet_bytes), sizes.seeds_bytes):
        raise WireError(
            f"a contribution declares {head.packets} packets and {head.seeds_bytes} bytes of seeds",
            hint=f"the attempt has {len(sizes.packet_bytes)} and {sizes.seeds_bytes}",
        )
    if head.body_offset > sizes.body_bytes:
        raise WireError(f"a contribution goes on behind the {sizes.body_bytes} bytes of its body")


def _written_head(head: ContributionHead) -> pb.ContributionHead:
    return pb.ContributionHead(
        attempt=signed.write_attempt(head.attempt),
        cohort_digest=head.cohort_digest,
        body_digest=head.body_digest,
        packets=head.packets,
        seeds_bytes=head.seeds_bytes,
        body_offset=head.body_offset,
    )


def _read_head(message: pb.ContributionHead) -> ContributionHead:
    packets = fields.within(message.packets, 0, MAX_COHORT, "number of packets")
    if 0 < packets < MIN_COHORT:
        raise WireError("a contribution's packets are fewer than any cohort's")
    return ContributionHead(
        attempt=signed.read_attempt(message.attempt),
        cohort_digest=fields.digest(message.cohort_digest, "cohort digest"),
        body_digest=fields.digest(message.body_digest, "body digest"),
        packets=packets,
        seeds_bytes=fields.within(message.seeds_bytes, 0, fields.MAX_STREAM_BYTES, "length of the seeds"),
        body_offset=fields.within(message.body_offset, 0, fields.MAX_STREAM_BYTES, "offset"),
    )


def _read_packets(message: pb.PacketsChunk) -> PacketsChunk:
    fields.count(message.packets, at_least=1, what="list of packets")
    return PacketsChunk(tuple(signed.sealed_share(packet) if packet else b"" for packet in message.packets))
