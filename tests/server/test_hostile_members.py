"""Requests that do not belong: of strangers, in others' names, twice, too early, for other statements, with lies."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from support.served_rounds import BODY_BYTES, Federation, Member, key_of

from securefl.errors import AuthenticationError, ProtocolError, RunError, WireError
from securefl.protocol.agreement.signed import Attempt, sign
from securefl.protocol.agreement.statement import SpoiledVote, SurvivorsVote, VoidVote
from securefl.protocol.calls import (
    Abstention,
    Acknowledge,
    CastVote,
    Certified,
    CohortClosed,
    CommitAsked,
    Confirm,
    FetchAggregate,
    FetchCohort,
    FetchPackets,
    Leave,
    RoundOpened,
    SendAdvert,
    SendReveal,
    StagedUpTo,
    SurvivorsProposed,
    VoidAsked,
)


def at(folder: Path, announced: type, *, members: int = 4) -> Federation:
    """A federation that has come as far as this announcement."""
    federation = Federation(folder, members, least=3)
    federation.connect()
    if not isinstance(federation.server.announcement, announced):
        federation.settle(until=announced)
    assert isinstance(federation.server.announcement, announced)
    return federation


def first(federation: Federation) -> Member:
    return federation.members["client-1"]


def unchanged(
    federation: Federation, request: Callable[[], object], kind: type[RunError], words: str
) -> None:
    """Expects a refusal that leaves state and store as they were."""
    before, log = federation.server.state, len(federation.store.log)
    with pytest.raises(kind, match=words):
        request()
    assert (federation.server.state, len(federation.store.log)) == (before, log)


def test_a_stranger_is_not_heard(tmp_path: Path) -> None:
    federation = at(tmp_path, RoundOpened)
    unchanged(
        federation,
        lambda: federation.server.hear("mallory", Leave(True)),
        AuthenticationError,
        "not in the roster",
    )


def test_an_advert_in_another_members_name_is_refused(tmp_path: Path) -> None:
    federation = at(tmp_path, RoundOpened)
    advert = first(federation).advert(federation.server.announcement)
    unchanged(
        federation,
        lambda: federation.server.hear("client-2", SendAdvert(advert)),
        AuthenticationError,
        "another member's name",
    )


def test_an_advert_with_another_signature_is_refused(tmp_path: Path) -> None:
    federation = at(tmp_path, RoundOpened)
    advert = first(federation).advert(federation.server.announcement)
    forged = dataclasses.replace(advert, signature=key_of("mallory").sign(b"advert"))
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", SendAdvert(forged)),
        AuthenticationError,
        "signature does not hold",
    )


def test_a_second_advert_with_another_nonce_is_refused(tmp_path: Path) -> None:
    federation = at(tmp_path, RoundOpened)
    member = first(federation)
    advert = member.advert(federation.server.announcement)
    federation.server.hear("client-1", SendAdvert(advert))
    federation.server.hear("client-1", SendAdvert(advert))
    other = member.sign(dataclasses.replace(advert.body, nonce=bytes(32)))
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", SendAdvert(other)),
        ProtocolError,
        "two different adverts",
    )


@pytest.mark.parametrize(
    ("field", "value"), [("federation_digest", bytes(32)), ("key_epoch", 2)], ids=["federation", "keys"]
)
def test_an_advert_for_another_federation_or_other_keys_is_refused(
    tmp_path: Path, field: str, value: object
) -> None:
    federation = at(tmp_path, RoundOpened)
    advert = first(federation).advert(federation.server.announcement).body
    other = first(federation).sign(
        dataclasses.replace(advert, attempt=dataclasses.replace(advert.attempt, **{field: value}))
    )
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", SendAdvert(other)),
        AuthenticationError,
        "another federation or other keys",
    )


def test_an_attempt_that_is_yet_to_come_is_refused(tmp_path: Path) -> None:
    federation = at(tmp_path, CohortClosed)
    later = dataclasses.replace(federation.server.state.attempt(federation.rules), number=2)
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", StagedUpTo(later)),
        ProtocolError,
        "not open yet",
    )


def begun(federation: Federation) -> tuple[Attempt, bytes]:
    """Attempt and body of a contribution whose head the server has."""
    state, member = federation.server.state, first(federation)
    cohort = state.cohort(federation.rules)
    federation.server.hear("client-1", member.contribution(cohort, federation.rules))
    return cohort.attempt, member.body(cohort.attempt)


def test_a_body_without_a_head_is_refused(tmp_path: Path) -> None:
    federation = at(tmp_path, CohortClosed)
    attempt = federation.server.state.attempt(federation.rules)
    unchanged(
        federation,
        lambda: federation.server.receive("client-1", attempt, 0, b"x"),
        ProtocolError,
        "has not announced",
    )


@pytest.mark.parametrize("offset", [-1, 6, BODY_BYTES, 2**62])
def test_an_offset_that_leaves_a_gap_is_refused(tmp_path: Path, offset: int) -> None:
    federation = at(tmp_path, CohortClosed)
    attempt, body = begun(federation)
    federation.server.receive("client-1", attempt, 0, body[:5])
    unchanged(
        federation,
        lambda: federation.server.receive("client-1", attempt, offset, body[5:6]),
        ProtocolError,
        "the server holds 5",
    )


def test_bytes_that_the_server_holds_are_not_changed_by_those_that_come_again(tmp_path: Path) -> None:
    federation = at(tmp_path, CohortClosed)
    attempt, body = begun(federation)
    federation.server.receive("client-1", attempt, 0, body[:5])
    assert federation.server.receive("client-1", attempt, 0, b"\xff" * 5).received == 5
    assert federation.server.receive("client-1", attempt, 3, body[3:]).complete


def test_a_body_longer_than_its_layout_is_refused(tmp_path: Path) -> None:
    federation = at(tmp_path, CohortClosed)
    attempt, body = begun(federation)
    unchanged(
        federation,
        lambda: federation.server.receive("client-1", attempt, 0, body + b"\x00"),
        WireError,
        "longer than its layout",
    )


def test_a_body_of_another_digest_is_dropped_and_the_promised_one_is_taken(tmp_path: Path) -> None:
    federation = at(tmp_path, CohortClosed)
    attempt, body = begun(federation)
    other = bytes([body[0] ^ 1]) + body[1:]
    unchanged(
        federation,
        lambda: federation.server.receive("client-1", attempt, 0, other),
        AuthenticationError,
        "does not have the digest",
    )
    assert federation.server.hear("client-1", StagedUpTo(attempt)).received == 0
    assert federation.server.receive("client-1", attempt, 0, body).complete


def test_a_body_that_is_out_of_range_is_dropped_before_it_is_added(tmp_path: Path) -> None:
    federation = at(tmp_path, CohortClosed)
    state, member = federation.server.state, first(federation)
    cohort = state.cohort(federation.rules)
    body = b"\xff" * BODY_BYTES
    request = dataclasses.replace(
        member.contribution(cohort, federation.rules),
        body_digest=hashlib.sha256(body).digest(),
    )
    federation.server.hear("client-1", request)
    unchanged(
        federation,
        lambda: federation.server.receive("client-1", cohort.attempt, 0, body),
        WireError,
        "not below its modulus",
    )


@pytest.mark.parametrize("field", ["body_digest", "packets", "seeds", "cohort_digest"])
def test_another_head_for_a_contribution_that_was_begun_is_refused(tmp_path: Path, field: str) -> None:
    federation = at(tmp_path, CohortClosed)
    begun(federation)
    cohort = federation.server.state.cohort(federation.rules)
    request = first(federation).contribution(cohort, federation.rules)
    value = getattr(request, field)
    other = (*value[:-1], value[-1][::-1] + b"\x01") if field == "packets" else bytes(32)
    changed = dataclasses.replace(request, **{field: other})
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", changed),
        ProtocolError,
        "another (contr|cohort)",
    )


@pytest.mark.parametrize(
    "alter",
    [
        lambda packets: packets[:-1],
        lambda packets: (*packets[:-1], packets[-1] + b"\x00"),
        lambda packets: (b"\x00" * len(packets[1]), *packets[1:]),
        lambda packets: (),
    ],
    ids=["one missing", "one too long", "one to itself", "none"],
)
def test_packets_that_are_not_one_for_each_other_member_are_refused(
    tmp_path: Path, alter: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]
) -> None:
    federation = at(tmp_path, CohortClosed)
    cohort = federation.server.state.cohort(federation.rules)
    request = first(federation).contribution(cohort, federation.rules)
    changed = dataclasses.replace(request, packets=alter(request.packets))
    unchanged(
        federation, lambda: federation.server.hear("client-1", changed), WireError, "packets are not one"
    )


def test_a_member_of_the_cohort_can_fetch_it_and_nobody_else(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, least=3)
    federation.connect()
    federation.lose("client-4")
    federation.settle(until=CommitAsked)
    cohort = federation.server.state.cohort(federation.rules)
    assert federation.server.hear("client-1", FetchCohort(cohort.attempt)) == CohortClosed(cohort)
    unchanged(
        federation,
        lambda: federation.server.hear("client-4", FetchCohort(cohort.attempt)),
        ProtocolError,
        "not in the cohort",
    )


def test_packets_are_not_given_out_before_all_are_there(tmp_path: Path) -> None:
    federation = at(tmp_path, CohortClosed)
    attempt = federation.server.state.attempt(federation.rules)
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", FetchPackets(attempt)),
        ProtocolError,
        "before all are there",
    )


def test_every_member_gets_its_own_packets_with_the_digests_of_their_senders_bodies(tmp_path: Path) -> None:
    federation = at(tmp_path, CommitAsked)
    state = federation.server.state
    cohort = state.cohort(federation.rules)
    packets = federation.server.hear("client-3", FetchPackets(cohort.attempt)).packets
    assert [index for index, _, _ in packets] == [0, 1, 3]
    for index, sealed, digest in packets:
        sent = federation.members[cohort.members[index]].contribution(cohort, federation.rules)
        assert (sealed, digest) == (sent.packets[2], sent.body_digest)


HEADER_FIELDS = ["cohort_digest", "seeds_digest", "body_digest", "packets_digest"]


@pytest.mark.parametrize("field", HEADER_FIELDS)
def test_a_header_for_something_else_than_what_was_staged_is_refused(tmp_path: Path, field: str) -> None:
    federation = at(tmp_path, CommitAsked)
    cohort = federation.server.state.cohort(federation.rules)
    header = first(federation).header(cohort, federation.rules).body
    other = first(federation).sign(dataclasses.replace(header, **{field: b"\x07" * 32}))
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", Acknowledge(cohort.attempt, (0, 1, 2, 3), other)),
        RunError,
        "header is",
    )


def test_a_staged_contribution_without_a_header_is_no_acknowledgement(tmp_path: Path) -> None:
    federation = at(tmp_path, CommitAsked)
    attempt = federation.server.state.attempt(federation.rules)
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", Acknowledge(attempt, (0, 1, 2, 3), None)),
        ProtocolError,
        "does not commit",
    )


@pytest.mark.parametrize("opened", [(4,), (1, 0), (2, 2), (-1,)])
def test_packets_that_nobody_sent_cannot_be_acknowledged(tmp_path: Path, opened: tuple[int, ...]) -> None:
    federation = at(tmp_path, CommitAsked)
    cohort = federation.server.state.cohort(federation.rules)
    header = first(federation).header(cohort, federation.rules)
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", Acknowledge(cohort.attempt, opened, header)),
        ProtocolError,
        "that nobody sent",
    )


def test_an_acknowledgement_is_not_exchanged_for_another(tmp_path: Path) -> None:
    federation = at(tmp_path, CommitAsked)
    cohort = federation.server.state.cohort(federation.rules)
    header = first(federation).header(cohort, federation.rules)
    federation.server.hear("client-1", Acknowledge(cohort.attempt, (0, 1, 2, 3), header))
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", Acknowledge(cohort.attempt, (0, 1, 2), header)),
        ProtocolError,
        "acknowledged other packets",
    )


def vote_of(federation: Federation, name: str, digest: bytes | None = None) -> CastVote:
    statement = federation.server.state.statement
    member = federation.members[name]
    return CastVote(
        member.sign(SurvivorsVote(statement.attempt, name, statement.digest if digest is None else digest))
    )


def test_a_vote_for_another_statement_is_refused(tmp_path: Path) -> None:
    federation = at(tmp_path, SurvivorsProposed)
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", vote_of(federation, "client-1", bytes(32))),
        ProtocolError,
        "was not proposed",
    )


def test_a_vote_that_is_sent_again_counts_once(tmp_path: Path) -> None:
    federation = at(tmp_path, SurvivorsProposed)
    for _ in range(5):
        federation.server.hear("client-1", vote_of(federation, "client-1"))
    assert isinstance(federation.server.announcement, SurvivorsProposed)
    assert len(federation.server.state.votes) == 1


def test_a_vote_in_another_members_name_is_refused(tmp_path: Path) -> None:
    federation = at(tmp_path, SurvivorsProposed)
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", vote_of(federation, "client-2")),
        AuthenticationError,
        "another member's name",
    )


def test_void_is_not_voted_without_being_asked(tmp_path: Path) -> None:
    federation = at(tmp_path, SurvivorsProposed)
    state = federation.server.state
    vote = first(federation).sign(VoidVote(state.attempt(federation.rules), "client-1", state.cohort_digest))
    unchanged(
        federation, lambda: federation.server.hear("client-1", CastVote(vote)), ProtocolError, "was not asked"
    )


def test_a_member_does_not_vote_for_survivors_and_for_void(tmp_path: Path) -> None:
    federation = at(tmp_path, SurvivorsProposed)
    federation.server.hear("client-1", vote_of(federation, "client-1"))
    state = federation.server.state
    attempt = state.attempt(federation.rules)
    for name in ("client-2", "client-3"):
        federation.server.hear(name, CastVote(Abstention(attempt, b"sealed")))
    assert isinstance(federation.server.announcement, VoidAsked)
    vote = first(federation).sign(VoidVote(state.attempt(federation.rules), "client-1", state.cohort_digest))
    unchanged(
        federation, lambda: federation.server.hear("client-1", CastVote(vote)), ProtocolError, "voted twice"
    )


def test_who_abstained_does_not_vote_for_the_survivors(tmp_path: Path) -> None:
    federation = at(tmp_path, SurvivorsProposed)
    attempt = federation.server.state.attempt(federation.rules)
    federation.server.hear("client-1", CastVote(Abstention(attempt, b"sealed")))
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", vote_of(federation, "client-1")),
        ProtocolError,
        "abstained and votes",
    )


def test_a_reveal_before_the_certificate_is_refused(tmp_path: Path) -> None:
    federation = at(tmp_path, SurvivorsProposed)
    state = federation.server.state
    reveal = first(federation).reveal(state.statement, federation.rules, state.cohort(federation.rules))
    unchanged(
        federation,
        lambda: federation.server.hear("client-1", SendReveal(reveal)),
        ProtocolError,
        "no sum is certified",
    )


@pytest.mark.parametrize(("field", "value"), [("statement_digest", bytes(32)), ("sealed", b"short")])
def test_a_reveal_for_another_statement_or_of_another_length_is_refused(
    tmp_path: Path, field: str, value: bytes
) -> None:
    federation = at(tmp_path, Certified)
    state = federation.server.state
    reveal = first(federation).reveal(state.statement, federation.rules, state.cohort(federation.rules))
    other = first(federation).sign(dataclasses.replace(reveal.body, **{field: value}))
    unchanged(
        federation, lambda: federation.server.hear("client-1", SendReveal(other)), ProtocolError, "reveal"
    )


def test_spoiled_is_not_voted_without_being_asked(tmp_path: Path) -> None:
    federation = at(tmp_path, Certified)
    statement = federation.server.state.statement
    vote = sign(SpoiledVote(statement.attempt, "client-1", statement.digest), key_of("client-1"))
    unchanged(
        federation, lambda: federation.server.hear("client-1", CastVote(vote)), ProtocolError, "was not asked"
    )


def test_a_sum_that_is_not_there_is_neither_fetched_nor_confirmed(tmp_path: Path) -> None:
    federation = at(tmp_path, Certified)
    for request, words in ((FetchAggregate(1), "cannot be fetched"), (Confirm(1), "is not there")):
        unchanged(
            federation,
            lambda request=request: federation.server.hear("client-1", request),
            ProtocolError,
            words,
        )


def test_what_comes_too_late_changes_nothing_and_is_no_error(tmp_path: Path) -> None:
    federation = at(tmp_path, RoundOpened)
    advert = federation.members["client-4"].advert(federation.server.announcement)
    federation.lose("client-4")
    federation.settle(until=CohortClosed)
    before = federation.server.state
    federation.server.hear("client-4", SendAdvert(advert))
    assert federation.server.state == before


def test_a_member_outside_the_cohort_stages_nothing(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4, least=3)
    federation.connect()
    federation.lose("client-4")
    federation.settle(until=CohortClosed)
    cohort = federation.server.state.cohort(federation.rules)
    unchanged(
        federation,
        lambda: federation.server.hear("client-4", StagedUpTo(cohort.attempt)),
        ProtocolError,
        "not in the cohort",
    )
