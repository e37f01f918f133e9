"""Calls of version 3 over the real transport: what arrives, what is tried again, what is refused and how."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from support.ports import free_address
from support.round_service import HeldService, listening
from support.rounds import ATTEMPT, CERTIFICATE, COHORT, HEADERS, MANIFEST, REVEALS
from support.servers import DIGEST, PROCESS, WAIT_S, raw_call

from securefl.errors import (
    AuthenticationError,
    ProtocolError,
    RunError,
    TransportError,
    WireError,
)
from securefl.identity.certificates import Credentials
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
from securefl.transport import aggregator_server
from securefl.transport.aggregator_client import AggregatorClient, ShortRequest
from securefl.transport.aggregator_server import AggregatorServer
from securefl.transport.limits import MAX_MESSAGE_BYTES, Keepalive, Patience
from securefl.transport.persistence import LONGEST_PAUSE_S, Backoff
from securefl.transport.service_calls import SERVICE, Call
from securefl.v3 import aggregator_pb2 as pb

BRIEF = Patience(connect_s=0.5, reconnect_s=0.1, attempts=3, unary_s=60)
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
    with listening(service, certificates.server, free_address()) as address:
        client = client_at(address, patience=Patience(reconnect_s=WAIT_S))
        announcements = client.follow()
        assert next(announcements) == AggregateReady(1, 0)
    service.announcements, service.hold = [AggregateReady(2, 3), FederationFailed("", "over")], False
    with listening(service, certificates.server, address), client:
        assert list(announcements) == service.announcements


def test_a_server_that_stays_away_ends_the_stream_with_a_reason(service, certificates, client_at) -> None:
    service.announcements, service.hold = [AggregateReady(1, 0)], True
    with listening(service, certificates.server, free_address()) as address:
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


def test_an_announcement_is_encoded_once_for_all_members(
    service, certificates, client_at, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[object] = []

    def counted(told):
        encoded.append(told)
        return encode_announcement(told)

    monkeypatch.setattr(aggregator_server, "encode_announcement", counted)
    with listening(service, certificates.server) as address, client_at(address) as client:
        for told in (CohortClosed(COHORT), FederationClosed()):
            service.announcements = [told]
            for _ in range(3):
                assert list(client.follow()) == [told]
    assert encoded == [CohortClosed(COHORT), FederationClosed()]


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
    assert {method.name for method in service.methods} == {call.value for call in Call}


def test_the_server_streams_what_the_proto_streams(service, certificates) -> None:
    async def handlers() -> Any:
        return AggregatorServer(service, certificates.server)._handlers()

    made = asyncio.run(handlers())
    for method in pb.DESCRIPTOR.services_by_name["Aggregator"].methods:
        handler = made.service(SimpleNamespace(method=Call(method.name).path))
        kinds = handler.request_streaming, handler.response_streaming
        assert kinds == (method.client_streaming, method.server_streaming), method.name


# --- pauses


def test_pauses_grow_are_spread_and_follow_the_seed() -> None:
    one, again, other = (Backoff(random.Random(seed)) for seed in (1, 1, 2))
    pauses = [one.next() for _ in range(12)]
    assert pauses == [again.next() for _ in range(12)]
    assert pauses != [other.next() for _ in range(12)]
    assert all(0.05 <= pause <= LONGEST_PAUSE_S for pause in pauses)
    assert min(pauses[-3:]) >= LONGEST_PAUSE_S / 2 > max(pauses[:3])
