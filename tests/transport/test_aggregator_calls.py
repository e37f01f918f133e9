"""Calls of version 3 over the real transport: what arrives, what is tried again, what is refused and how."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.round_service import HeldBody, HeldService, listening
from support.rounds import ATTEMPT, BODY, CERTIFICATE, COHORT, HEADERS, MANIFEST, REVEALS, STAGE
from support.servers import DIGEST, NOW, PROCESS, WAIT_S, raw_call

from securefl.errors import (
    AuthenticationError,
    IdentityError,
    ProtocolError,
    RunError,
    TransportError,
    WireError,
)
from securefl.identity.certificates import Credentials, Role
from securefl.protocol import wire_calls as wire
from securefl.protocol.agreement.signed import PROTOCOL_VERSION
from securefl.protocol.calls import (
    Abstention,
    Acknowledge,
    AggregateReady,
    CastVote,
    CohortClosed,
    Confirm,
    Done,
    FederationClosed,
    FederationFailed,
    FetchCohort,
    FetchPackets,
    Leave,
    Packets,
    RoundOpened,
    SendAdvert,
    SendReveal,
    SettledAttempt,
    Staged,
    StagedUpTo,
    Waiting,
)
from securefl.protocol.wire_announcements import encode_announcement
from securefl.protocol.wire_staging import BodyChunk, contribution_messages, encode_contribution_part
from securefl.transport.aggregator_client import AggregatorClient, ShortRequest
from securefl.transport.limits import MAX_MESSAGE_BYTES, Keepalive, Patience
from securefl.transport.persistence import LONGEST_PAUSE_S, Backoff
from securefl.transport.quotas import Quota
from securefl.transport.refusals import Reason, Refusal
from securefl.transport.service_calls import DOWNLOADS, SERVICE, UPLOADS, Call
from securefl.v3 import aggregator_pb2 as pb

BRIEF = Patience(connect_s=0.5, reconnect_s=0.1, attempts=3, unary_s=10)
HELLO = wire.Hello(PROTOCOL_VERSION, DIGEST, PROCESS, None)
REQUESTS: dict[str, ShortRequest] = {
    "advert": SendAdvert(COHORT.adverts[0]),
    "staged up to": StagedUpTo(ATTEMPT),
    "cohort": FetchCohort(ATTEMPT),
    "packets": FetchPackets(ATTEMPT),
    "acknowledge": Acknowledge(ATTEMPT, (1, 2), HEADERS[0]),
    "vote": CastVote(CERTIFICATE.votes[0]),
    "abstain": CastVote(Abstention(ATTEMPT, b"sealed")),
    "reveal": SendReveal(REVEALS[0]),
    "confirm": Confirm(7, last=True),
}
ANSWERS = {
    "cohort": CohortClosed(COHORT),
    "staged up to": Staged(0, complete=False),
    "packets": Packets(ATTEMPT, ((1, b"s" * 20, b"d" * 32),)),
}
every_request = pytest.mark.parametrize("name", REQUESTS)


@pytest.fixture
def service() -> HeldService:
    return HeldService()


@pytest.fixture
def client_at(certificates) -> Callable[..., AggregatorClient]:
    def make(address: str, *, credentials: Credentials | None = None, **options) -> AggregatorClient:
        options.setdefault("patience", BRIEF)
        shown = credentials or certificates.client
        return AggregatorClient(address, shown, federation_digest=DIGEST, process=PROCESS, **options)

    return make


@every_request
def test_every_request_reaches_the_service_and_its_answer_comes_back(
    service, certificates, client_at, name: str
) -> None:
    with listening(service, certificates.server) as address, client_at(address) as client:
        assert client.ask(REQUESTS[name]) == ANSWERS.get(name, Done())
    assert service.asked == [REQUESTS[name]]
    assert service.peers == [certificates.client.fingerprint]


def test_a_member_introduces_itself_and_takes_its_leave(service, certificates, client_at) -> None:
    service.announcements = [Waiting(("client-2",)), CohortClosed(COHORT), FederationClosed()]
    with listening(service, certificates.server) as address, client_at(address) as client:
        assert client.join(4) == AggregateReady(1, 0)
        assert list(client.follow(lambda: 5)) == service.announcements
        client.ask(Leave(finished=True))
        client.last_words("no\nmemory")
    assert service.asked == [
        replace(HELLO, applied=4),
        replace(HELLO, applied=5),
        (Leave(finished=True), PROCESS),
        (Leave(finished=False, last_words="no memory"), PROCESS),
    ]


@every_request
@pytest.mark.parametrize("error", [WireError, ProtocolError, AuthenticationError])
def test_a_refusal_arrives_as_the_same_kind_of_error_and_is_not_tried_again(
    service, certificates, client_at, name: str, error: type[RunError]
) -> None:
    service.errors = [error("this cannot be", where="here", hint="do that"), error("asked twice")]
    with (
        listening(service, certificates.server) as address,
        client_at(address) as client,
        pytest.raises(error, match=r"this cannot be \(here\): do that\.$"),
    ):
        client.ask(REQUESTS[name])
    assert len(service.asked) == 1


@every_request
def test_a_broken_connection_is_tried_again_with_the_same_request(
    service, certificates, client_at, name: str
) -> None:
    service.errors = [TransportError("broken"), TransportError("broken")]
    with listening(service, certificates.server) as address, client_at(address) as client:
        client.ask(REQUESTS[name])
    assert service.asked == [REQUESTS[name]] * 3


def test_tries_are_bounded(service, certificates, client_at) -> None:
    service.errors = [TransportError("broken")] * 100
    with (
        listening(service, certificates.server) as address,
        client_at(address) as client,
        pytest.raises(TransportError),
    ):
        client.ask(REQUESTS["confirm"])
    assert 3 <= len(service.asked) < 10


def test_a_stream_of_announcements_survives_a_restart_of_the_server(service, certificates, client_at) -> None:
    service.announcements, service.hold = [AggregateReady(1, 0)], True
    with listening(service, certificates.server) as address:
        client = client_at(address, patience=Patience(reconnect_s=WAIT_S))
        announcements = client.follow()
        assert next(announcements) == AggregateReady(1, 0)
    service.announcements, service.hold = [AggregateReady(2, 3), FederationFailed("", "over")], False
    with listening(service, certificates.server, address), client:
        assert list(announcements) == service.announcements


def test_a_server_that_stays_away_ends_the_stream_with_a_reason(service, certificates, client_at) -> None:
    service.announcements, service.hold = [AggregateReady(1, 0)], True
    with listening(service, certificates.server) as address:
        client = client_at(address)
        announcements = client.follow()
        next(announcements)
    with client, pytest.raises(TransportError, match=r"out of reach for 0\.1 s: nothing listens"):
        next(announcements)


@pytest.mark.slow
def test_a_member_that_trains_in_silence_keeps_its_stream(service, certificates, client_at) -> None:
    # grpc pings once a second at most: six pings without a word, as in a training of a minute at the default interval,
    # of which a server that does not tolerate them takes three.
    keepalive = Keepalive(interval_s=0.5, timeout_s=WAIT_S)
    service.announcements, service.silence_s = [AggregateReady(1, 0), AggregateReady(2, 0)], 6.0
    with (
        listening(service, certificates.server, keepalive=keepalive) as address,
        client_at(address, keepalive=keepalive) as client,
    ):
        assert list(client.follow()) == service.announcements
    assert service.left == 1


def test_an_announcement_of_many_mebibytes_travels(service, certificates, client_at) -> None:
    members = tuple(f"{'m' * 59}{number:04}" for number in range(1000))
    advert = COHORT.adverts[0]
    adverts = tuple(replace(advert, body=replace(advert.body, signer=member)) for member in members)
    cohort = replace(COHORT, manifest=replace(MANIFEST, invited=members), adverts=adverts)
    opened = RoundOpened(MANIFEST, (SettledAttempt(cohort, CERTIFICATE),) * 8)
    service.announcements = [opened]
    assert len(encode_announcement(opened)) > 2 * MAX_MESSAGE_BYTES
    with listening(service, certificates.server) as address, client_at(address) as client:
        assert list(client.follow()) == [opened]


@pytest.mark.parametrize("path", ["/securefl.v1.Aggregator/Join", "/securefl.v2.Aggregator/Join"])
def test_a_member_of_an_older_version_is_refused_in_one_sentence(service, certificates, path: str) -> None:
    with (
        listening(service, certificates.server) as address,
        pytest.raises(ProtocolError, match="version 3 of the protocol, and this member another one"),
    ):
        raw_call(certificates.client, address, lambda channel: channel.unary_unary(path)(b"", timeout=WAIT_S))
    assert service.asked == []


def test_a_message_beyond_the_limit_is_refused_by_the_server(service, certificates) -> None:
    oversized = bytes(MAX_MESSAGE_BYTES + 1)
    with (
        listening(service, certificates.server) as address,
        pytest.raises(RunError, match="larger than max"),
    ):
        raw_call(
            certificates.client,
            address,
            lambda channel: channel.unary_unary(Call.VOTE.path)(oversized, timeout=WAIT_S),
        )
    assert service.asked == []


def test_the_table_of_calls_is_the_protos() -> None:
    service = pb.DESCRIPTOR.services_by_name["Aggregator"]
    assert service.full_name == SERVICE
    methods = {method.name: method for method in service.methods}
    assert set(methods) == {call.value for call in Call}
    assert {name for name, method in methods.items() if method.client_streaming} == {c.value for c in UPLOADS}
    assert {name for name, method in methods.items() if method.server_streaming} == {
        c.value for c in DOWNLOADS
    }


# --- who is refused, and under which name


def refusals_of(service, certificates, attack: Callable[[str], object], **options) -> list[Refusal]:
    """What the server tells of an attack on it."""
    refused: list[Refusal] = []
    with listening(service, certificates.server, refused=refused.append, **options) as address:
        attack(address)
    return refused


def test_a_revoked_certificate_is_refused_under_its_name(service, certificates, client_at) -> None:
    revoked: set[bytes] = set()

    def attack(address: str) -> None:
        with client_at(address) as client:
            client.ask(REQUESTS["confirm"])
            revoked.add(certificates.client.fingerprint)
            with pytest.raises(AuthenticationError, match="certificate is revoked"):
                client.ask(REQUESTS["confirm"])

    refused = refusals_of(service, certificates, attack, revoked=lambda: frozenset(revoked))
    assert refused == [Refusal(Reason.REVOKED, certificates.client.fingerprint, "Confirm")]
    assert len(service.asked) == 1


def test_a_certificate_that_is_revoked_while_its_member_follows_hears_nothing_more(
    service, certificates, client_at
) -> None:
    revoked: set[bytes] = set()
    service.announcements = [AggregateReady(1, 0), AggregateReady(2, 0)]
    service.before_announcement = lambda number: number and revoked.add(certificates.client.fingerprint)

    def attack(address: str) -> None:
        with client_at(address) as client:
            announcements = client.follow()
            assert next(announcements) == AggregateReady(1, 0)
            with pytest.raises(AuthenticationError, match="certificate is revoked"):
                next(announcements)

    refused = refusals_of(service, certificates, attack, revoked=lambda: frozenset(revoked))
    assert [refusal.reason for refusal in refused] == [Reason.REVOKED]


def test_a_certificate_that_is_revoked_in_silence_loses_its_stream(service, certificates, client_at) -> None:
    revoked: set[bytes] = set()
    service.announcements, service.hold = [AggregateReady(1, 0)], True

    def attack(address: str) -> None:
        with client_at(address) as client:
            announcements = client.follow()
            next(announcements)
            revoked.add(certificates.client.fingerprint)
            with pytest.raises(AuthenticationError, match="certificate is revoked"):
                next(announcements)

    options = {"revoked": lambda: frozenset(revoked), "look_s": 0.05}
    refused = refusals_of(service, certificates, attack, **options)
    assert [(each.reason, each.call) for each in refused] == [(Reason.REVOKED, "Follow")]
    assert service.left == 1


def test_a_certificate_that_expires_while_its_connection_lasts_is_refused_under_its_name(
    service, certificates, client_at
) -> None:
    clock = [datetime.now(UTC)]

    def attack(address: str) -> None:
        with client_at(address) as client:
            client.ask(REQUESTS["confirm"])
            clock[0] += timedelta(days=365 * 50)
            with pytest.raises(AuthenticationError, match="certificate has expired"):
                client.ask(REQUESTS["confirm"])

    refused = refusals_of(service, certificates, attack, now=lambda: clock[0])
    assert [refusal.reason for refusal in refused] == [Reason.EXPIRED]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["foreign", "expired"])
def test_a_certificate_that_tls_refuses_reaches_no_call_and_its_member_is_told(
    service, certificates, client_at, kind: str
) -> None:
    if kind == "foreign":
        other = type(certificates).make().client
        shown = replace(other, authority=certificates.client.authority)
    else:
        shown = certificates.authority.issue(
            "client-1", role=Role.CLIENT, now=NOW - timedelta(days=10), days=5
        )

    def attack(address: str) -> None:
        with (
            client_at(address, credentials=shown) as client,
            pytest.raises(IdentityError, match="this member's certificate"),
        ):
            client.join()

    assert refusals_of(service, certificates, attack) == []
    assert service.asked == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AuthenticationError("the certificate belongs to no member"), Reason.NOT_AUTHENTIC),
        (ProtocolError("no round is open"), Reason.OUT_OF_ORDER),
        (WireError("too long"), Reason.MALFORMED),
        (RunError("the disk is full"), Reason.OTHER),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else "",
)
def test_what_the_service_refuses_is_told_by_its_kind(
    service, certificates, client_at, error: RunError, reason: Reason
) -> None:
    service.errors = [error]

    def attack(address: str) -> None:
        with client_at(address) as client, pytest.raises(RunError):
            client.ask(REQUESTS["vote"])

    assert [(each.reason, each.call) for each in refusals_of(service, certificates, attack)] == [
        (reason, "Vote")
    ]


def test_a_malformed_message_is_refused_under_its_name(service, certificates) -> None:
    def attack(address: str) -> None:
        with pytest.raises(WireError):
            raw_call(
                certificates.client,
                address,
                lambda channel: channel.unary_unary(Call.REVEAL.path)(b"\xff", timeout=WAIT_S),
            )

    assert [each.reason for each in refusals_of(service, certificates, attack)] == [Reason.MALFORMED]
    assert service.asked == []


def test_more_open_calls_than_the_quota_are_refused(service, certificates, client_at) -> None:
    service.hold, service.announcements = True, [AggregateReady(1, 0)]

    def attack(address: str) -> None:
        with client_at(address) as client:
            held = [client.follow() for _ in range(2)]
            for announcements in held:
                next(announcements)
            with pytest.raises(TransportError):
                client.ask(REQUESTS["confirm"])
        assert REQUESTS["confirm"] not in service.asked

    refused = refusals_of(service, certificates, attack, quota=Quota(open_calls=2))
    assert {each.reason for each in refused} == {Reason.OPEN_CALLS}


def test_calls_that_come_too_fast_are_slowed_down_and_a_patient_member_goes_on(
    service, certificates, client_at
) -> None:
    clock = [0.0]
    refused: list[Refusal] = []

    def note(refusal: Refusal) -> None:
        refused.append(refusal)
        clock[0] += 1.0

    options = {"quota": Quota(burst=3, calls_per_s=1.0), "clock": lambda: clock[0], "refused": note}
    with listening(service, certificates.server, **options) as address, client_at(address) as client:
        for _ in range(5):
            client.ask(REQUESTS["confirm"])
    assert [each.reason for each in refused] == [Reason.CALL_RATE] * 2
    assert len(service.asked) == 5


def test_quotas_of_one_member_are_not_anothers(service, certificates, client_at) -> None:
    other = certificates.authority.issue("client-2", role=Role.CLIENT, now=NOW)
    options = {"quota": Quota(burst=1, calls_per_s=0.0), "clock": lambda: 0.0}
    with listening(service, certificates.server, **options) as address:
        for credentials in (certificates.client, other):
            with client_at(address, credentials=credentials) as client:
                client.ask(REQUESTS["confirm"])
    assert len(service.asked) == 2


def send_raw(certificates, address: str, messages: list[bytes]) -> None:
    raw_call(
        certificates.client,
        address,
        lambda channel: channel.stream_unary(Call.STAGE.path)(iter(messages), timeout=WAIT_S),
    )


def test_a_body_beyond_the_layouts_size_is_refused_and_not_added(service, certificates) -> None:
    staged = replace(STAGE, body_digest=hashlib.sha256(BODY + b"x").digest())
    messages = list(contribution_messages(staged, body=[BODY], offset=0))
    messages.append(encode_contribution_part(BodyChunk(b"x")))

    def attack(address: str) -> None:
        with pytest.raises(WireError, match="longer than"):
            send_raw(certificates, address, messages)

    assert [each.reason for each in refusals_of(service, certificates, attack)] == [Reason.MALFORMED]
    assert bytes(service.body) == BODY


def test_a_contribution_sent_again_and_again_ends_at_the_quota_of_bytes(service, certificates) -> None:
    messages = list(contribution_messages(STAGE, body=[BODY], offset=0))
    refused: list[Refusal] = []

    def attack(address: str) -> None:
        for _ in range(20):
            with suppress(ProtocolError):
                send_raw(certificates, address, messages)

    refused = refusals_of(service, certificates, attack, quota=Quota(streams=4))
    assert len(refused) >= 15
    assert {each.reason for each in refused} == {Reason.BYTES}
    assert bytes(service.body) == BODY


@pytest.mark.parametrize("shown", [b"", b"\xff", encode_contribution_part(BodyChunk(b"x"))])
def test_an_upload_that_does_not_begin_with_its_head_is_refused(service, certificates, shown: bytes) -> None:
    def attack(address: str) -> None:
        with pytest.raises(WireError):
            send_raw(certificates, address, [shown])

    assert [each.reason for each in refusals_of(service, certificates, attack)] == [Reason.MALFORMED]


def test_an_upload_to_an_attempt_that_is_not_open_is_refused(service, certificates, client_at) -> None:
    other = replace(STAGE, attempt=replace(ATTEMPT, number=2))
    with (
        listening(service, certificates.server) as address,
        client_at(address) as client,
        pytest.raises(ProtocolError, match="not open"),
    ):
        client.stage(other, HeldBody(BODY))
    assert service.body == b""


@pytest.mark.parametrize("held", [1, 1000, 128 << 10, len(BODY) - 1])
def test_what_is_held_already_is_not_added_again(service, certificates, held: int) -> None:
    service.body = bytearray(BODY[:held])
    with listening(service, certificates.server) as address:
        send_raw(certificates, address, list(contribution_messages(STAGE, body=[BODY], offset=0)))
    assert bytes(service.body) == BODY
    assert service.chunks[0][0] == held


def test_an_upload_behind_what_is_held_adds_nothing_and_may_be_repeated(service, certificates) -> None:
    messages = list(contribution_messages(STAGE, body=[BODY[1000:]], offset=1000))
    with listening(service, certificates.server) as address, pytest.raises(TransportError):
        send_raw(certificates, address, messages)
    assert service.body == b""


# --- pauses


def test_pauses_grow_are_spread_and_follow_the_seed() -> None:
    one, again, other = (Backoff(random.Random(seed)) for seed in (1, 1, 2))
    pauses = [one.next() for _ in range(12)]
    assert pauses == [again.next() for _ in range(12)]
    assert pauses != [other.next() for _ in range(12)]
    assert all(0.05 <= pause <= LONGEST_PAUSE_S for pause in pauses)
    assert min(pauses[-3:]) >= LONGEST_PAUSE_S / 2 > max(pauses[:3])
