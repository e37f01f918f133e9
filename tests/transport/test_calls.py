"""Calls over the real transport: what arrives, what is tried again, what is not, and what observers see."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

import pytest
from support.contributions import Whole
from support.servers import DIGEST, PROCESS, WAIT_S, raw_call

from securefl.errors import (
    AuthenticationError,
    ProtocolError,
    RunError,
    StateError,
    TransportError,
    WireError,
)
from securefl.protocol import wire, wire_parts
from securefl.protocol.messages import (
    CHUNK_BYTES,
    PROTOCOL_VERSION,
    AggregateHeader,
    AggregateReady,
    ContributionHeader,
    FederationClosed,
    FederationFailed,
    Receipt,
    SignedHeader,
    Waiting,
)
from securefl.protocol.sections import StreamSizes
from securefl.protocol.streams import aggregate_preamble, contribution_messages
from securefl.transport.failures import error_of, status_of
from securefl.transport.grpc_tls import grpc
from securefl.transport.limits import (
    DEFAULT_KEEPALIVE,
    MAX_MESSAGE_BYTES,
    Patience,
    client_options,
    transfer_timeout_s,
)
from securefl.transport.methods import CLIENT_STREAMS, SERVER_STREAMS, SERVICE, Method
from securefl.transport.telemetry import ByteCounter, Direction, observers
from securefl.v2 import aggregator_pb2 as pb

SIGNED = SignedHeader(ContributionHeader("client-1", 1, DIGEST, DIGEST, DIGEST), b"s" * 64)
BODY = bytes(range(256)) * 6000
SIZES = StreamSizes(seeds_bytes=64, body_bytes=len(BODY))
OUTGOING = Whole(SIGNED, b"x" * 64, (BODY[:1000], BODY[1000:]))
HEADER = AggregateHeader(1, (SIGNED,) * 3, (b"x" * 64,) * 3, len(BODY), 0.5)


def aggregate() -> list[bytes]:
    parts = [BODY[at : at + CHUNK_BYTES] for at in range(0, len(BODY), CHUNK_BYTES)]
    return [
        *aggregate_preamble(HEADER),
        *(wire_parts.encode_aggregate_part(wire_parts.BodyChunk(part)) for part in parts),
    ]


def test_every_call_reaches_the_service_with_its_objects(serve, service, certificates, connect) -> None:
    service.announcements = [Waiting(("client-2",)), FederationClosed()]
    service.parts = aggregate()
    with serve(service, certificates.server) as address:
        client = connect(address)
        assert client.join() == AggregateReady(1)
        assert list(client.follow()) == service.announcements
        assert client.contribute(OUTGOING) == Receipt(1, DIGEST)
        body = io.BytesIO(b"left over from an attempt that broke off" * 100_000)
        header = client.fetch_aggregate(1, contributors=3, sizes=SIZES, body=body)
        client.confirm(7)
        client.confirm(8, last=True)
        client.finish()
        client.last_words("no\nmemory")
    assert (header, body.getvalue()) == (HEADER, BODY)
    assert service.uploads == [list(contribution_messages(OUTGOING))]
    hello = wire.Hello(PROTOCOL_VERSION, DIGEST, PROCESS)
    assert service.asked == [
        hello,
        hello,
        "contribution",
        1,
        wire.Confirmation(7),
        wire.Confirmation(8, last=True),
        wire.Farewell(finished=True, last_words="", process=PROCESS),
        wire.Farewell(finished=False, last_words="no memory", process=PROCESS),
    ]


CALLS: dict[str, Callable] = {
    "join": lambda client: client.join(),
    "follow": lambda client: list(client.follow()),
    "contribute": lambda client: client.contribute(OUTGOING),
    "fetch": lambda client: client.fetch_aggregate(1, contributors=3, sizes=SIZES, body=io.BytesIO()),
    "confirm": lambda client: client.confirm(1),
    "finish": lambda client: client.finish(),
}


@pytest.mark.parametrize("error", [WireError, ProtocolError, AuthenticationError])
@pytest.mark.parametrize("call", CALLS)
def test_a_refusal_arrives_as_the_same_kind_of_error_and_is_not_tried_again(
    serve, service, certificates, connect, call: str, error: type[RunError]
) -> None:
    service.errors = [error("this cannot be", where="here", hint="do that"), error("asked twice")]
    with (
        serve(service, certificates.server) as address,
        pytest.raises(error, match=r"this cannot be \(here\): do that\.$"),
    ):
        CALLS[call](connect(address))
    assert len(service.asked) == 1


@pytest.mark.parametrize("call", ["contribute", "fetch", "confirm", "finish"])
def test_a_broken_connection_is_tried_again_with_the_same_bytes(
    serve, service, certificates, connect, call: str
) -> None:
    service.parts = aggregate()
    service.errors = [TransportError("broken"), TransportError("broken")]
    with serve(service, certificates.server) as address:
        CALLS[call](connect(address))
    assert len(service.asked) == 3
    assert all(upload == service.uploads[0] for upload in service.uploads)


@pytest.mark.parametrize("call", ["contribute", "fetch", "confirm", "finish"])
def test_tries_are_bounded(serve, service, certificates, connect, call: str) -> None:
    service.parts = aggregate()
    service.errors = [TransportError("broken")] * 10
    with serve(service, certificates.server) as address, pytest.raises(TransportError):
        CALLS[call](connect(address, patience=Patience(attempts=3)))
    assert len(service.asked) == 3


def test_last_words_never_raise(connect) -> None:
    client = connect("127.0.0.1:1")
    client.last_words("nobody hears this")


def test_a_client_that_comes_first_waits_for_the_server(serve, service, certificates, connect) -> None:
    with serve(service, certificates.server) as address:
        pass
    client = connect(address, patience=Patience(connect_s=WAIT_S))
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(client.join()))
    thread.start()
    with serve(service, certificates.server, address):
        thread.join(WAIT_S)
    assert answers == [AggregateReady(1)]


def test_a_server_that_comes_up_between_a_call_and_the_look_for_its_reason_is_joined(
    serve, service, certificates, connect
) -> None:
    # The call fails, and the attempt after it is let in: that must not be taken for a refused certificate.
    service.errors = [TransportError("not up yet")]
    with serve(service, certificates.server) as address:
        assert connect(address).join() == AggregateReady(1)


def test_a_stream_of_announcements_survives_a_restart_of_the_server(
    serve, service, certificates, connect
) -> None:
    service.announcements, service.hold = [AggregateReady(1)], True
    with serve(service, certificates.server) as address:
        announcements = connect(address, patience=Patience(reconnect_s=WAIT_S)).follow()
        assert next(announcements) == AggregateReady(1)
    service.announcements, service.hold = [AggregateReady(2), FederationFailed("", "over")], False
    with serve(service, certificates.server, address):
        assert list(announcements) == service.announcements


def test_a_server_that_stays_away_ends_the_stream_with_a_reason(
    serve, service, certificates, connect
) -> None:
    service.announcements, service.hold = [AggregateReady(1)], True
    with serve(service, certificates.server) as address:
        announcements = connect(address, patience=Patience(reconnect_s=0.3)).follow()
        next(announcements)
    with pytest.raises(TransportError, match=r"out of reach for 0\.3 s: nothing listens"):
        next(announcements)


def test_closing_the_client_ends_its_stream_in_another_thread(serve, service, certificates, connect) -> None:
    service.announcements, service.hold = [AggregateReady(1)], True
    heard: list[object] = []
    first = threading.Event()

    def follow() -> None:
        for announcement in client.follow():
            heard.append(announcement)
            first.set()
        heard.append("ended")

    with serve(service, certificates.server) as address:
        client = connect(address)
        thread = threading.Thread(target=follow)
        thread.start()
        assert first.wait(WAIT_S)
        client.close()
        thread.join(WAIT_S)
    assert heard == [AggregateReady(1), "ended"]
    with pytest.raises(TransportError):
        client.confirm(1)


def test_an_announcement_that_is_none_is_refused(serve, service, certificates, connect) -> None:
    service.parts = [b"\xff"]
    with serve(service, certificates.server) as address, pytest.raises(WireError):
        connect(address).fetch_aggregate(1, contributors=3, sizes=SIZES, body=io.BytesIO())


@pytest.mark.parametrize(
    "sizes", [StreamSizes(seeds_bytes=64, body_bytes=1), StreamSizes(seeds_bytes=63, body_bytes=len(BODY))]
)
def test_an_aggregate_of_another_size_is_refused_at_its_head(
    serve, service, certificates, connect, sizes: StreamSizes
) -> None:
    counter = ByteCounter()
    service.parts = [aggregate()[0], *aggregate()[1:] * 50]
    with serve(service, certificates.server) as address, pytest.raises(WireError, match="declares"):
        connect(address, observer=counter).fetch_aggregate(1, contributors=3, sizes=sizes, body=io.BytesIO())
    assert counter.received < 5 * CHUNK_BYTES


def test_a_message_beyond_the_limit_is_refused_by_the_server(serve, service, certificates) -> None:
    oversized = bytes(MAX_MESSAGE_BYTES + 1)
    with (
        serve(service, certificates.server) as address,
        pytest.raises(RunError, match="larger than max") as caught,
    ):
        raw_call(
            certificates.client,
            address,
            lambda channel: channel.unary_unary(Method.LEAVE.path)(oversized, timeout=WAIT_S),
        )
    assert not caught.value.retryable
    assert service.asked == []


def test_a_call_that_the_server_does_not_know_is_one_sentence(serve, service, certificates) -> None:
    with serve(service, certificates.server) as address, pytest.raises(ProtocolError, match="same version"):
        raw_call(
            certificates.client,
            address,
            lambda channel: channel.unary_unary(f"/{SERVICE}/Advert")(b"", timeout=WAIT_S),
        )


def test_a_client_of_0_1_0_is_refused_in_one_sentence(serve, service, certificates) -> None:
    hello = pb.Hello(protocol_version=1, federation_digest=DIGEST, process=PROCESS).SerializeToString()
    calls: list[Callable[[grpc.Channel], object]] = [
        lambda channel: channel.unary_unary("/securefl.v1.Aggregator/Join")(hello, timeout=WAIT_S),
        lambda channel: list(channel.unary_stream("/securefl.v1.Aggregator/Follow")(hello, timeout=WAIT_S)),
        lambda channel: channel.stream_unary("/securefl.v1.Aggregator/Contribute")(
            iter([b""]), timeout=WAIT_S
        ),
    ]
    for call in calls:
        with (
            serve(service, certificates.server) as address,
            pytest.raises(ProtocolError, match=r"speaks version 2 of the protocol.*same version") as refused,
        ):
            raw_call(certificates.client, address, call)
        assert "\n" not in str(refused.value)
    assert service.asked == []


def test_a_server_of_0_1_0_ends_a_client_with_one_sentence(
    serve, service, certificates, connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securefl.transport.server.SERVICE", "securefl.v1.Aggregator")
    monkeypatch.setattr("securefl.transport.server.FAMILY", "nothing.")
    with (
        serve(service, certificates.server) as address,
        pytest.raises(ProtocolError, match=r"another version of the protocol.*same version") as refused,
    ):
        connect(address).join()
    assert not refused.value.retryable
    assert service.asked == []


def test_observers_on_both_sides_see_the_same_bytes(serve, service, certificates, connect) -> None:
    seen: dict[str, list[tuple[Direction, str, bytes]]] = {"server": [], "client": []}
    counter = ByteCounter()
    service.announcements = [FederationClosed()]
    service.parts = aggregate()
    with serve(
        service, certificates.server, observer=lambda *message: seen["server"].append(message)
    ) as address:
        client = connect(
            address, observer=observers(counter, lambda *message: seen["client"].append(message))
        )
        for call in CALLS.values():
            call(client)

    def travelled(side: str, direction: Direction) -> list[tuple[str, bytes]]:
        return [(method, message) for seen_as, method, message in seen[side] if seen_as is direction]

    assert travelled("client", Direction.SENT) == travelled("server", Direction.RECEIVED)
    assert travelled("client", Direction.RECEIVED) == travelled("server", Direction.SENT)
    assert counter.sent == sum(len(message) for _, message in travelled("client", Direction.SENT)) > 0
    assert (
        counter.received
        == sum(len(message) for _, message in travelled("client", Direction.RECEIVED))
        > len(BODY)
    )


def test_the_table_of_calls_is_the_protos_service() -> None:
    declared = pb.DESCRIPTOR.services_by_name["Aggregator"]
    assert declared.full_name == SERVICE
    assert {method.name for method in declared.methods} == {method.value for method in Method}
    for method in declared.methods:
        assert method.client_streaming == (Method(method.name) in CLIENT_STREAMS)
        assert method.server_streaming == (Method(method.name) in SERVER_STREAMS)


@pytest.mark.parametrize("error", [WireError, ProtocolError, AuthenticationError, TransportError, RunError])
def test_an_error_keeps_its_kind_on_the_way(error: type[RunError]) -> None:
    code, sentence = status_of(error("that is wrong", hint="mend it"))
    assert type(error_of(code, sentence, call="Join")) is error


def test_errors_without_a_status_of_their_own_become_run_errors() -> None:
    code, sentence = status_of(StateError("the disk is full"))
    assert "the disk is full" in str(error_of(code, sentence, call="Join"))
    assert not error_of(code, sentence, call="Join").retryable


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_becomes_one_plain_sentence(code: grpc.StatusCode) -> None:
    text = str(error_of(code, "two\nlines \x1b[31m" + "x" * 2000, call="Join"))
    assert text.isprintable()
    assert len(text) < 700
    assert text.endswith(".")


def test_a_proxy_is_not_asked_for_this_machines_own_addresses() -> None:
    assert ("grpc.enable_http_proxy", 0) in client_options(DEFAULT_KEEPALIVE, loopback=True)
    assert ("grpc.enable_http_proxy", 1) in client_options(DEFAULT_KEEPALIVE, loopback=False)


def test_larger_bodies_may_travel_longer() -> None:
    assert 60 <= transfer_timeout_s(0) < transfer_timeout_s(10**9) < 10**5
