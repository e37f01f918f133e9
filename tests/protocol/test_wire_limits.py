"""Fields of version 3 outside their limits are refused, each for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from google.protobuf.message import Message
from support import rounds

from securefl.errors import ProtocolError, WireError
from securefl.protocol import (
    wire_aggregates,
    wire_announcements,
    wire_calls,
    wire_fields,
    wire_packets,
    wire_signed,
    wire_staging,
)
from securefl.protocol.calls import (
    Abstention,
    Acknowledge,
    CastVote,
    Certified,
    CohortClosed,
    CommitAsked,
    FederationFailed,
    Packets,
    RoundOpened,
    SendAdvert,
    SendReveal,
    SettledAttempt,
    SurvivorsProposed,
    Waiting,
)
from securefl.v3 import aggregator_pb2 as pb

MANY = [f"m{number}" for number in range(1001)]
Change = Callable[[Message], object]
announced = wire_announcements.encode_announcement
OPENED = announced(RoundOpened(rounds.MANIFEST, (SettledAttempt(rounds.COHORT, rounds.CERTIFICATE),)))
CLOSED = announced(CohortClosed(rounds.COHORT))
CERTIFIED = announced(Certified(rounds.CERTIFICATE))
PROPOSED = announced(SurvivorsProposed(rounds.STATEMENT, rounds.HEADERS))
COMMIT = announced(CommitAsked(b"a" * 32, (0, 1, 2)))
ADVERT = wire_calls.encode_advert(SendAdvert(rounds.COHORT.adverts[0]))
ACKNOWLEDGE = wire_calls.encode_acknowledge(Acknowledge(rounds.ATTEMPT, (0, 2), rounds.HEADERS[1]))
VOTE = wire_calls.encode_vote(CastVote(rounds.CERTIFICATE.votes[0]))
REVEAL = wire_calls.encode_reveal(SendReveal(rounds.REVEALS[0]))
HELLO = wire_calls.encode_hello(wire_calls.Hello(3, b"d" * 32, b"p" * 16, 4))
PACKETS = wire_packets.encode_packets(Packets(rounds.ATTEMPT, ((0, b"s" * 18, b"d" * 32),)))
PART = next(staging for staging in wire_staging.contribution_messages(rounds.STAGE, body=[], offset=0))
SETTLED = (SettledAttempt(rounds.COHORT, rounds.CERTIFICATE),)
AGGREGATE = next(wire_aggregates.aggregate_preface(replace(rounds.HEAD, settled=SETTLED)))

decode_part = wire_staging.decode_contribution_part
decode_announced = wire_announcements.decode_announcement
decode_aggregate = wire_aggregates.decode_aggregate_part


def attempt_changes(of: Callable[[Message], pb.Attempt]) -> list[Change]:
    """Every field of an attempt outside its limits."""
    return [
        lambda m: of(m).__setattr__("federation_digest", b"d" * 31),
        lambda m: of(m).__setattr__("key_epoch", 0),
        lambda m: of(m).__setattr__("key_epoch", wire_signed.MAX_NUMBER + 1),
        lambda m: of(m).ClearField("round_number"),
        lambda m: of(m).__setattr__("round_number", wire_fields.MIN_ROUND - 1),
        lambda m: of(m).__setattr__("round_number", 10_001),
        lambda m: of(m).__setattr__("number", 0),
        lambda m: of(m).__setattr__("number", 2**32 - 1),
    ]


def digest_changes(of: Callable[[Message], Message], *names: str) -> list[Change]:
    """Each of these fields a byte too short, too long, and left out."""
    return [
        lambda m, name=name, value=value: setattr(of(m), name, value)
        for name in names
        for value in (b"d" * 31, b"d" * 33, b"")
    ]


def member_changes(of: Callable[[Message], Message]) -> list[Change]:
    """Ids that no member can have."""
    wrong = ["", "Client-1", "-client", "client 1", "c" * 64, "client-1\n", "../client-1"]
    return [lambda m, value=value: setattr(of(m), "member", value) for value in wrong]


def members_changes(of: Callable[[Message], object], *, at_least: int) -> list[Change]:
    """Lists of ids of impossible lengths, with a member twice, and with one that is malformed."""
    wrong = [MANY[: at_least - 1], MANY, [*MANY[:3], "m0"], [*MANY[:3], "M"]]

    def change(listed: list[str]) -> Change:
        def applied(message: Message) -> None:
            values = of(message)
            del values[:]
            values.extend(listed)

        return applied

    return [change(listed) for listed in wrong]


def shares_changes(of: Callable[[Message], Message]) -> list[Change]:
    """Sealed shares of impossible lengths."""
    return [lambda m, n=n: setattr(of(m), "sealed", bytes(n)) for n in (0, 16, 17, 19, 4113, 4114)]


def repeat(of: Callable[[Message], list[Message]], count: int) -> Change:
    """The first entry of a list ``count`` times over."""

    def applied(message: Message) -> None:
        values = of(message)
        first = values[0]
        kept = type(first)()
        kept.CopyFrom(first)
        del values[:]
        values.extend([kept] * count)

    return applied


Case = tuple[type[Message], bytes, Callable[[bytes], object], list[Change]]
CASES: dict[str, Case] = {
    "hello": (
        pb.Hello,
        HELLO,
        wire_calls.decode_hello,
        [
            *digest_changes(lambda m: m, "federation_digest", "process"),
            lambda m: setattr(m, "protocol_version", 0),
            lambda m: setattr(m, "protocol_version", 0x10000),
            lambda m: setattr(m, "applied", wire_fields.MIN_ROUND - 1),
            lambda m: setattr(m, "applied", 10_001),
        ],
    ),
    "advert": (
        pb.AdvertRequest,
        ADVERT,
        wire_calls.decode_advert,
        [
            *attempt_changes(lambda m: m.attempt),
            *member_changes(lambda m: m.advert),
            *digest_changes(lambda m: m.advert, "manifest_digest", "nonce", "state", "signature"),
            lambda m: setattr(m, "sits_out", True),
        ],
    ),
    "manifest": (
        pb.Announcement,
        OPENED,
        decode_announced,
        [
            *attempt_changes(lambda m: m.round_opened.manifest.attempt),
            *members_changes(lambda m: m.round_opened.manifest.invited, at_least=3),
            *digest_changes(lambda m: m.round_opened.manifest, "settled"),
            repeat(lambda m: m.round_opened.settled, wire_signed.MAX_SETTLED + 1),
            lambda m: m.round_opened.settled[0].ClearField("certificate"),
            lambda m: m.round_opened.settled[0].ClearField("cohort"),
        ],
    ),
    "cohort": (
        pb.Announcement,
        CLOSED,
        decode_announced,
        [
            *attempt_changes(lambda m: m.cohort_closed.cohort.manifest.attempt),
            *member_changes(lambda m: m.cohort_closed.cohort.adverts[2]),
            *digest_changes(lambda m: m.cohort_closed.cohort.adverts[1], "nonce", "state", "signature"),
            repeat(lambda m: m.cohort_closed.cohort.adverts, 3),
            repeat(lambda m: m.cohort_closed.cohort.adverts, 1001),
            lambda m: m.cohort_closed.cohort.adverts.pop(),
            lambda m: setattr(m.cohort_closed.cohort.adverts[0], "member", "stranger"),
        ],
    ),
    "commit": (
        pb.Announcement,
        COMMIT,
        decode_announced,
        [
            *digest_changes(lambda m: m.commit_asked, "cohort_digest"),
            lambda m: m.commit_asked.staged.append(2),
            lambda m: m.commit_asked.staged.append(1000),
            lambda m: m.commit_asked.staged.extend([2**32 - 1]),
        ],
    ),
    "statement": (
        pb.Announcement,
        PROPOSED,
        decode_announced,
        [
            *attempt_changes(lambda m: m.survivors_proposed.statement.attempt),
            *digest_changes(lambda m: m.survivors_proposed.statement, "cohort_digest", "total_digest"),
            *digest_changes(lambda m: m.survivors_proposed.statement.survivors[0], "header_digest"),
            *digest_changes(
                lambda m: m.survivors_proposed.headers[1],
                *("cohort_digest", "salt", "seeds_digest", "body_digest", "packets_digest", "signature"),
            ),
            lambda m: setattr(m.survivors_proposed.headers[1], "budget_head", bytes(31)),
            lambda m: setattr(m.survivors_proposed.headers[1], "budget_head", bytes(32)),
            *member_changes(lambda m: m.survivors_proposed.headers[1]),
            repeat(lambda m: m.survivors_proposed.headers, 3),
            repeat(lambda m: m.survivors_proposed.statement.survivors, 3),
            lambda m: m.survivors_proposed.headers.pop(),
            lambda m: m.survivors_proposed.statement.survivors.pop(),
            lambda m: setattr(m.survivors_proposed.statement.survivors[1], "index", 0),
            lambda m: setattr(m.survivors_proposed.statement.survivors[2], "index", 1000),
        ],
    ),
    "certificate": (
        pb.Announcement,
        CERTIFIED,
        decode_announced,
        [
            *member_changes(lambda m: m.certified.certificate.votes[0]),
            *digest_changes(lambda m: m.certified.certificate.votes[0], "signature"),
            repeat(lambda m: m.certified.certificate.votes, 3),
            lambda m: m.certified.certificate.votes.pop(),
        ],
    ),
    "acknowledge": (
        pb.AcknowledgeRequest,
        ACKNOWLEDGE,
        wire_calls.decode_acknowledge,
        [
            *attempt_changes(lambda m: m.attempt),
            lambda m: m.opened.append(2),
            lambda m: m.opened.append(1000),
            *digest_changes(lambda m: m.header, "salt", "signature"),
            *member_changes(lambda m: m.header),
        ],
    ),
    "vote": (
        pb.VoteRequest,
        VOTE,
        wire_calls.decode_vote,
        [
            *attempt_changes(lambda m: m.attempt),
            *member_changes(lambda m: m.survivors),
            *digest_changes(lambda m: m.survivors, "statement_digest", "signature"),
            lambda m: m.ClearField("survivors"),
            lambda m: setattr(m, "sealed_reason", b""),
            lambda m: setattr(m, "sealed_reason", bytes(4097)),
        ],
    ),
    "reveal": (
        pb.RevealRequest,
        REVEAL,
        wire_calls.decode_reveal,
        [
            *attempt_changes(lambda m: m.attempt),
            *member_changes(lambda m: m.reveal),
            *digest_changes(lambda m: m.reveal, "statement_digest", "signature"),
            *shares_changes(lambda m: m.reveal),
        ],
    ),
    "packets": (
        pb.PacketsPart,
        PACKETS,
        wire_packets.decode_packets,
        [
            *attempt_changes(lambda m: m.attempt),
            *shares_changes(lambda m: m.packets[0]),
            *digest_changes(lambda m: m.packets[0], "body_digest"),
            repeat(lambda m: m.packets, 2),
            repeat(lambda m: m.packets, 1001),
            lambda m: setattr(m.packets[0], "sender", 1000),
        ],
    ),
    "contribution": (
        pb.ContributionPart,
        PART,
        decode_part,
        [
            *attempt_changes(lambda m: m.head.attempt),
            *digest_changes(lambda m: m.head, "cohort_digest", "body_digest"),
            *(lambda m, n=n: setattr(m.head, "packets", n) for n in (1, 2, 1001, 2**32 - 1)),
            lambda m: setattr(m.head, "seeds_bytes", 2**40 + 1),
            lambda m: setattr(m.head, "body_offset", 2**64 - 1),
            lambda m: setattr(m, "seeds", b""),
            lambda m: setattr(m, "body", b""),
            lambda m: setattr(m, "seeds", bytes((1 << 20) + 1)),
            lambda m: setattr(m, "body", bytes((1 << 20) + 1)),
            lambda m: m.packets.SetInParent(),
            lambda m: m.packets.packets.extend([b"x" * 17]),
            lambda m: m.packets.packets.extend([b""] * 1001),
        ],
    ),
    "aggregate": (
        pb.AggregatePart,
        AGGREGATE,
        decode_aggregate,
        [
            repeat(lambda m: m.head.headers, 3),
            repeat(lambda m: m.head.settled, wire_signed.MAX_SETTLED + 1),
            lambda m: m.head.headers.pop(),
            *shares_changes(lambda m: m.head.reveals[0]),
            *member_changes(lambda m: m.head.reveals[0]),
            repeat(lambda m: m.head.reveals, 2),
            repeat(lambda m: m.head.reveals, 1001),
            *(lambda m, n=n: setattr(m.head, "body_bytes", n) for n in (0, 2**40 + 1)),
            lambda m: setattr(m.head, "seeds_bytes", 2**40 + 1),
            *(
                lambda m, v=v: setattr(m.head, "aggregate_seconds", v)
                for v in (-1.0, float("nan"), float("inf"))
            ),
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_field_outside_its_limits_is_refused(name: str) -> None:
    kind, data, decode, changes = CASES[name]
    decode(data)
    for number, change in enumerate(changes):
        message = kind.FromString(data)
        change(message)
        assert _is_refused(decode, message.SerializeToString()), f"change {number} was taken"


def _is_refused(decode: Callable[[bytes], object], data: bytes) -> bool:
    try:
        decode(data)
    except WireError:
        return True
    return False


def test_something_of_another_attempt_is_not_written() -> None:
    other = replace(rounds.ATTEMPT, number=2)
    for request in (
        Acknowledge(other, (), rounds.HEADERS[0]),
        Acknowledge(replace(rounds.ATTEMPT, key_epoch=2), (), rounds.HEADERS[0]),
    ):
        with pytest.raises(ProtocolError, match="another attempt"):
            wire_calls.encode_acknowledge(request)


def test_a_vote_on_another_statement_is_not_written() -> None:
    votes = rounds.CERTIFICATE.votes
    swapped = replace(votes[0], body=replace(votes[0].body, statement_digest=b"o" * 32))
    certificate = replace(rounds.CERTIFICATE, votes=(swapped, *votes[1:]))
    with pytest.raises(ProtocolError, match="something else"):
        announced(Certified(certificate))


@pytest.mark.parametrize("reason", ["two\nlines", "x" * 501, "\x1b[2J", " padded "])
def test_a_reason_that_is_no_plain_sentence_is_refused(reason: str) -> None:
    failed = pb.Announcement(failed=pb.FederationFailed(member="client-1", reason=reason))
    with pytest.raises(WireError, match="plain"):
        decode_announced(failed.SerializeToString())
    leave = pb.LeaveRequest(last_words=reason, process=bytes(16))
    with pytest.raises(WireError, match="plain"):
        wire_calls.decode_farewell(leave.SerializeToString())


def test_a_reason_of_several_lines_travels_as_one() -> None:
    failed = FederationFailed("", "CUDA died:\n\tout of memory\x1b[31m")
    assert decode_announced(announced(failed)) == FederationFailed("", "CUDA died: out of memory [31m")


@pytest.mark.parametrize("missing", [[], MANY, ["a", "a"], ["A"]], ids=["none", "1001", "twice", "malformed"])
def test_a_list_of_missing_members_that_cannot_be_is_refused(missing: list[str]) -> None:
    with pytest.raises(WireError):
        decode_announced(pb.Announcement(waiting=pb.Waiting(missing=missing)).SerializeToString())


def test_an_announcement_beyond_its_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(WireError, match="too long"):
        decode_announced(bytes(wire_announcements.MAX_ANNOUNCEMENT_BYTES + 1))


def test_the_longest_announcement_fits_its_limit() -> None:
    members = [f"{'m' * 59}{number:04}" for number in range(1000)]
    manifest = replace(rounds.MANIFEST, invited=tuple(members))
    advert, vote = rounds.COHORT.adverts[0], rounds.CERTIFICATE.votes[0]
    adverts = tuple(replace(advert, body=replace(advert.body, signer=member)) for member in members)
    survivors = tuple(replace(rounds.STATEMENT.survivors[0], index=index) for index in range(1000))
    statement = replace(rounds.STATEMENT, survivors=survivors)
    votes = tuple(
        replace(vote, body=replace(vote.body, signer=member, statement_digest=statement.digest))
        for member in members
    )
    certificate = replace(rounds.CERTIFICATE, statement=statement, votes=votes)
    cohort = replace(rounds.COHORT, manifest=manifest, adverts=adverts)
    one = len(announced(RoundOpened(manifest, (SettledAttempt(cohort, certificate),))))
    spoiled = one + len(announced(Certified(replace(certificate)))) - len(announced(Waiting(("a",))))
    assert wire_signed.MAX_SETTLED * spoiled < wire_announcements.MAX_ANNOUNCEMENT_BYTES


def test_waiting_for_a_thousand_members_travels() -> None:
    waiting = Waiting(tuple(MANY[:1000]))
    assert decode_announced(announced(waiting)) == waiting


def test_an_abstention_of_the_longest_reason_travels() -> None:
    vote = CastVote(Abstention(rounds.ATTEMPT, bytes(wire_calls.MAX_REASON_BYTES)))
    assert wire_calls.decode_vote(wire_calls.encode_vote(vote)) == vote
