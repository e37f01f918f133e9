"""Calls and announcements to protobuf bytes and back: a border where a peer's bytes become objects.

The rule kept here: what a ``decode_`` function returns is complete and within its limits: every id, length,
digest and range has been looked at, and anything else raised ``WireError``. Only this module, ``wire_parts``
(the streams) and ``wire_fields`` (what both check) read protobuf. Limits that depend on the federation (the roster, the
open round) are checked by the state machines.

Reference: ``protos/SPEC.md`` lists every field with its limits; the wire is
``protos/securefl/v2/aggregator.proto``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

from securefl.config.cohort import MIN_COHORT
from securefl.errors import WireError
from securefl.protocol import wire_fields as fields
from securefl.protocol.messages import (
    AggregateReady,
    Announcement,
    FederationClosed,
    FederationFailed,
    Manifest,
    Receipt,
    RoundOpened,
    Waiting,
)
from securefl.protocol.wire_fields import MAX_WORDS, PROCESS_BYTES, plain_words
from securefl.v2 import aggregator_pb2 as pb

MAX_VERSION: Final = 0xFFFF
__all__ = ["MAX_WORDS", "PROCESS_BYTES", "plain_words"]


@dataclass(frozen=True, slots=True)
class Hello:
    """A member's introduction; who it is, its certificate says.

    Attributes:
        protocol_version: What it speaks.
        federation_digest: Digest of its federation file (32 bytes).
        process: Drawn at random when its process started (``PROCESS_BYTES``): two processes of one member differ.
    """

    protocol_version: int
    federation_digest: bytes
    process: bytes


@dataclass(frozen=True, slots=True)
class Farewell:
    """A member's last call.

    Attributes:
        finished: Whether it has all it needs.
        last_words: Why it cannot go on, one sentence; "" when finished.
        process: As in ``Hello``.
    """

    finished: bool
    last_words: str
    process: bytes


def encode_hello(hello: Hello) -> bytes:
    """The bytes of a ``Hello``."""
    return fields.to_bytes(
        pb.Hello(
            protocol_version=hello.protocol_version,
            federation_digest=hello.federation_digest,
            process=hello.process,
        )
    )


def decode_hello(data: bytes) -> Hello:
    """The inverse of ``encode_hello``; whether the version is spoken here, the server decides.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.Hello, data)
    version = fields.within(message.protocol_version, 1, MAX_VERSION, "protocol version")
    digest = fields.digest(message.federation_digest, "federation digest")
    return Hello(version, digest, fields.process(message.process))


def encode_announcement(announcement: Announcement) -> bytes:
    """The bytes of an ``Announcement``."""
    match announcement:
        case Waiting(missing):
            return fields.to_bytes(pb.Announcement(waiting=pb.Waiting(missing=missing)))
        case RoundOpened(manifest):
            wire = pb.Manifest(
                federation_digest=manifest.federation_digest,
                round_number=manifest.round_number,
                cohort=manifest.cohort,
            )
            return fields.to_bytes(pb.Announcement(round_opened=pb.RoundOpened(manifest=wire)))
        case AggregateReady(number):
            return fields.to_bytes(pb.Announcement(aggregate_ready=pb.AggregateReady(round_number=number)))
        case FederationClosed():
            return fields.to_bytes(pb.Announcement(closed=pb.FederationClosed()))
        case FederationFailed(member, reason):
            failed = pb.FederationFailed(member=member, reason=plain_words(reason))
            return fields.to_bytes(pb.Announcement(failed=failed))
        case _:
            assert_never(announcement)


def decode_announcement(data: bytes) -> Announcement:
    """The inverse of ``encode_announcement``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.Announcement, data)
    kind = message.WhichOneof("kind")
    if kind == "waiting":
        return Waiting(fields.members(message.waiting.missing, at_least=1, what="list of missing members"))
    if kind == "round_opened":
        return RoundOpened(_manifest(message.round_opened.manifest))
    if kind == "aggregate_ready":
        return AggregateReady(fields.round_number(message.aggregate_ready))
    if kind == "closed":
        return FederationClosed()
    if kind == "failed":
        member = message.failed.member
        return FederationFailed(
            fields.member_id(member) if member else "", fields.words(message.failed.reason)
        )
    raise WireError("an announcement is of no kind that this version knows")


def encode_receipt(receipt: Receipt) -> bytes:
    """The bytes of a ``Receipt``."""
    return fields.to_bytes(pb.Receipt(round_number=receipt.round_number, body_digest=receipt.body_digest))


def decode_receipt(data: bytes) -> Receipt:
    """The inverse of ``encode_receipt``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.Receipt, data)
    return Receipt(fields.round_number(message), fields.digest(message.body_digest, "body digest"))


def encode_fetch(number: int) -> bytes:
    """The bytes of a request for the aggregate of round ``number``."""
    return fields.to_bytes(pb.FetchRequest(round_number=number))


def decode_fetch(data: bytes) -> int:
    """The inverse of ``encode_fetch``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    return fields.round_number(fields.parsed(pb.FetchRequest, data))


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A member's word that it has the aggregate of a round.

    Attributes:
        round_number: The round.
        last: The sums of it end the federation early.
    """

    round_number: int
    last: bool = False


def encode_confirm(confirmation: Confirmation) -> bytes:
    """The bytes of a ``Confirmation``."""
    return fields.to_bytes(pb.ConfirmRequest(round_number=confirmation.round_number, last=confirmation.last))


def decode_confirm(data: bytes) -> Confirmation:
    """The inverse of ``encode_confirm``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.ConfirmRequest, data)
    return Confirmation(fields.round_number(message), last=message.last)


def encode_farewell(farewell: Farewell) -> bytes:
    """The bytes of a ``Farewell``; last words are made plain."""
    return fields.to_bytes(
        pb.LeaveRequest(
            finished=farewell.finished,
            last_words=plain_words(farewell.last_words),
            process=farewell.process,
        )
    )


def decode_farewell(data: bytes) -> Farewell:
    """The inverse of ``encode_farewell``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.LeaveRequest, data)
    return Farewell(message.finished, fields.words(message.last_words), fields.process(message.process))


def _manifest(message: pb.Manifest) -> Manifest:
    return Manifest(
        federation_digest=fields.digest(message.federation_digest, "federation digest"),
        round_number=fields.round_number(message),
        cohort=fields.members(message.cohort, at_least=MIN_COHORT, what="cohort"),
    )
