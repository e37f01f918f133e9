"""Streams: what a reader takes, in which order, and how much of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contributions import Whole

from securefl.errors import WireError
from securefl.protocol import wire_parts
from securefl.protocol.messages import CHUNK_BYTES, AggregateHeader, ContributionHeader, SignedHeader
from securefl.protocol.sections import StreamSizes
from securefl.protocol.streams import (
    AggregateReader,
    ContributionReader,
    aggregate_preamble,
    chunks,
    contribution_messages,
)

DIGEST = b"d" * 32
SIZES = StreamSizes(seeds_bytes=8, body_bytes=20)


def signed(member: str, number: int = 1) -> SignedHeader:
    return SignedHeader(ContributionHeader(member, number, DIGEST, DIGEST, DIGEST), b"s" * 64)


def part(message: wire_parts.ContributionPart) -> bytes:
    return wire_parts.encode_contribution_part(message)


def piece(message: wire_parts.AggregatePart) -> bytes:
    return wire_parts.encode_aggregate_part(message)


HEAD = part(wire_parts.ContributionHead(1, SIZES))
HEADER = part(signed("client-1"))
SEEDS = part(wire_parts.SeedsChunk(b"s" * 8))
BODY = part(wire_parts.BodyChunk(b"b" * 20))


def read_contribution(messages: list[bytes], sizes: StreamSizes = SIZES) -> tuple[bytes, bytes]:
    reader = ContributionReader(1, sizes=sizes)
    body = b"".join(reader.receive(message) for message in messages)
    assert reader.finish() == signed("client-1")
    return reader.seeds, body


@given(seeds=st.binary(max_size=40), body=st.binary(min_size=1, max_size=90), cut=st.integers(1, 30))
def test_a_contribution_comes_out_as_it_went_in(seeds: bytes, body: bytes, cut: int) -> None:
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)]
    messages = list(contribution_messages(Whole(signed("client-1"), seeds, tuple(pieces))))
    sizes = StreamSizes(seeds_bytes=len(seeds), body_bytes=len(body))
    assert read_contribution(messages, sizes) == (seeds, body)


@pytest.mark.parametrize(
    "messages",
    [
        [BODY, HEAD, SEEDS, HEADER],
        [HEAD, SEEDS, BODY, HEADER],
        [HEAD, HEAD, BODY, SEEDS, HEADER],
        [HEAD, BODY, HEAD, SEEDS, HEADER],
        [HEAD, BODY, SEEDS, SEEDS, HEADER],
        [HEAD, BODY, part(wire_parts.BodyChunk(b"b")), SEEDS, HEADER],
        [HEAD, BODY, SEEDS, part(wire_parts.BodyChunk(b"b")), HEADER],
        [HEAD, BODY, part(wire_parts.SeedsChunk(b"s" * 9)), HEADER],
        [HEAD, BODY, part(wire_parts.SeedsChunk(b"s" * 7)), HEADER],
        [HEAD, part(wire_parts.BodyChunk(b"b" * 21)), SEEDS, HEADER],
        [HEAD, part(wire_parts.BodyChunk(b"b" * 19)), SEEDS, HEADER],
        [HEAD, SEEDS, HEADER],
        [HEAD, BODY, HEADER],
        [HEAD, BODY, SEEDS],
        [HEAD, BODY, SEEDS, HEADER, HEADER],
        [HEAD, BODY, SEEDS, HEADER, part(wire_parts.BodyChunk(b"b"))],
        [HEADER, HEAD, BODY, SEEDS],
        [HEAD],
        [part(wire_parts.ContributionHead(1, StreamSizes(8, 21))), BODY, SEEDS, HEADER],
        [part(wire_parts.ContributionHead(1, StreamSizes(7, 20))), BODY, SEEDS, HEADER],
    ],
    ids=[
        "body first",
        "seeds before body",
        "two heads",
        "head after body",
        "seeds twice",
        "body one byte too long",
        "body after seeds",
        "seeds one byte too long",
        "seeds one byte short",
        "body longer than declared",
        "body one byte short",
        "no body",
        "no seeds",
        "no signed header",
        "two signed headers",
        "body after the signed header",
        "signed header first",
        "only a head",
        "other body length declared",
        "other seeds length declared",
    ],
)
def test_a_contribution_out_of_order_or_length_is_refused(messages: list[bytes]) -> None:
    with pytest.raises(WireError):
        read_contribution(messages)


def test_a_reader_refuses_the_first_byte_too_many_not_the_last() -> None:
    reader = ContributionReader(1, sizes=SIZES)
    assert reader.receive(HEAD) == b""
    assert reader.receive(BODY) == b"b" * 20
    with pytest.raises(WireError, match="longer"):
        reader.receive(part(wire_parts.BodyChunk(b"b")))


def test_a_cut_covers_the_bytes_in_chunks_of_the_limit() -> None:
    data = bytes(range(256)) * 8193
    cut = list(chunks(data))
    assert b"".join(cut) == data
    assert max(map(len, cut)) == CHUNK_BYTES
    assert list(chunks(b"")) == []


def aggregate(members: list[str], seeds_bytes: int = 8, number: int = 1) -> AggregateHeader:
    return AggregateHeader(
        round_number=number,
        contributors=tuple(signed(member, number) for member in members),
        seeds=tuple(bytes([at]) * seeds_bytes for at in range(len(members))),
        body_bytes=20,
        aggregate_seconds=0.25,
    )


def read_aggregate(messages: list[bytes], sizes: StreamSizes = SIZES) -> tuple[AggregateHeader, bytes]:
    reader = AggregateReader(1, contributors=3, sizes=sizes)
    body = b"".join(reader.receive(message) for message in messages)
    return reader.finish(), body


CONTRIBUTORS = ["client-1", "client-2", "client-3"]
PREAMBLE = list(aggregate_preamble(aggregate(CONTRIBUTORS)))
RESIDUES = piece(wire_parts.BodyChunk(b"b" * 20))


@pytest.mark.parametrize("seeds_bytes", [0, 8, CHUNK_BYTES + 1])
def test_an_aggregate_comes_out_as_it_went_in(seeds_bytes: int) -> None:
    header = aggregate(CONTRIBUTORS, seeds_bytes)
    sizes = StreamSizes(seeds_bytes=seeds_bytes, body_bytes=20)
    assert read_aggregate([*aggregate_preamble(header), RESIDUES], sizes) == (header, b"b" * 20)


@pytest.mark.parametrize(
    "messages",
    [
        [*PREAMBLE],
        [*PREAMBLE, RESIDUES, RESIDUES],
        [*PREAMBLE, PREAMBLE[0], RESIDUES],
        [*PREAMBLE, PREAMBLE[1], PREAMBLE[2], RESIDUES],
        [*PREAMBLE, PREAMBLE[2], RESIDUES],
        [*PREAMBLE[:-1], RESIDUES],
        [*PREAMBLE[:-2], RESIDUES],
        [PREAMBLE[0], PREAMBLE[1], PREAMBLE[1], *PREAMBLE[2:], RESIDUES],
        [PREAMBLE[0], PREAMBLE[2], *PREAMBLE[1:], RESIDUES],
        [*PREAMBLE[1:], RESIDUES],
        [RESIDUES],
        [],
        [*aggregate_preamble(aggregate(CONTRIBUTORS, number=2)), RESIDUES],
        [*aggregate_preamble(aggregate(CONTRIBUTORS[:2])), RESIDUES],
        [*aggregate_preamble(aggregate(CONTRIBUTORS, seeds_bytes=9)), RESIDUES],
    ],
    ids=[
        "no body",
        "body twice",
        "two heads",
        "a contributor too many",
        "seeds too many",
        "the last seeds missing",
        "a contributor missing",
        "a contributor without seeds",
        "seeds before the contributor",
        "no head",
        "only a body",
        "nothing",
        "another round",
        "another number of contributors",
        "other seeds length declared",
    ],
)
def test_an_aggregate_out_of_order_or_length_is_refused(messages: list[bytes]) -> None:
    with pytest.raises(WireError):
        read_aggregate(messages)
