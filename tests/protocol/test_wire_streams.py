"""Streams of version 3 put together: one order, exact lengths, from any offset; all else is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.rounds import ATTEMPT, BODY, HEAD, PACKETS, SIZES, STAGE, STAGE_SIZES, sizes_of

from securefl.errors import WireError
from securefl.protocol import wire_staging as staging
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import AggregateHead, Packets, StageContribution
from securefl.protocol.sections import StreamSizes
from securefl.protocol.wire_aggregates import AggregateReader, aggregate_preface, encode_aggregate_part
from securefl.protocol.wire_packets import PACKETS_PER_PART, PacketsReader, encode_packets, packets_messages


def staged(offset: int = 0) -> list[bytes]:
    return list(staging.contribution_messages(STAGE, body=[BODY[offset:]], offset=offset))


def reader_of(messages: list[bytes], sizes: staging.StageSizes = STAGE_SIZES) -> staging.ContributionReader:
    head = staging.decode_contribution_part(messages[0])
    assert isinstance(head, staging.ContributionHead)
    return staging.ContributionReader(head, sizes)


@pytest.mark.parametrize("offset", [0, 1, 1000, len(BODY) - 1, len(BODY)])
def test_a_contribution_is_put_together_from_every_offset(offset: int) -> None:
    messages = staged(offset)
    reader = reader_of(messages)
    body = b"".join(reader.receive(message) for message in messages[1:])
    assert (reader.contribution, body, reader.place) == (STAGE, BODY[offset:], len(BODY))


def test_a_contribution_without_packets_and_seeds_is_complete_with_its_head() -> None:
    bare = replace(STAGE, seeds=b"", packets=())
    messages = list(staging.contribution_messages(bare, body=[], offset=len(BODY)))
    assert reader_of(messages, staging.StageSizes(0, len(BODY))).contribution == bare


def test_packets_of_a_thousand_members_travel_in_parts() -> None:
    packets = (b"", *(bytes([n % 256]) * 4112 for n in range(999)))
    sizes = staging.StageSizes(0, 5, tuple(map(len, packets)))
    whole = StageContribution(ATTEMPT, b"a" * 32, b"b" * 32, b"", packets)
    messages = list(staging.contribution_messages(whole, body=[b"12345"], offset=0))
    assert max(map(len, messages)) < 200_000
    reader = reader_of(messages, sizes)
    assert b"".join(map(reader.receive, messages[1:])) == b"12345"
    assert reader.contribution == whole


@pytest.mark.parametrize(
    "order",
    [(0, 2), (0, 3), (0, 1, 3), (0, 1, 1), (0, 1, 2, 2), (0, 0), (0, 1, 2, 3, 1), (0, 1, 2, 3, 2)],
    ids=str,
)
def test_parts_out_of_order_or_repeated_are_refused(order: tuple[int, ...]) -> None:
    messages = staged()
    reader = reader_of(messages)
    for place in order[1:-1]:
        reader.receive(messages[place])
    with pytest.raises(WireError):
        reader.receive(messages[order[-1]])


def test_a_body_one_byte_too_long_is_refused() -> None:
    messages = staged()
    reader = reader_of(messages)
    for message in messages[1:]:
        reader.receive(message)
    with pytest.raises(WireError, match="longer"):
        reader.receive(staging.encode_contribution_part(staging.BodyChunk(b"x")))


@pytest.mark.parametrize(
    "sizes",
    [
        replace(STAGE_SIZES, seeds_bytes=STAGE_SIZES.seeds_bytes + 1),
        replace(STAGE_SIZES, packet_bytes=()),
        replace(STAGE_SIZES, packet_bytes=(*STAGE_SIZES.packet_bytes, 20)),
        replace(STAGE_SIZES, body_bytes=0),
    ],
    ids=["seeds", "no packets", "another packet", "behind the body"],
)
def test_a_head_that_declares_other_lengths_is_refused(sizes: staging.StageSizes) -> None:
    with pytest.raises(WireError):
        reader_of(staged(1), sizes)


@pytest.mark.parametrize("packets", [PACKETS[::-1], (*PACKETS[:2], PACKETS[2] + b"xx"), (b"", b"", b"")])
def test_packets_of_other_lengths_or_in_another_order_are_refused(packets: tuple[bytes, ...]) -> None:
    messages = list(staging.contribution_messages(replace(STAGE, packets=packets), body=[], offset=0))
    with pytest.raises(WireError, match="not of the cohort's lengths"):
        reader_of(messages).receive(messages[1])


def body_parts(offset: int) -> list[bytes]:
    return [
        encode_aggregate_part(staging.BodyChunk(piece)) for piece in staging.chunks(BODY[offset:], 70_000)
    ]


@pytest.mark.parametrize("offset", [0, 1, len(BODY)])
def test_an_aggregate_is_put_together_from_every_offset(offset: int) -> None:
    reader = AggregateReader(1, sizes_of=sizes_of, offset=offset)
    body = b"".join(reader.receive(part) for part in (*aggregate_preface(HEAD), *body_parts(offset)))
    assert (reader.finish(), body) == (HEAD, BODY[offset:])


@pytest.mark.parametrize(
    "sizes",
    [StreamSizes(SIZES.seeds_bytes, 1), StreamSizes(SIZES.seeds_bytes + 1, SIZES.body_bytes)],
)
def test_an_aggregate_of_another_size_is_refused_at_its_head(sizes: StreamSizes) -> None:
    with pytest.raises(WireError, match="declares"):
        AggregateReader(1, sizes_of=lambda cohort: sizes).receive(next(aggregate_preface(HEAD)))


def test_an_aggregate_of_another_round_is_refused() -> None:
    with pytest.raises(WireError, match="not of 2"):
        AggregateReader(2, sizes_of=sizes_of).receive(next(aggregate_preface(HEAD)))


def test_an_aggregate_that_ends_too_early_is_refused() -> None:
    reader = AggregateReader(1, sizes_of=sizes_of)
    for part in (*aggregate_preface(HEAD), *body_parts(0)[:-1]):
        reader.receive(part)
    with pytest.raises(WireError, match="ended after"):
        reader.finish()


@pytest.mark.parametrize(
    "order", [(1,), (2,), (0, 2), (0, 0), (0, 1, 1), (0, 1, 2, 1), (0, 1, 2, 2)], ids=str
)
def test_an_aggregates_parts_out_of_order_or_repeated_are_refused(order: tuple[int, ...]) -> None:
    parts = [*aggregate_preface(HEAD), encode_aggregate_part(staging.BodyChunk(BODY))]
    reader = AggregateReader(1, sizes_of=sizes_of)
    for place in order[:-1]:
        reader.receive(parts[place])
    with pytest.raises(WireError):
        reader.receive(parts[order[-1]])


def test_an_aggregate_without_seeds_gives_empty_ones() -> None:
    bare = replace(HEAD, seeds=(b"",) * 3)
    reader = AggregateReader(1, sizes_of=lambda cohort: StreamSizes(0, len(BODY)))
    for part in aggregate_preface(bare):
        reader.receive(part)
    assert isinstance(reader.head, AggregateHead)
    assert reader.head.seeds == (b"",) * 3


def test_a_survivor_beyond_the_cohort_is_refused() -> None:
    statement = HEAD.certificate.statement
    far = replace(statement, survivors=(*statement.survivors[:2], replace(statement.survivors[2], index=3)))
    votes = tuple(
        replace(vote, body=replace(vote.body, statement_digest=far.digest)) for vote in HEAD.certificate.votes
    )
    head = replace(HEAD, certificate=replace(HEAD.certificate, statement=far, votes=votes))
    with pytest.raises(WireError, match="beyond the cohort"):
        AggregateReader(1, sizes_of=sizes_of).receive(next(aggregate_preface(head)))


def packets(count: int, attempt: Attempt = ATTEMPT) -> Packets:
    return Packets(attempt, tuple((sender, b"s" * 18, b"d" * 32) for sender in range(count)))


@pytest.mark.parametrize("count", [0, 1, PACKETS_PER_PART, PACKETS_PER_PART + 1, 1000])
def test_packets_are_put_together(count: int) -> None:
    reader = PacketsReader()
    for message in packets_messages(packets(count)):
        reader.receive(message)
    assert reader.finish() == packets(count)


@pytest.mark.parametrize(
    "second",
    [packets(1), packets(0), packets(300, replace(ATTEMPT, number=2))],
    ids=["again", "empty", "another attempt"],
)
def test_parts_of_packets_that_do_not_belong_together_are_refused(second: Packets) -> None:
    reader = PacketsReader()
    reader.receive(encode_packets(packets(200)))
    with pytest.raises(WireError):
        reader.receive(encode_packets(second))


def test_packets_that_never_came_are_refused() -> None:
    with pytest.raises(WireError):
        PacketsReader().finish()
