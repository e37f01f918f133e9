"""A round's messages as the transport makes them, there and back.

The rule kept here: what a simulation hands over as an object goes through the messages of the real transport, whatever
is in it, so that its bytes and the cost of making and reading them are counted in every variant alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from securefl.errors import WireError
from securefl.protocol import wire_calls
from securefl.protocol.calls import (
    Acknowledge,
    AggregateHead,
    Announcement,
    CastVote,
    Confirm,
    Done,
    FetchAggregate,
    FetchCohort,
    FetchPackets,
    Leave,
    Packets,
    SendAdvert,
    SendReveal,
    SitOut,
    StageContribution,
    Staged,
    StagedUpTo,
)
from securefl.protocol.wire_aggregates import aggregate_preface, encode_aggregate_part
from securefl.protocol.wire_announcements import encode_announcement
from securefl.protocol.wire_packets import packets_messages
from securefl.protocol.wire_staging import (
    PART_BYTES,
    BodyChunk,
    ContributionHead,
    ContributionReader,
    StageSizes,
    chunks,
    contribution_messages,
    decode_contribution_part,
)
from securefl.simulation.traffic import Uploaded
from securefl_client.round_work import Downloaded, Got, Sent, Upload

PROCESS = bytes(16)
"""Name of a process in its farewell; of its length alone anything depends."""


def sent(contribution: Uploaded) -> list[bytes]:
    """The messages of a contribution."""
    return list(contribution_messages(contribution.head, body=[contribution.body], offset=0))


def received(messages: Sequence[bytes], *, sizes: StageSizes) -> Uploaded:
    """The contribution that a server reads from them.

    Raises:
        WireError: if they are malformed, or not of these sizes.
    """
    head = decode_contribution_part(messages[0])
    if not isinstance(head, ContributionHead):
        raise WireError("a contribution does not begin with its head")
    reader = ContributionReader(head, sizes)
    body = b"".join(reader.receive(message) for message in messages[1:])
    if reader.contribution is None:
        raise WireError("a contribution ended before its packets and seeds were complete")
    return Uploaded(reader.contribution, body)


def body_messages(body: bytes) -> Iterator[bytes]:
    """The messages of a sum's bytes."""
    return (encode_aggregate_part(BodyChunk(chunk)) for chunk in chunks(body, PART_BYTES))


def aggregate_messages(head: AggregateHead, body: bytes) -> Iterator[bytes]:
    """The messages of a sum."""
    yield from aggregate_preface(head)
    yield from body_messages(body)


def bytes_up(request: Sent) -> int:
    """Bytes of the messages of a member's request."""
    match request:
        case Upload(head, path):
            # What the server holds of it is asked first.
            asked = wire_calls.encode_staged_up_to(StagedUpTo(head.attempt))
            return len(asked) + sum(map(len, sent(Uploaded(head, path.read_bytes()))))
        case SendAdvert() | SitOut():
            return len(wire_calls.encode_advert(request))
        case StagedUpTo():
            return len(wire_calls.encode_staged_up_to(request))
        case FetchCohort():
            return len(wire_calls.encode_fetch_cohort(request))
        case FetchPackets():
            return len(wire_calls.encode_fetch_packets(request))
        case Acknowledge():
            return len(wire_calls.encode_acknowledge(request))
        case CastVote():
            return len(wire_calls.encode_vote(request))
        case SendReveal():
            return len(wire_calls.encode_reveal(request))
        case FetchAggregate():
            return len(wire_calls.encode_fetch_aggregate(request))
        case Confirm():
            return len(wire_calls.encode_confirm(request))
        case Leave():
            return len(wire_calls.encode_farewell(wire_calls.Farewell(request, PROCESS)))
        case StageContribution():
            return len(sent(Uploaded(request, b"")))
        case _:
            assert_never(request)


def bytes_down(answer: Got | Announcement) -> int:
    """Bytes of the messages of an announcement, or of an answer."""
    match answer:
        case Downloaded(head, body):
            return sum(map(len, aggregate_messages(head, body[:])))
        case Packets():
            return sum(map(len, packets_messages(answer)))
        case Staged():
            # Before the upload the server said that it holds nothing.
            return sum(len(wire_calls.encode_staged(each)) for each in (answer, Staged(0, False)))
        case Done():
            return len(wire_calls.encode_done(answer))
        case AggregateHead():
            return sum(map(len, aggregate_preface(answer)))
        case _:
            return len(encode_announcement(answer))
