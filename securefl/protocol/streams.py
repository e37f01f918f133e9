"""Contributions and aggregates as streams of parts: how they are cut, and how a reader puts them together.

The rule kept here: a reader knows beforehand how many bytes of what must come, takes the parts in one order
only, and refuses at the first part that is out of place or a byte too long; it never holds more than the
seeds. No I/O: callers move the messages and keep the bodies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from securefl.errors import WireError
from securefl.protocol import wire
from securefl.protocol.messages import CHUNK_BYTES, AggregateHeader, SignedHeader


@dataclass(frozen=True, slots=True)
class StreamSizes:
    """What a contribution or an aggregate of one round must measure, known from the layout.

    Attributes:
        seeds_bytes: Seeds of one contributor.
        body_bytes: Residues and MACs.
    """

    seeds_bytes: int
    body_bytes: int

    def check(self, *, seeds_bytes: int, body_bytes: int, what: str) -> None:
        """Compares what a peer declares.

        Raises:
            WireError: if it declares other lengths.
        """
        if (seeds_bytes, body_bytes) != (self.seeds_bytes, self.body_bytes):
            raise WireError(
                f"{what} declares {seeds_bytes} bytes of seeds and {body_bytes} of body",
                hint=f"the layout gives {self.seeds_bytes} and {self.body_bytes}",
            )


def chunks(data: bytes) -> Iterator[bytes]:
    """Cuts bytes into chunks of at most ``CHUNK_BYTES``; none for no bytes."""
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]


def contribution_messages(
    signed: SignedHeader, seeds: bytes, *, body: Iterable[bytes], body_bytes: int
) -> Iterator[bytes]:
    """The messages of one contribution; ``body`` comes in chunks of at most ``CHUNK_BYTES``."""
    yield wire.encode_contribution_part(wire.ContributionHead(signed, len(seeds), body_bytes))
    for chunk in chunks(seeds):
        yield wire.encode_contribution_part(wire.SeedsChunk(chunk))
    for chunk in body:
        yield wire.encode_contribution_part(wire.BodyChunk(chunk))


def aggregate_preamble(header: AggregateHeader) -> Iterator[bytes]:
    """The messages of an aggregate up to its body."""
    yield wire.encode_aggregate_part(
        wire.AggregateHead(
            round=header.round,
            contributors=len(header.contributors),
            seeds_bytes=len(header.seeds[0]),
            body_bytes=header.body_bytes,
            aggregate_seconds=header.aggregate_seconds,
        )
    )
    for signed, seeds in zip(header.contributors, header.seeds, strict=True):
        yield wire.encode_aggregate_part(signed)
        for chunk in chunks(seeds):
            yield wire.encode_aggregate_part(wire.SeedsChunk(chunk))


class ContributionReader:
    """Takes a contribution's messages one by one.

    Args:
        sizes: What the open round's contributions measure.
    """

    def __init__(self, sizes: StreamSizes) -> None:
        self._sizes = sizes
        self._seeds = bytearray()
        self._body_bytes = 0

    @property
    def seeds(self) -> bytes:
        """The seeds so far."""
        return bytes(self._seeds)

    @property
    def seeds_complete(self) -> bool:
        """Whether only body remains to come."""
        return len(self._seeds) == self._sizes.seeds_bytes

    def begin(self, message: bytes) -> SignedHeader:
        """Takes the first message; the signature is still to be verified.

        Raises:
            WireError: if it is malformed, no head, or declares other lengths than the layout's.
        """
        part = wire.decode_contribution_part(message)
        if not isinstance(part, wire.ContributionHead):
            raise WireError("a contribution does not begin with its head")
        self._sizes.check(seeds_bytes=part.seeds_bytes, body_bytes=part.body_bytes, what="a contribution")
        return part.signed

    def receive(self, message: bytes) -> bytes:
        """The bytes of the body that one more message adds; b"" for a part of the seeds.

        Raises:
            WireError: if the message is malformed, out of place, or longer than what was declared.
        """
        part = wire.decode_contribution_part(message)
        if isinstance(part, wire.SeedsChunk):
            self._seeds += part.data
            if len(self._seeds) > self._sizes.seeds_bytes:
                raise WireError("a contribution's seeds are longer than declared")
            return b""
        if not isinstance(part, wire.BodyChunk) or not self.seeds_complete:
            raise WireError("a contribution's parts are out of order")
        self._body_bytes += len(part.data)
        if self._body_bytes > self._sizes.body_bytes:
            raise WireError("a contribution's body is longer than declared")
        return part.data

    def finish(self) -> None:
        """To be called when the stream has ended.

        Raises:
            WireError: if bytes are missing.
        """
        if self._body_bytes != self._sizes.body_bytes:
            raise WireError(
                f"a contribution ended after {self._body_bytes} of {self._sizes.body_bytes} bytes of its body"
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
        self._head: wire.AggregateHead | None = None
        self._contributors: list[SignedHeader] = []
        self._seeds: list[bytearray] = []
        self._body_bytes = 0

    def receive(self, message: bytes) -> bytes:
        """The bytes of the body that one message adds; b"" for the parts before it.

        Raises:
            WireError: if the message is malformed, out of place, or longer than what was declared.
        """
        part = wire.decode_aggregate_part(message)
        match part:
            case wire.AggregateHead():
                self._take_head(part)
            case SignedHeader():
                self._take_contributor(part)
            case wire.SeedsChunk(data):
                self._take_seeds(data)
            case wire.BodyChunk(data):
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
            round=self._head.round,
            contributors=tuple(self._contributors),
            seeds=tuple(bytes(seeds) for seeds in self._seeds),
            body_bytes=self._body_bytes,
            aggregate_seconds=self._head.aggregate_seconds,
        )

    def _take_head(self, head: wire.AggregateHead) -> None:
        if self._head is not None:
            raise WireError("an aggregate has two heads")
        if head.round != self._number or head.contributors != self._count:
            raise WireError(
                f"the aggregate is of round {head.round} and {head.contributors} contributors",
                hint=f"asked for was round {self._number} of {self._count}",
            )
        self._sizes.check(seeds_bytes=head.seeds_bytes, body_bytes=head.body_bytes, what="an aggregate")
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
