"""The border: what a peer's bytes may become, and what is refused."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.errors import WireError
from securefl.protocol import wire, wire_fields, wire_parts
from securefl.protocol.messages import (
    CHUNK_BYTES,
    AggregateReady,
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
from securefl.v2 import aggregator_pb2 as pb

DIGEST = b"d" * 32
SIGNED = SignedHeader(ContributionHeader("client-1", 3, DIGEST, DIGEST, DIGEST), b"s" * 64)

first = st.sampled_from(string.ascii_lowercase + string.digits)
rest = st.text(string.ascii_lowercase + string.digits + "-_", max_size=62)
members = st.builds(str.__add__, first, rest)
rounds = st.integers(wire_fields.MIN_ROUND, wire_fields.MAX_ROUND)
digests = st.binary(min_size=32, max_size=32)
words = st.text(max_size=600).map(wire.plain_words)
chunks = st.binary(min_size=1, max_size=200)
lengths = st.integers(1, wire_parts.MAX_STREAM_BYTES)
signed_headers = st.builds(
    SignedHeader,
    st.builds(ContributionHeader, members, rounds, digests, digests, digests),
    st.binary(min_size=64, max_size=64),
)
manifests = st.builds(
    Manifest, digests, rounds, st.lists(members, min_size=3, max_size=9, unique=True).map(tuple)
)
announcements = st.one_of(
    st.builds(Waiting, st.lists(members, min_size=1, max_size=9, unique=True).map(tuple)),
    st.builds(RoundOpened, manifests),
    st.builds(AggregateReady, rounds),
    st.builds(FederationClosed),
    st.builds(FederationFailed, members | st.just(""), words),
)
contribution_parts = st.one_of(
    st.builds(wire_parts.ContributionHead, rounds, st.builds(StreamSizes, lengths | st.just(0), lengths)),
    signed_headers,
    st.builds(wire_parts.SeedsChunk, chunks),
    st.builds(wire_parts.BodyChunk, chunks),
)
aggregate_parts = st.one_of(
    st.builds(
        wire_parts.AggregateHead,
        rounds,
        st.integers(1, 1000),
        lengths | st.just(0),
        lengths,
        st.floats(0, 1e9),
    ),
    signed_headers,
    st.builds(wire_parts.SeedsChunk, chunks),
    st.builds(wire_parts.BodyChunk, chunks),
)
processes = st.binary(min_size=wire.PROCESS_BYTES, max_size=wire.PROCESS_BYTES)
hellos = st.builds(wire.Hello, st.integers(1, wire.MAX_VERSION), digests, processes)
receipts = st.builds(Receipt, rounds, digests)
confirmations = st.builds(wire.Confirmation, rounds, st.booleans())
farewells = st.builds(wire.Farewell, st.booleans(), words, processes)

Codec = tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[bytes], Any]]
CODECS: dict[str, Codec] = {
    "hello": (hellos, wire.encode_hello, wire.decode_hello),
    "announcement": (announcements, wire.encode_announcement, wire.decode_announcement),
    "receipt": (receipts, wire.encode_receipt, wire.decode_receipt),
    "fetch": (rounds, wire.encode_fetch, wire.decode_fetch),
    "confirm": (confirmations, wire.encode_confirm, wire.decode_confirm),
    "farewell": (farewells, wire.encode_farewell, wire.decode_farewell),
    "contribution": (
        contribution_parts,
        wire_parts.encode_contribution_part,
        wire_parts.decode_contribution_part,
    ),
    "aggregate": (aggregate_parts, wire_parts.encode_aggregate_part, wire_parts.decode_aggregate_part),
}
codecs = pytest.mark.parametrize("name", CODECS)


@codecs
@given(data=st.data())
def test_every_message_survives_the_wire(name: str, data: st.DataObject) -> None:
    objects, encode, decode = CODECS[name]
    message = data.draw(objects)
    assert decode(encode(message)) == message


@codecs
@given(data=st.data())
def test_a_mutated_message_is_refused_or_is_another_message_within_its_limits(
    name: str, data: st.DataObject
) -> None:
    objects, encode, decode = CODECS[name]
    encoded = bytearray(encode(data.draw(objects)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(encoded) - 1)))
        kind = data.draw(st.sampled_from(["flip", "cut", "insert"]))
        if kind == "flip" and encoded:
            encoded[at] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del encoded[at:]
        else:
            encoded[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    try:
        message = decode(bytes(encoded))
    except WireError:
        return
    assert decode(encode(message)) == message


@codecs
@given(noise=st.binary(max_size=300))
def test_noise_ends_in_a_wire_error_or_a_message_within_its_limits(name: str, noise: bytes) -> None:
    _, encode, decode = CODECS[name]
    try:
        message = decode(noise)
    except WireError:
        return
    assert decode(encode(message)) == message


@given(st.text(max_size=2000))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    plain = wire.plain_words(text)
    assert len(plain) <= wire.MAX_WORDS
    assert plain.isprintable()
    assert wire.plain_words(plain) == plain


def test_last_words_of_several_lines_travel_as_one() -> None:
    words = "CUDA died:\n\tout of memory\x1b[31m"
    farewell = wire.Farewell(finished=False, last_words=words, process=bytes(16))
    assert wire.decode_farewell(wire.encode_farewell(farewell)).last_words == "CUDA died: out of memory [31m"


def header(**changed: object) -> pb.SignedHeader:
    fields: dict[str, Any] = {
        "member": "client-1",
        "round_number": 3,
        "manifest_digest": DIGEST,
        "seeds_digest": DIGEST,
        "body_digest": DIGEST,
        "signature": b"s" * 64,
    }
    return pb.SignedHeader(**{**fields, **changed})


@pytest.mark.parametrize(
    "wrong",
    [
        {"member": ""},
        {"member": "Client-1"},
        {"member": "-client"},
        {"member": "client 1"},
        {"member": "c" * 64},
        {"member": "client-1\n"},
        {"member": "../client-1"},
        {"round_number": None},
        {"round_number": wire_fields.MIN_ROUND - 1},
        {"round_number": wire_fields.MAX_ROUND + 1},
        {"round_number": 2**63 - 1},
        {"round_number": -(2**63)},
        {"manifest_digest": b""},
        {"manifest_digest": b"d" * 31},
        {"seeds_digest": b"d" * 33},
        {"body_digest": b"d" * 64},
        {"signature": b"s" * 63},
        {"signature": b""},
    ],
    ids=str,
)
def test_a_header_outside_its_limits_is_refused(wrong: dict[str, object]) -> None:
    part = pb.AggregatePart(contributor=header(**wrong)).SerializeToString()
    with pytest.raises(WireError):
        wire_parts.decode_aggregate_part(part)
    with pytest.raises(WireError):
        wire_parts.decode_contribution_part(pb.ContributionPart(header=header(**wrong)).SerializeToString())


def test_a_head_that_names_no_round_is_refused_although_0_is_one() -> None:
    part = pb.ContributionPart(head=pb.ContributionHead(seeds_bytes=1, body_bytes=1))
    with pytest.raises(WireError, match="names no round"):
        wire_parts.decode_contribution_part(part.SerializeToString())


@pytest.mark.parametrize("number", [-3, 10_001])
def test_a_head_of_no_round_is_refused(number: int) -> None:
    head = pb.ContributionHead(round_number=number, seeds_bytes=1, body_bytes=1)
    with pytest.raises(WireError, match="round number"):
        wire_parts.decode_contribution_part(pb.ContributionPart(head=head).SerializeToString())


@pytest.mark.parametrize(
    ("seeds_bytes", "body_bytes"),
    [
        (wire_parts.MAX_STREAM_BYTES + 1, 1),
        (0, 0),
        (0, wire_parts.MAX_STREAM_BYTES + 1),
        (2**64 - 1, 2**64 - 1),
    ],
)
def test_absurd_stream_lengths_are_refused(seeds_bytes: int, body_bytes: int) -> None:
    head = pb.ContributionHead(round_number=1, seeds_bytes=seeds_bytes, body_bytes=body_bytes)
    with pytest.raises(WireError):
        wire_parts.decode_contribution_part(pb.ContributionPart(head=head).SerializeToString())
    aggregate = pb.AggregateHead(
        round_number=1, contributors=3, seeds_bytes=seeds_bytes, body_bytes=body_bytes
    )
    with pytest.raises(WireError):
        wire_parts.decode_aggregate_part(pb.AggregatePart(head=aggregate).SerializeToString())


@pytest.mark.parametrize("contributors", [0, 1001, 2**32 - 1])
def test_an_aggregate_of_too_few_or_too_many_is_refused(contributors: int) -> None:
    head = pb.AggregateHead(round_number=1, contributors=contributors, body_bytes=1)
    with pytest.raises(WireError):
        wire_parts.decode_aggregate_part(pb.AggregatePart(head=head).SerializeToString())


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_an_aggregate_whose_seconds_are_no_duration_is_refused(seconds: float) -> None:
    head = pb.AggregateHead(round_number=1, contributors=3, body_bytes=1, aggregate_seconds=seconds)
    with pytest.raises(WireError, match="duration"):
        wire_parts.decode_aggregate_part(pb.AggregatePart(head=head).SerializeToString())


@pytest.mark.parametrize("data", [b"", b"x" * (CHUNK_BYTES + 1)], ids=["empty", "one byte too many"])
@pytest.mark.parametrize("field", ["seeds", "body"])
def test_an_empty_or_oversized_chunk_is_refused(field: str, data: bytes) -> None:
    with pytest.raises(WireError):
        wire_parts.decode_contribution_part(pb.ContributionPart(**{field: data}).SerializeToString())
    with pytest.raises(WireError):
        wire_parts.decode_aggregate_part(pb.AggregatePart(**{field: data}).SerializeToString())


def test_a_full_chunk_travels() -> None:
    part = wire_parts.BodyChunk(b"x" * CHUNK_BYTES)
    assert wire_parts.decode_contribution_part(wire_parts.encode_contribution_part(part)) == part


@pytest.mark.parametrize(
    "cohort",
    [[], ["a", "b"], ["a", "b", "b"], ["a", "b", "C"], [f"m{i}" for i in range(1001)]],
    ids=["empty", "two", "twice", "malformed", "too many"],
)
def test_a_manifest_with_an_impossible_cohort_is_refused(cohort: list[str]) -> None:
    manifest = pb.Manifest(federation_digest=DIGEST, round_number=1, cohort=cohort)
    message = pb.Announcement(round_opened=pb.RoundOpened(manifest=manifest)).SerializeToString()
    with pytest.raises(WireError):
        wire.decode_announcement(message)


@pytest.mark.parametrize("reason", ["two\nlines", "x" * 501, "\x1b[2J", " padded "])
def test_a_reason_that_is_no_plain_sentence_is_refused(reason: str) -> None:
    message = pb.Announcement(
        failed=pb.FederationFailed(member="client-1", reason=reason)
    ).SerializeToString()
    with pytest.raises(WireError, match="plain"):
        wire.decode_announcement(message)


@pytest.mark.parametrize("version", [0, wire.MAX_VERSION + 1])
def test_a_version_that_cannot_be_is_refused(version: int) -> None:
    message = pb.Hello(
        protocol_version=version, federation_digest=DIGEST, process=bytes(16)
    ).SerializeToString()
    with pytest.raises(WireError):
        wire.decode_hello(message)


@pytest.mark.parametrize("process", [b"", bytes(15), bytes(17)])
def test_a_member_that_does_not_say_which_process_it_is_is_refused(process: bytes) -> None:
    hello = pb.Hello(protocol_version=1, federation_digest=DIGEST, process=process).SerializeToString()
    with pytest.raises(WireError, match="which process"):
        wire.decode_hello(hello)
    with pytest.raises(WireError, match="which process"):
        wire.decode_farewell(pb.LeaveRequest(finished=True, process=process).SerializeToString())


@pytest.mark.parametrize(
    "decode",
    [wire.decode_announcement, wire_parts.decode_contribution_part, wire_parts.decode_aggregate_part],
)
def test_a_message_of_no_known_kind_is_refused(decode: Callable[[bytes], object]) -> None:
    with pytest.raises(WireError, match="kind"):
        decode(b"")


@codecs
@given(data=st.data(), number=st.integers(100, 2**29 - 1).filter(lambda n: not 19_000 <= n < 20_000))
def test_a_field_that_this_version_does_not_know_is_skipped(
    name: str, data: st.DataObject, number: int
) -> None:
    strategy, encode, decode = CODECS[name]
    message = data.draw(strategy)
    key, field = number << 3, bytearray()  # of a varint
    while key > 0x7F:
        field.append(key & 0x7F | 0x80)
        key >>= 7
    assert decode(encode(message) + bytes([*field, key, 1])) == message


@pytest.mark.parametrize("number", range(3, 8))
def test_an_announcement_of_a_phase_that_is_to_come_is_refused(number: int) -> None:
    with pytest.raises(WireError, match="of no kind that this version knows"):
        wire.decode_announcement(bytes([number << 3 | 2, 0]))


def test_errors_carry_no_bytes_of_the_peer() -> None:
    message = pb.Receipt(round_number=1, body_digest=b"PEERBYTES").SerializeToString()
    with pytest.raises(WireError) as caught:
        wire.decode_receipt(message)
    assert "PEERBYTES" not in str(caught.value)
