"""Contributions and aggregates as streams of parts: how they are cut, and how a reader puts them together.

The rule kept here: a reader knows beforehand how many bytes of what must come, takes the parts in one order
only, and refuses at the first part that is out of place or a byte too long; it never holds more than the
seeds. No I/O: callers move the messages and keep the bodies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from securefl.errors import ProtocolError, WireError
from securefl.protocol import wire_parts
from securefl.protocol.messages import CHUNK_BYTES, AggregateHeader, SignedHeader
from securefl.protocol.sections import StreamSizes


def check_sizes(declared: StreamSizes, expected: StreamSizes, *, what: str) -> None:
    """Compares what a peer declares with what the layout gives.

    Raises:
        WireError: if it declares other lengths.
    """
    if declared != expected:
        raise WireError(
            f"{what} declares {declared.seeds_bytes} bytes of seeds and {declared.body_bytes} of body",
            hint=f"the layout gives {expected.seeds_bytes} and {expected.body_bytes}",
        )


def chunks(data: bytes) -> Iterator[bytes]:
    """Cuts bytes into chunks of at most ``CHUNK_BYTES``; none for no bytes."""
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]


class Outgoing(Protocol):
    """A contribution to be sent, made while it is sent."""

    @property
    def round_number(self) -> int:
        """Number of the round that it is for."""
        ...

    @property
    def sizes(self) -> StreamSizes:
        """Lengths that it will have."""
        ...

    def body(self) -> Iterator[bytes]:
        """The body from its beginning, in pieces of any length; the same bytes at every call."""
        ...

    def ending(self) -> tuple[bytes, SignedHeader]:
        """The seeds and the signed header, once the whole body was taken."""
        ...


def contribution_messages(outgoing: Outgoing) -> Iterator[bytes]:
    """The messages of one contribution, each made when it is asked for."""
    sizes = outgoing.sizes
    yield wire_parts.encode_contribution_part(wire_parts.ContributionHead(outgoing.round_number, sizes))
    for piece in outgoing.body():
        for chunk in chunks(piece):
            yield wire_parts.encode_contribution_part(wire_parts.BodyChunk(chunk))
    seeds, signed = outgoing.ending()
    for chunk in chunks(seeds):
        yield wire_parts.encode_contribution_part(wire_parts.SeedsChunk(chunk))
    yield wire_parts.encode_contribution_part(signed)


def aggregate_preamble(header: AggregateHeader) -> Iterator[bytes]:
    """The messages of an aggregate up to its body."""
    yield wire_parts.encode_aggregate_part(
        wire_parts.AggregateHead(
            round_number=header.round_number,
            contributors=len(header.contributors),
            seeds_bytes=len(header.seeds[0]),
            body_bytes=header.body_bytes,
            aggregate_seconds=header.aggregate_seconds,
        )
    )
    for signed, seeds in zip(header.contributors, header.seeds, strict=True):
        yield wire_parts.encode_aggregate_part(signed)
        for chunk in chunks(seeds):
            yield wire_parts.encode_aggregate_part(wire_parts.SeedsChunk(chunk))


class ContributionReader:
    """Takes a contribution's messages one by one: head, body, seeds, signed header.

    Args:
        number: The open round.
        sizes: What its contributions measure.
    """

    def __init__(self, number: int, *, sizes: StreamSizes) -> None:
        self._number = number
        self._sizes = sizes
        self._begun = False
        self._body_bytes = 0
        self._seeds = bytearray()
        self._signed: SignedHeader | None = None

    @property
    def seeds(self) -> bytes:
        """The seeds so far."""
        return bytes(self._seeds)

    def receive(self, message: bytes) -> bytes:
        """The bytes of the body that one more message adds; b"" for any other part.

        Raises:
            WireError: if the message is malformed, out of place, or longer than what was declared.
            ProtocolError: if the contribution is for another round.
        """
        part = wire_parts.decode_contribution_part(message)
        if not self._begun:
            self._begin(part)
            return b""
        if self._signed is not None:
            raise WireError("a contribution goes on after its signed header")
        match part:
            case wire_parts.BodyChunk(data):
                return self._take_body(data)
            case wire_parts.SeedsChunk(data):
                self._take_seeds(data)
            case SignedHeader():
                self._check_complete()
                self._signed = part
            case wire_parts.ContributionHead():
                raise WireError("a contribution has two heads")
        return b""

    def finish(self) -> SignedHeader:
        """To be called when the stream has ended: the header, whose signature is still to be verified.

        Raises:
            WireError: if anything is missing.
        """
        self._check_complete()
        if self._signed is None:
            raise WireError("a contribution ended before its signed header")
        return self._signed

    def _begin(self, part: wire_parts.ContributionPart) -> None:
        if not isinstance(part, wire_parts.ContributionHead):
            raise WireError("a contribution does not begin with its head")
        if part.round_number != self._number:
            raise ProtocolError(f"a contribution to round {part.round_number} came in round {self._number}")
        check_sizes(part.sizes, self._sizes, what="a contribution")
        self._begun = True

    def _take_body(self, data: bytes) -> bytes:
        if self._seeds:
            raise WireError("a contribution's parts are out of order")
        self._body_bytes += len(data)
        if self._body_bytes > self._sizes.body_bytes:
            raise WireError("a contribution's body is longer than declared")
        return data

    def _take_seeds(self, data: bytes) -> None:
        self._check_body()
        self._seeds += data
        if len(self._seeds) > self._sizes.seeds_bytes:
            raise WireError("a contribution's seeds are longer than declared")

    def _check_body(self) -> None:
        if self._body_bytes != self._sizes.body_bytes:
            raise WireError(
                f"a contribution ended after {self._body_bytes} of {self._sizes.body_bytes} bytes of its body"
            )

    def _check_complete(self) -> None:
        self._check_body()
        if len(self._seeds) != self._sizes.seeds_bytes:
            raise WireError(
                f"a contribution ended after {len(self._seeds)} of {self._sizes.seeds_bytes} bytes of its seeds"
            )


class AggregateReader:
    """Takes an aggregate's messages one by one.

    Args:
        number: The round asked for.
        contributors: Size of its cohort.
        sizes: What its aggregate measures.
    """

    def __init__(self, number: int, *, contributors: int, sizes: StreamSizes) -> None:
        self._number = number
        self._count = contributors
        self._sizes = sizes
        self._head: wire_parts.AggregateHead | None = None
        self._contributors: list[SignedHeader] = []
        self._seeds: list[bytearray] = []
        self._body_bytes = 0

    def receive(self, message: bytes) -> bytes:
        """The bytes of the body that one message adds; b"" for the parts before it.

        Raises:
            WireError: if the message is malformed, out of place, or longer than what was declared.
        """
        part = wire_parts.decode_aggregate_part(message)
        match part:
            case wire_parts.AggregateHead():
                self._take_head(part)
            case SignedHeader():
                self._take_contributor(part)
            case wire_parts.SeedsChunk(data):
                self._take_seeds(data)
            case wire_parts.BodyChunk(data):
                return self._take_body(data)
        return b""

    def finish(self) -> AggregateHeader:
        """To be called when the stream has ended: the header, whose signatures are still to be verified.

        Raises:
            WireError: if bytes are missing.
        """
        if self._head is None or self._body_bytes != self._sizes.body_bytes:
            raise WireError(
                f"an aggregate ended after {self._body_bytes} of {self._sizes.body_bytes} bytes of its body"
            )
        return AggregateHeader(
            round_number=self._head.round_number,
            contributors=tuple(self._contributors),
            seeds=tuple(bytes(seeds) for seeds in self._seeds),
            body_bytes=self._body_bytes,
            aggregate_seconds=self._head.aggregate_seconds,
        )

    def _take_head(self, head: wire_parts.AggregateHead) -> None:
        if self._head is not None:
            raise WireError("an aggregate has two heads")
        if head.round_number != self._number or head.contributors != self._count:
            raise WireError(
                f"the aggregate is of round {head.round_number} and {head.contributors} contributors",
                hint=f"asked for was round {self._number} of {self._count}",
            )
        check_sizes(StreamSizes(head.seeds_bytes, head.body_bytes), self._sizes, what="an aggregate")
        self._head = head

    def _take_contributor(self, signed: SignedHeader) -> None:
        if self._head is None or not self._seeds_complete() or len(self._contributors) == self._count:
            raise WireError("an aggregate has a contributor where none belongs")
        self._contributors.append(signed)
        self._seeds.append(bytearray())

    def _take_seeds(self, data: bytes) -> None:
        if not self._seeds or len(self._seeds[-1]) + len(data) > self._sizes.seeds_bytes:
            raise WireError("an aggregate has seeds where none belong")
        self._seeds[-1] += data

    def _take_body(self, data: bytes) -> bytes:
        if self._head is None or len(self._contributors) != self._count or not self._seeds_complete():
            raise WireError("an aggregate's body begins before its contributors are complete")
        self._body_bytes += len(data)
        if self._body_bytes > self._sizes.body_bytes:
            raise WireError("an aggregate's body is longer than declared")
        return data

    def _seeds_complete(self) -> bool:
        return not self._seeds or len(self._seeds[-1]) == self._sizes.seeds_bytes
