"""Peers that are refused, and the names that the server tells of it: certificates, quotas, malformed messages."""

from __future__ import annotations

import asyncio
import hashlib
import queue
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.round_service import HeldBody, HeldService, listening
from support.rounds import ATTEMPT, BODY, CERTIFICATE, STAGE
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
from securefl.protocol.calls import (
    AggregateReady,
    CastVote,
    Confirm,
)
from securefl.protocol.wire_staging import BodyChunk, contribution_messages, encode_contribution_part
from securefl.transport.aggregator_client import AggregatorClient
from securefl.transport.handshakes import Handshakes
from securefl.transport.limits import Patience
from securefl.transport.quotas import Quota
from securefl.transport.refusals import Reason, Refusal
from securefl.transport.service_calls import Call

BRIEF = Patience(connect_s=0.5, reconnect_s=0.1, attempts=3, unary_s=60)
CONFIRM = Confirm(7, last=True)
VOTE = CastVote(CERTIFICATE.votes[0])


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
            client.ask(CONFIRM)
            revoked.add(certificates.client.fingerprint)
            with pytest.raises(AuthenticationError, match="certificate is revoked"):
                client.ask(CONFIRM)

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
            client.ask(CONFIRM)
            clock[0] += timedelta(days=365 * 50)
            with pytest.raises(AuthenticationError, match="certificate has expired"):
                client.ask(CONFIRM)

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

    told: queue.SimpleQueue[Refusal] = queue.SimpleQueue()
    with listening(service, certificates.server, refused=told.put, first_call_s=0.05) as address:
        attack(address)
        refusal = told.get(timeout=WAIT_S)
    assert (refusal.reason, refusal.certificate, refusal.call) == (Reason.HANDSHAKE, b"", "handshake")
    assert refusal.count >= 1
    assert service.asked == []


def test_a_connection_is_counted_off_at_its_first_call(
    service, certificates, client_at, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers: list[str] = []
    monkeypatch.setattr(Handshakes, "called", lambda handshakes, peer: peers.append(peer))
    with listening(service, certificates.server) as address, client_at(address) as client:
        client.join()
        client.ask(CONFIRM)
    assert len(set(peers)) == 1
    assert peers[0].startswith("ipv4:127.0.0.1:")


def test_only_connections_without_a_call_are_told() -> None:
    told: list[Refusal] = []

    async def counted() -> None:
        done = asyncio.get_running_loop().create_future()

        def refused(refusal: Refusal) -> None:
            told.append(refusal)
            if sum(each.count for each in told) >= 2:
                done.set_result(None)

        handshakes = Handshakes(refused, patience_s=0.05)
        handshakes.begun()
        handshakes.open()
        for _ in range(3):
            handshakes.begun()
        # What a thread of grpc's tells arrives with the loop's next turn.
        await asyncio.sleep(0)
        handshakes.called("ipv4:192.0.2.7:1")
        handshakes.called("ipv4:192.0.2.7:1")
        await asyncio.wait_for(done, WAIT_S)
        handshakes.close()

    asyncio.run(counted())
    assert {(each.reason, each.certificate, each.call) for each in told} == {
        (Reason.HANDSHAKE, b"", "handshake")
    }
    assert sum(each.count for each in told) == 2


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
            client.ask(VOTE)

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
                client.ask(CONFIRM)
        assert CONFIRM not in service.asked

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
            client.ask(CONFIRM)
    assert [each.reason for each in refused] == [Reason.CALL_RATE] * 2
    assert len(service.asked) == 5


def test_quotas_of_one_member_are_not_anothers(service, certificates, client_at) -> None:
    other = certificates.authority.issue("client-2", role=Role.CLIENT, now=NOW)
    options = {"quota": Quota(burst=1, calls_per_s=0.0), "clock": lambda: 0.0}
    with listening(service, certificates.server, **options) as address:
        for credentials in (certificates.client, other):
            with client_at(address, credentials=credentials) as client:
                client.ask(CONFIRM)
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
