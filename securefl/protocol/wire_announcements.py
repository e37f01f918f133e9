"""Announcements to protobuf bytes and back.

The rule kept here: as in every ``wire`` module, what ``decode_announcement`` returns is complete and within its
limits, and anything else raised ``WireError``.

Reference: ``protos/SPEC.md``, "Announcements".
"""

from __future__ import annotations

from typing import Final, assert_never

from securefl.config.cohort import MAX_COHORT
from securefl.errors import WireError
from securefl.protocol import wire_fields as fields
from securefl.protocol import wire_signed as signed
from securefl.protocol.calls import (
    AggregateReady,
    Announcement,
    Certified,
    CohortClosed,
    CommitAsked,
    FederationClosed,
    FederationFailed,
    RoundOpened,
    SpoiledAsked,
    SurvivorsProposed,
    VoidAsked,
    Waiting,
)
from securefl.v3 import aggregator_pb2 as pb

MAX_ANNOUNCEMENT_BYTES: Final = 16 << 20
"""Longest announcement: the most spoiled attempts of a round, of ``MAX_COHORT`` members, are below 14 MiB."""


def encode_announcement(announcement: Announcement) -> bytes:
    """The bytes of an ``Announcement``.

    Raises:
        ProtocolError: if something in it belongs to another attempt or statement than what it stands in.
    """
    return fields.to_bytes(_written(announcement))


def decode_announcement(data: bytes) -> Announcement:
    """The inverse of ``encode_announcement``.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    if len(data) > MAX_ANNOUNCEMENT_BYTES:
        raise WireError("an announcement is too long", hint=f"at most {MAX_ANNOUNCEMENT_BYTES} bytes")
    message = fields.parsed(pb.Announcement, data)
    kind = message.WhichOneof("kind")
    if kind is None:
        raise WireError("an announcement is of no kind that this version knows")
    return _of_round(message, kind) or _of_federation(message, kind)


def _written(announcement: Announcement) -> pb.Announcement:
    match announcement:
        case RoundOpened(manifest, settled):
            opened = pb.RoundOpened(
                manifest=signed.write_manifest(manifest),
                settled=[signed.write_settled(each) for each in settled],
            )
            return pb.Announcement(round_opened=opened)
        case CohortClosed(cohort):
            return pb.Announcement(cohort_closed=pb.CohortClosed(cohort=signed.write_cohort(cohort)))
        case CommitAsked(digest, staged):
            return pb.Announcement(commit_asked=pb.CommitAsked(cohort_digest=digest, staged=staged))
        case SurvivorsProposed():
            return pb.Announcement(survivors_proposed=_proposed(announcement))
        case VoidAsked(digest):
            return pb.Announcement(void_asked=pb.VoidAsked(cohort_digest=digest))
        case Certified(certificate):
            written = signed.write_certificate(certificate)
            return pb.Announcement(certified=pb.Certified(certificate=written))
        case AggregateReady(number, reveals):
            ready = pb.AggregateReady(round_number=number, reveals=reveals)
            return pb.Announcement(aggregate_ready=ready)
        case SpoiledAsked(digest):
            return pb.Announcement(spoiled_asked=pb.SpoiledAsked(statement_digest=digest))
        case Waiting(missing):
            return pb.Announcement(waiting=pb.Waiting(missing=missing))
        case FederationClosed():
            return pb.Announcement(closed=pb.FederationClosed())
        case FederationFailed(member, reason):
            failed = pb.FederationFailed(member=member, reason=fields.plain_words(reason))
            return pb.Announcement(failed=failed)
        case _:
            assert_never(announcement)


def _proposed(announcement: SurvivorsProposed) -> pb.SurvivorsProposed:
    statement = announcement.statement
    headers = [signed.write_header(header, statement.attempt) for header in announcement.headers]
    return pb.SurvivorsProposed(statement=signed.write_survivors(statement), headers=headers)


def _of_round(message: pb.Announcement, kind: str) -> Announcement | None:
    if kind == "round_opened":
        return _opened(message.round_opened)
    if kind == "cohort_closed":
        return CohortClosed(signed.read_cohort(message.cohort_closed.cohort))
    if kind == "commit_asked":
        asked = message.commit_asked
        staged = fields.ascending(asked.staged, "list of members that staged")
        return CommitAsked(fields.digest(asked.cohort_digest, "cohort digest"), staged)
    if kind == "survivors_proposed":
        statement = signed.read_survivors(message.survivors_proposed.statement)
        return SurvivorsProposed(
            statement, signed.read_headers(message.survivors_proposed.headers, statement)
        )
    if kind == "void_asked":
        return VoidAsked(fields.digest(message.void_asked.cohort_digest, "cohort digest"))
    if kind == "certified":
        return Certified(signed.read_certificate(message.certified.certificate))
    if kind == "spoiled_asked":
        return SpoiledAsked(fields.digest(message.spoiled_asked.statement_digest, "statement digest"))
    return None


def _of_federation(message: pb.Announcement, kind: str) -> Announcement:
    if kind == "waiting":
        missing = fields.members(message.waiting.missing, at_least=1, what="list of missing members")
        return Waiting(missing)
    if kind == "aggregate_ready":
        ready = message.aggregate_ready
        reveals = fields.within(ready.reveals, 0, MAX_COHORT, "number of reveals")
        return AggregateReady(fields.round_number(ready), reveals)
    if kind == "failed":
        member = message.failed.member
        reason = fields.words(message.failed.reason)
        return FederationFailed(fields.member_id(member) if member else "", reason)
    return FederationClosed()


def _opened(message: pb.RoundOpened) -> RoundOpened:
    return RoundOpened(signed.read_manifest(message.manifest), signed.read_all_settled(message.settled))
