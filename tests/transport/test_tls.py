"""Who gets through to the service: TLS 1.3, both certificates, one authority; and what the others are told."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from support.ports import free_address
from support.servers import NOW
from transport.shaping import shaped

from securefl.errors import AuthenticationError, ConfigError, IdentityError, TransportError
from securefl.identity.certificates import Credentials, Role
from securefl.protocol.calls import AggregateReady
from securefl.transport.diagnosis import diagnose, is_loopback, split_address
from securefl.transport.grpc_tls import SUITES_VARIABLE, UNUSABLE_SUITE
from securefl.transport.limits import Patience

pytestmark = pytest.mark.slow


def handshake(
    address: str, credentials: Credentials, folder: Path, *, version: ssl.TLSVersion, certificate: bool = True
) -> tuple[str | None, bytes]:
    """Python's own TLS client: the version it got, and what the server sends first (empty: it hung up)."""
    context = ssl.create_default_context(cadata=credentials.authority.decode())
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    if certificate:
        credentials.save(folder)
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    host, port = split_address(address)
    with (
        socket.create_connection((host, port), 10) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        return connection.version(), connection.recv(64)


def test_a_client_of_tls_1_3_gets_through(serve, service, certificates, tmp_path: Path) -> None:
    with serve(service, certificates.server) as address:
        version, first = handshake(address, certificates.client, tmp_path, version=ssl.TLSVersion.TLSv1_3)
    assert version == "TLSv1.3"
    assert first


def test_a_client_of_tls_1_2_is_refused(serve, service, certificates, tmp_path: Path) -> None:
    with serve(service, certificates.server) as address, pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(address, certificates.client, tmp_path, version=ssl.TLSVersion.TLSv1_2)


def test_a_server_of_tls_1_2_is_refused(connect, certificates, tmp_path: Path) -> None:
    with (
        tls_server(certificates.server, tmp_path, maximum=ssl.TLSVersion.TLSv1_2) as address,
        pytest.raises(ConfigError, match=r"breaks off the TLS 1\.3 handshake"),
    ):
        connect(address).join()


def test_a_client_without_a_certificate_gets_nothing(serve, service, certificates, tmp_path: Path) -> None:
    with serve(service, certificates.server) as address:
        _, first = handshake(
            address, certificates.client, tmp_path, version=ssl.TLSVersion.TLSv1_3, certificate=False
        )
    assert first == b""
    assert service.asked == []


def test_the_service_learns_the_fingerprint_of_the_clients_certificate(
    serve, service, certificates, connect
) -> None:
    with serve(service, certificates.server) as address:
        assert connect(address).join() == AggregateReady(1, 0)
    assert service.peers == [certificates.client.fingerprint]


def test_a_certificate_of_another_authority_does_not_reach_the_service(
    serve, service, certificates, connect
) -> None:
    other = type(certificates).make()
    forged = Credentials(
        member="client-1",
        certificate=other.client.certificate,
        private_key=other.client.private_key,
        authority=certificates.client.authority,
    )
    with (
        serve(service, certificates.server) as address,
        pytest.raises(IdentityError, match="closed the connection on this member's certificate"),
    ):
        connect(address, credentials=forged).join()
    assert service.asked == []


def test_a_server_of_another_authority_is_one_sentence(serve, service, certificates, connect) -> None:
    other = type(certificates).make()
    with (
        serve(service, other.server) as address,
        pytest.raises(IdentityError, match="certificate of another authority"),
    ):
        connect(address).join()
    assert service.asked == []


def test_an_expired_certificate_of_the_server_is_one_sentence(serve, service, certificates, connect) -> None:
    expired = type(certificates).make(expired_server=True)
    with serve(service, expired.server) as address, pytest.raises(IdentityError, match="has expired"):
        connect(address, credentials=expired.client).join()


def test_an_expired_certificate_of_the_client_is_one_sentence(serve, service, certificates, connect) -> None:

    stale = certificates.authority.issue("client-1", role=Role.CLIENT, now=NOW - timedelta(days=10), days=5)
    with (
        serve(service, certificates.server) as address,
        pytest.raises(IdentityError, match="this member's certificate"),
    ):
        connect(address, credentials=stale).join()
    assert service.asked == []


def test_a_certificate_for_another_host_is_one_sentence(serve, service, certificates, connect) -> None:
    elsewhere = certificates.authority.issue("server", role=Role.SERVER, now=NOW, names=("example.org",))
    with serve(service, elsewhere) as address, pytest.raises(IdentityError, match="not for the host"):
        connect(address).join()


def test_a_clients_certificate_cannot_stand_in_for_the_servers(serve, service, certificates, connect) -> None:
    posing = certificates.authority.issue("server", role=Role.CLIENT, now=NOW, names=("127.0.0.1",))
    with serve(service, posing) as address, pytest.raises(IdentityError):
        connect(address).join()
    assert service.asked == []


@pytest.mark.parametrize("up_late", [False, True])
def test_a_line_or_a_server_so_slow_that_a_handshake_takes_seconds_is_no_fault_of_a_certificate(
    serve, service, certificates, connect, monkeypatch: pytest.MonkeyPatch, up_late: bool
) -> None:
    """As over a busy satellite, or where a thousand members connect in one moment."""
    with serve(service, certificates.server) as address, shaped(address, latency_s=0.4) as proxy:
        client = connect(proxy.address, patience=Patience(connect_s=60, unary_s=60))
        if up_late:
            monkeypatch.setattr(client._channel, "unary", refused_once(client._channel.unary))
        assert client.join() == AggregateReady(1, 0)


def refused_once(call: Callable[..., bytes]) -> Callable[..., bytes]:
    """As where the server comes up between a first call and the look at what was wrong with it."""
    calls = iter([True])

    def made(*arguments: object, **options: object) -> bytes:
        if next(calls, False):
            raise TransportError("nothing listens")
        return call(*arguments, **options)

    return made


def test_where_nothing_listens_is_one_sentence_after_some_patience(connect) -> None:
    address = free_address()
    with pytest.raises(ConfigError, match=f"nothing listens at {address}") as caught:
        connect(address).join()
    assert caught.value.exit_code == 2
    assert str(caught.value).count(".\n") == 0


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP server that is no aggregator."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    try:
                        answer(peer)
                    except OSError:
                        continue

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def plaintext(peer: socket.socket) -> None:
    peer.recv(100)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_server_without_tls_is_one_sentence(connect) -> None:
    with answering(plaintext) as address, pytest.raises(ConfigError, match="answers without TLS") as caught:
        connect(address).join()
    assert caught.value.exit_code == 2


def test_a_server_that_hangs_up_is_one_sentence(connect) -> None:
    with (
        answering(lambda peer: None) as address,
        pytest.raises(ConfigError, match=r"breaks off|does not answer"),
    ):
        connect(address).join()


@contextmanager
def tls_server(
    credentials: Credentials, folder: Path, *, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> Iterator[str]:
    """TLS without gRPC behind it."""
    credentials.save(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = maximum
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")

    def answer(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True) as connection:
            connection.recv(100)

    with answering(answer) as address:
        yield address


def test_tls_that_is_no_grpc_is_one_sentence(connect, certificates, tmp_path: Path) -> None:
    with (
        tls_server(certificates.server, tmp_path) as address,
        pytest.raises(ConfigError, match="no aggregator"),
    ):
        connect(address).join()


def test_an_unknown_host_is_one_sentence(monkeypatch: pytest.MonkeyPatch, certificates) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = diagnose("no.such.host:7443", certificates.client.authority).error
    assert isinstance(error, ConfigError)
    assert "'no.such.host' is not known" in str(error)


def test_a_name_that_no_name_server_knows_of_ends_soon(monkeypatch: pytest.MonkeyPatch, connect) -> None:
    def nobody_answers(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "create_connection", nobody_answers)
    with pytest.raises(ConfigError, match=r"'no\.such\.host' cannot be looked up"):
        connect("no.such.host:7443", patience=Patience(connect_s=600)).join()


def test_a_silent_host_may_still_come_up(monkeypatch: pytest.MonkeyPatch, certificates) -> None:
    def silent(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", silent)
    error = diagnose("192.0.2.1:7443", certificates.client.authority).error
    assert isinstance(error, TransportError)


def test_a_member_that_the_server_does_not_know_is_told_so(serve, service, certificates, connect) -> None:
    service.errors.append(
        AuthenticationError("the certificate belongs to no member", hint="use the right folder")
    )
    with (
        serve(service, certificates.server) as address,
        pytest.raises(AuthenticationError, match="belongs to no member: use the right folder"),
    ):
        connect(address).join()


@pytest.mark.parametrize(
    ("address", "parts"),
    [("a.b:1", ("a.b", 1)), ("[::1]:7443", ("::1", 7443)), ("127.0.0.1:0", ("127.0.0.1", 0))],
)
def test_addresses_split_into_host_and_port(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address", ["", "host", "host:", ":1", "host:-1", "host:65536", "host:x", "host:1:x"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="no address"):
        split_address(address)


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("10.0.0.1", False)]
)
def test_this_machines_own_addresses_are_known(host: str, own: bool) -> None:
    assert is_loopback(host) is own


@pytest.mark.slow
@pytest.mark.parametrize("module", ["aggregator_client", "aggregator_server", "credentials", "failures"])
def test_whatever_is_imported_first_sets_the_suites_before_grpc(module: str) -> None:
    code = f"import os, securefl.transport.{module}; print(os.environ[{SUITES_VARIABLE!r}])"
    environment = {**os.environ, SUITES_VARIABLE: "HIGH"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    assert result.stdout.strip() == UNUSABLE_SUITE


@pytest.mark.slow
def test_a_grpc_imported_before_is_refused_because_tls_1_2_could_not_be_ruled_out() -> None:
    environment = {name: value for name, value in os.environ.items() if name != SUITES_VARIABLE}
    result = subprocess.run(
        [sys.executable, "-c", "import grpc, securefl.transport.aggregator_client"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert "IdentityError: grpc was imported before" in result.stderr


def test_no_other_module_imports_grpc() -> None:
    root = Path(__file__).parents[2]
    importers = [
        path.name
        for package in ("securefl", "server/securefl_server", "clients/securefl_client")
        for path in (root / package).rglob("*.py")
        if any(line.startswith(("import grpc", "from grpc")) for line in path.read_text().splitlines())
    ]
    assert importers == ["grpc_tls.py"]
