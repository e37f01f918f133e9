"""Requests and answers of the short calls to protobuf bytes and back.

The rule kept here: as in every ``wire`` module, what a ``decode_`` function returns is complete and within its
limits, and anything else raised ``WireError``. What is a stream has codecs of its own: ``wire_staging``,
``wire_packets``, ``wire_aggregates``.

Reference: ``protos/SPEC.md``, "Requests and answers".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

from securefl.errors import WireError
from securefl.protocol import wire_fields as fields
from securefl.protocol import wire_signed as signed
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.agreement.statement import SpoiledVote, SurvivorsVote, VoidVote
from securefl.protocol.calls import (
    Abstention,
    Acknowledge,
    CastVote,
    CohortClosed,
    Confirm,
    Done,
    FetchAggregate,
    FetchCohort,
    FetchPackets,
    Leave,
    SendAdvert,
    SendReveal,
    SitOut,
    Staged,
    StagedUpTo,
)
from securefl.v3 import aggregator_pb2 as pb

MAX_VERSION: Final = 0xFFFF
MAX_REASON_BYTES: Final = 4096
"""Longest sealed reason of an abstention."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A member's introduction; who it is, its certificate says.

    Attributes:
        protocol_version: What it speaks.
        federation_digest: Digest of its federation file (32 bytes).
        process: Drawn at random when its process started (16 bytes): two processes of one member differ.
        applied: The last round whose aggregate it has applied; None before the first one.
    """

    protocol_version: int
    federation_digest: bytes
    process: bytes
    applied: int | None = None


@dataclass(frozen=True, slots=True)
class Farewell:
    """A member's last request, and the process that makes it: from another one than its own it changes nothing."""

    leave: Leave
    process: bytes


def encode_hello(hello: Hello) -> bytes:
    """The bytes of a ``Hello``."""
    return fields.to_bytes(
        pb.Hello(
            protocol_version=hello.protocol_version,
            federation_digest=hello.federation_digest,
            process=hello.process,
            applied=hello.applied,
        )
    )


def decode_hello(data: bytes) -> Hello:
    """The inverse of ``encode_hello``; whether the version is spoken here, the server decides.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.Hello, data)
    return Hello(
        protocol_version=fields.within(message.protocol_version, 1, MAX_VERSION, "protocol version"),
        federation_digest=fields.digest(message.federation_digest, "federation digest"),
        process=fields.process(message.process),
        applied=_applied(message),
    )


def encode_advert(request: SendAdvert | SitOut) -> bytes:
    """The bytes of an ``AdvertRequest``."""
    if isinstance(request, SitOut):
        return fields.to_bytes(pb.AdvertRequest(attempt=signed.write_attempt(request.attempt), sits_out=True))
    attempt = request.advert.body.attempt
    advert = signed.write_advert(request.advert, attempt)
    return fields.to_bytes(pb.AdvertRequest(attempt=signed.write_attempt(attempt), advert=advert))


def decode_advert(data: bytes) -> SendAdvert | SitOut:
    """The inverse of ``encode_advert``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.AdvertRequest, data)
    if message.sits_out:
        if message.HasField("advert"):
            raise WireError("a member adverts and sits out at once")
        return SitOut(signed.read_attempt(message.attempt))
    return SendAdvert(signed.read_advert(message.advert, signed.read_attempt(message.attempt)))


def encode_staged_up_to(request: StagedUpTo) -> bytes:
    """The bytes of a ``StagedRequest``."""
    return fields.to_bytes(pb.StagedRequest(attempt=signed.write_attempt(request.attempt)))


def decode_staged_up_to(data: bytes) -> StagedUpTo:
    """The inverse of ``encode_staged_up_to``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    return StagedUpTo(signed.read_attempt(fields.parsed(pb.StagedRequest, data).attempt))


def encode_fetch_cohort(request: FetchCohort) -> bytes:
    """The bytes of a ``CohortRequest``."""
    return fields.to_bytes(pb.CohortRequest(attempt=signed.write_attempt(request.attempt)))


def decode_fetch_cohort(data: bytes) -> FetchCohort:
    """The inverse of ``encode_fetch_cohort``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    return FetchCohort(signed.read_attempt(fields.parsed(pb.CohortRequest, data).attempt))


def encode_cohort(answer: CohortClosed) -> bytes:
    """The bytes of a ``CohortClosed`` as an answer.

    Raises:
        ProtocolError: if an advert is of another attempt than the manifest.
    """
    return fields.to_bytes(pb.CohortClosed(cohort=signed.write_cohort(answer.cohort)))


def decode_cohort(data: bytes) -> CohortClosed:
    """The inverse of ``encode_cohort``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    return CohortClosed(signed.read_cohort(fields.parsed(pb.CohortClosed, data).cohort))


def encode_fetch_packets(request: FetchPackets) -> bytes:
    """The bytes of a ``PacketsRequest``."""
    return fields.to_bytes(pb.PacketsRequest(attempt=signed.write_attempt(request.attempt)))


def decode_fetch_packets(data: bytes) -> FetchPackets:
    """The inverse of ``encode_fetch_packets``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    return FetchPackets(signed.read_attempt(fields.parsed(pb.PacketsRequest, data).attempt))


def encode_acknowledge(request: Acknowledge) -> bytes:
    """The bytes of an ``AcknowledgeRequest``.

    Raises:
        ProtocolError: if the header is of another attempt.
    """
    header = None if request.header is None else signed.write_header(request.header, request.attempt)
    attempt = signed.write_attempt(request.attempt)
    return fields.to_bytes(pb.AcknowledgeRequest(attempt=attempt, opened=request.opened, header=header))


def decode_acknowledge(data: bytes) -> Acknowledge:
    """The inverse of ``encode_acknowledge``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.AcknowledgeRequest, data)
    attempt = signed.read_attempt(message.attempt)
    return Acknowledge(
        attempt=attempt,
        opened=fields.ascending(message.opened, "list of opened packets"),
        header=signed.read_header(message.header, attempt) if message.HasField("header") else None,
    )


def encode_vote(request: CastVote) -> bytes:
    """The bytes of a ``VoteRequest``."""
    return fields.to_bytes(_vote(request.vote))


def decode_vote(data: bytes) -> CastVote:
    """The inverse of ``encode_vote``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.VoteRequest, data)
    kind, attempt = message.WhichOneof("vote"), signed.read_attempt(message.attempt)
    if kind == "survivors":
        return CastVote(_read_survivors_vote(message.survivors, attempt))
    if kind == "spoiled":
        return CastVote(_read_spoiled_vote(message.spoiled, attempt))
    if kind == "void_vote":
        return CastVote(_read_void_vote(message.void_vote, attempt))
    if kind == "sealed_reason":
        fields.within(len(message.sealed_reason), 1, MAX_REASON_BYTES, "sealed reason's length")
        return CastVote(Abstention(attempt, message.sealed_reason))
    raise WireError("a vote is of no kind that this version knows")


def encode_reveal(request: SendReveal) -> bytes:
    """The bytes of a ``RevealRequest``."""
    attempt = request.reveal.body.attempt
    reveal = signed.write_reveal(request.reveal, attempt)
    return fields.to_bytes(pb.RevealRequest(attempt=signed.write_attempt(attempt), reveal=reveal))


def decode_reveal(data: bytes) -> SendReveal:
    """The inverse of ``encode_reveal``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.RevealRequest, data)
    return SendReveal(signed.read_reveal(message.reveal, signed.read_attempt(message.attempt)))


def encode_fetch_aggregate(request: FetchAggregate) -> bytes:
    """The bytes of an ``AggregateRequest``."""
    return fields.to_bytes(pb.AggregateRequest(round_number=request.round_number, offset=request.offset))


def decode_fetch_aggregate(data: bytes) -> FetchAggregate:
    """The inverse of ``encode_fetch_aggregate``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.AggregateRequest, data)
    offset = fields.within(message.offset, 0, fields.MAX_STREAM_BYTES, "offset")
    return FetchAggregate(fields.round_number(message), offset)


def encode_confirm(request: Confirm) -> bytes:
    """The bytes of a ``ConfirmRequest``."""
    return fields.to_bytes(pb.ConfirmRequest(round_number=request.round_number, last=request.last))


def decode_confirm(data: bytes) -> Confirm:
    """The inverse of ``encode_confirm``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.ConfirmRequest, data)
    return Confirm(fields.round_number(message), last=message.last)


def encode_farewell(farewell: Farewell) -> bytes:
    """The bytes of a ``LeaveRequest``; last words are made plain."""
    leave = farewell.leave
    return fields.to_bytes(
        pb.LeaveRequest(
            finished=leave.finished,
            last_words=fields.plain_words(leave.last_words),
            process=farewell.process,
        )
    )


def decode_farewell(data: bytes) -> Farewell:
    """The inverse of ``encode_farewell``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.LeaveRequest, data)
    return Farewell(
        Leave(message.finished, fields.words(message.last_words)), fields.process(message.process)
    )


def encode_staged(answer: Staged) -> bytes:
    """The bytes of a ``Staged``."""
    return fields.to_bytes(pb.Staged(received=answer.received, complete=answer.complete))


def decode_staged(data: bytes) -> Staged:
    """The inverse of ``encode_staged``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.Staged, data)
    received = fields.within(message.received, 0, fields.MAX_STREAM_BYTES, "length of what is staged")
    return Staged(received, message.complete)


def encode_done(answer: Done) -> bytes:
    """The bytes of a ``Done``: none."""
    return fields.to_bytes(pb.Done())


def decode_done(data: bytes) -> Done:
    """The inverse of ``encode_done``.

    Raises:
        WireError: if the bytes are no such message.
    """
    fields.parsed(pb.Done, data)
    return Done()


def _applied(message: pb.Hello) -> int | None:
    if not message.HasField("applied"):
        return None
    return fields.within(message.applied, fields.MIN_ROUND, fields.MAX_ROUND, "last applied round")


def _vote(
    vote: Signed[SurvivorsVote] | Signed[VoidVote] | Signed[SpoiledVote] | Abstention,
) -> pb.VoteRequest:
    if isinstance(vote, Abstention):
        return pb.VoteRequest(attempt=signed.write_attempt(vote.attempt), sealed_reason=vote.sealed_reason)
    attempt, body = signed.write_attempt(vote.body.attempt), vote.body
    match body:
        case SurvivorsVote(_, member, digest):
            named = pb.StatementVote(member=member, statement_digest=digest, signature=vote.signature)
            return pb.VoteRequest(attempt=attempt, survivors=named)
        case SpoiledVote(_, member, digest):
            named = pb.StatementVote(member=member, statement_digest=digest, signature=vote.signature)
            return pb.VoteRequest(attempt=attempt, spoiled=named)
        case VoidVote(_, member, digest):
            void = pb.VoidVote(member=member, cohort_digest=digest, signature=vote.signature)
            return pb.VoteRequest(attempt=attempt, void_vote=void)
        case _:
            assert_never(body)


def _read_survivors_vote(message: pb.StatementVote, attempt: Attempt) -> Signed[SurvivorsVote]:
    digest = fields.digest(message.statement_digest, "statement digest")
    vote = SurvivorsVote(attempt, fields.member_id(message.member), digest)
    return Signed(vote, signed.read_signature(message.signature))


def _read_spoiled_vote(message: pb.StatementVote, attempt: Attempt) -> Signed[SpoiledVote]:
    digest = fields.digest(message.statement_digest, "statement digest")
    vote = SpoiledVote(attempt, fields.member_id(message.member), digest)
    return Signed(vote, signed.read_signature(message.signature))


def _read_void_vote(message: pb.VoidVote, attempt: Attempt) -> Signed[VoidVote]:
    digest = fields.digest(message.cohort_digest, "cohort digest")
    vote = VoidVote(attempt, fields.member_id(message.member), digest)
    return Signed(vote, signed.read_signature(message.signature))
