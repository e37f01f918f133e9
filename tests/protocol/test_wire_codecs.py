"""Every message of version 3: it survives the wire, and whatever else arrives is refused or is within its limits."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import wire_objects as some

from securefl.errors import WireError
from securefl.protocol import (
    calls,
    wire_aggregates,
    wire_announcements,
    wire_calls,
    wire_packets,
    wire_staging,
)
from securefl.protocol.calls import Done

Codec = tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[bytes], Any]]
CODECS: dict[str, Codec] = {
    "hello": (some.hellos, wire_calls.encode_hello, wire_calls.decode_hello),
    "announcement": (
        some.announcements,
        wire_announcements.encode_announcement,
        wire_announcements.decode_announcement,
    ),
    "advert": (some.send_adverts, wire_calls.encode_advert, wire_calls.decode_advert),
    "contribution": (
        some.contribution_parts,
        wire_staging.encode_contribution_part,
        wire_staging.decode_contribution_part,
    ),
    "staged-up-to": (
        st.builds(calls.StagedUpTo, some.attempts),
        wire_calls.encode_staged_up_to,
        wire_calls.decode_staged_up_to,
    ),
    "staged": (
        st.builds(calls.Staged, some.lengths, st.booleans()),
        wire_calls.encode_staged,
        wire_calls.decode_staged,
    ),
    "fetch-cohort": (
        st.builds(calls.FetchCohort, some.attempts),
        wire_calls.encode_fetch_cohort,
        wire_calls.decode_fetch_cohort,
    ),
    "cohort": (
        st.builds(calls.CohortClosed, some.cohorts()),
        wire_calls.encode_cohort,
        wire_calls.decode_cohort,
    ),
    "fetch-packets": (
        st.builds(calls.FetchPackets, some.attempts),
        wire_calls.encode_fetch_packets,
        wire_calls.decode_fetch_packets,
    ),
    "packets": (some.packets(), wire_packets.encode_packets, wire_packets.decode_packets),
    "acknowledge": (some.acknowledgements(), wire_calls.encode_acknowledge, wire_calls.decode_acknowledge),
    "vote": (some.votes(), wire_calls.encode_vote, wire_calls.decode_vote),
    "reveal": (some.send_reveals, wire_calls.encode_reveal, wire_calls.decode_reveal),
    "fetch-aggregate": (
        st.builds(calls.FetchAggregate, some.rounds, some.lengths),
        wire_calls.encode_fetch_aggregate,
        wire_calls.decode_fetch_aggregate,
    ),
    "aggregate": (
        some.aggregate_parts,
        wire_aggregates.encode_aggregate_part,
        wire_aggregates.decode_aggregate_part,
    ),
    "confirm": (
        st.builds(calls.Confirm, some.rounds, st.booleans()),
        wire_calls.encode_confirm,
        wire_calls.decode_confirm,
    ),
    "farewell": (some.farewells, wire_calls.encode_farewell, wire_calls.decode_farewell),
    "done": (st.builds(Done), wire_calls.encode_done, wire_calls.decode_done),
}
codecs = pytest.mark.parametrize("name", CODECS)
brief = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def refused_or_within_limits(name: str, data: bytes) -> None:
    """What a peer sent is refused with a WireError, or is an object that survives the wire as every other one."""
    _, encode, decode = CODECS[name]
    try:
        message = decode(data)
    except WireError:
        return
    assert decode(encode(message)) == message


@codecs
@brief
@given(data=st.data())
def test_every_message_survives_the_wire(name: str, data: st.DataObject) -> None:
    objects, encode, decode = CODECS[name]
    message = data.draw(objects)
    assert decode(encode(message)) == message


@codecs
@brief
@given(data=st.data())
def test_flipped_cut_and_lengthened_messages_are_refused_or_within_their_limits(
    name: str, data: st.DataObject
) -> None:
    objects, encode, _ = CODECS[name]
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
    refused_or_within_limits(name, bytes(encoded))


@codecs
@brief
@given(data=st.data())
def test_repeated_and_mixed_fields_are_refused_or_within_their_limits(name: str, data: st.DataObject) -> None:
    objects, encode, _ = CODECS[name]
    one, other = encode(data.draw(objects)), encode(data.draw(objects))
    refused_or_within_limits(name, one * data.draw(st.integers(2, 4)))
    refused_or_within_limits(name, one + other)


@codecs
@brief
@given(noise=st.binary(max_size=400))
def test_noise_is_refused_or_within_its_limits(name: str, noise: bytes) -> None:
    refused_or_within_limits(name, noise)


@codecs
@pytest.mark.parametrize("tag", range(1, 16))
def test_a_million_empty_fields_cost_a_bounded_memory(name: str, tag: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused_or_within_limits(name, bytes([tag << 3 | 2, 0]) * 500_000)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 << 10  # in KiB


@codecs
@brief
@given(data=st.data(), number=st.integers(100, 2**29 - 1).filter(lambda n: not 19_000 <= n < 20_000))
def test_a_field_that_this_version_does_not_know_is_skipped(
    name: str, data: st.DataObject, number: int
) -> None:
    objects, encode, decode = CODECS[name]
    message = data.draw(objects)
    key, field = number << 3, bytearray()  # of a varint
    while key > 0x7F:
        field.append(key & 0x7F | 0x80)
        key >>= 7
    assert decode(encode(message) + bytes([*field, key, 1])) == message


@pytest.mark.parametrize("name", ["announcement", "contribution", "aggregate"])
def test_a_message_of_no_known_kind_is_refused(name: str) -> None:
    with pytest.raises(WireError, match="no kind that this version knows"):
        CODECS[name][2](b"")


@codecs
@brief
@given(data=st.data())
def test_an_error_quotes_nothing_of_the_peer(name: str, data: st.DataObject) -> None:
    objects, encode, decode = CODECS[name]
    marked = encode(data.draw(objects)) + b"\x0a\x09PEERBYTES\x12\x09PEERBYTES\x1a\x09PEERBYTES"
    said = ""
    try:
        decode(marked)
    except WireError as error:
        said = str(error)
    assert "PEERBYTES" not in said
