"""A proxy in the environment is named where it is the cause, and nowhere else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping

import pytest
from support.ports import free_port

from securefl.errors import ConfigError, IdentityError, TransportError
from securefl.transport.diagnosis import diagnose
from securefl.transport.proxies import Proxy, proxy_for, unasked_proxies

HOST = "192.0.2.2"
VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy", "no_proxy", "no_grpc_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Answering:
    """A proxy that gives one answer to every CONNECT, or passes it on to an address."""

    def __init__(self, answer: bytes, target: tuple[str, int] | None = None) -> None:
        self._answer = answer
        self._target = target
        self.asked: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(peer,), daemon=True).start()

    def _handle(self, peer: socket.socket) -> None:
        with peer:
            self.asked.append(peer.recv(4096))
            peer.sendall(self._answer)
            if self._target is not None:
                with socket.create_connection(self._target) as server:
                    threading.Thread(target=_pipe, args=(peer, server), daemon=True).start()
                    _pipe(server, peer)


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(4096):
            sink.sendall(data)
    except OSError:
        return


@pytest.fixture
def refusing(request: pytest.FixtureRequest) -> Iterator[Answering]:
    proxy = Answering(request.param)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
def test_a_proxy_that_cannot_be_reached_is_the_cause(
    connect, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    port = free_port()
    monkeypatch.setenv(variable, f"http://ada:swordfish@127.0.0.1:{port}")
    with pytest.raises(
        ConfigError, match=rf"127\.0\.0\.1:{port} \({variable} in the environment\)"
    ) as caught:
        connect(f"{HOST}:7444").join()
    assert f"no_proxy={HOST}" in str(caught.value)
    assert "certificate" not in str(caught.value)
    assert "swordfish" not in str(caught.value)


@pytest.mark.parametrize(
    ("refusing", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP 403"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "HTTP 407"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not answer like a proxy"),
        (b"", "not answer like a proxy"),
    ],
    indirect=["refusing"],
)
def test_a_proxy_that_refuses_is_the_cause(
    monkeypatch: pytest.MonkeyPatch, certificates, refusing: Answering, words: str
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{refusing.port}")
    error = diagnose(f"{HOST}:7444", certificates.client.authority).error
    assert isinstance(error, ConfigError)
    assert words in str(error)
    assert f"no_proxy={HOST}" in str(error)
    assert refusing.asked[0].startswith(f"CONNECT {HOST}:7444 HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("refusing", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n"], indirect=True)
def test_a_server_that_a_proxy_does_not_reach_yet_may_still_come_up(
    monkeypatch: pytest.MonkeyPatch, certificates, refusing: Answering
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{refusing.port}")
    error = diagnose(f"{HOST}:7444", certificates.client.authority).error
    assert isinstance(error, TransportError)
    assert "HTTP 503" in str(error)


def test_what_is_wrong_behind_a_proxy_is_still_named(
    monkeypatch: pytest.MonkeyPatch, serve, service, certificates
) -> None:
    other = type(certificates).make()
    with serve(service, other.server) as address:
        host, _, port = address.rpartition(":")
        proxy = Answering(b"HTTP/1.1 200 Connection established\r\n\r\n", (host, int(port)))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        error = diagnose(f"{HOST}:7444", certificates.client.authority).error
        proxy.close()
    assert isinstance(error, IdentityError)
    assert "another authority" in str(error)
    assert f"the proxy 127.0.0.1:{proxy.port}" in str(error)


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, None),
        ({"https_proxy": "http://p:1"}, "https_proxy"),
        ({"https_proxy": "http://p:1", "grpc_proxy": "http://q:1"}, "grpc_proxy"),
        ({"https_proxy": "", "http_proxy": "http://p:1"}, None),
        ({"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://p:1", "all_proxy": "http://p:1"}, None),
        ({"https_proxy": "https://p:1"}, None),
        ({"https_proxy": "socks5://p:1"}, None),
        ({"https_proxy": "p:1"}, None),
        ({"https_proxy": "http://p:port"}, None),
        ({"https_proxy": "http://p:1", "no_proxy": HOST}, None),
        ({"https_proxy": "http://p:1", "no_proxy": "example.org, 192.0.2.0/24"}, None),
        ({"https_proxy": "http://p:1", "no_proxy": "*"}, "https_proxy"),
        ({"https_proxy": "http://p:1", "NO_PROXY": HOST}, "https_proxy"),
        ({"https_proxy": "http://p:1", "no_grpc_proxy": "", "no_proxy": HOST}, "https_proxy"),
    ],
)
def test_the_proxy_is_the_one_that_grpc_asks(environment: Mapping[str, str], asked: str | None) -> None:
    """Each row was seen of grpc 1.81, with a listener in the proxy's place."""
    proxy = proxy_for(HOST, environment)
    assert (proxy.variable if proxy else None) == asked


@pytest.mark.parametrize(("host", "left_out"), [("fl.example.org", True), ("example.com", False)])
def test_a_domain_is_left_out_by_its_end(host: str, left_out: bool) -> None:
    environment = {"https_proxy": "http://p:1", "no_proxy": ".example.org"}
    assert (proxy_for(host, environment) is None) is left_out


def test_a_variable_that_grpc_does_not_read_is_named_where_nothing_answers(
    monkeypatch: pytest.MonkeyPatch, certificates
) -> None:
    def silent(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", silent)
    assert "environment" not in str(diagnose(f"{HOST}:1", certificates.client.authority).error)
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    assert "HTTPS_PROXY" in str(diagnose(f"{HOST}:1", certificates.client.authority).error)


def test_a_proxys_password_is_in_no_text_of_it() -> None:
    environment = {"https_proxy": "http://ada:sword%20fish@p:1", "ALL_PROXY": "x"}
    proxy = proxy_for(HOST, environment)
    assert proxy == Proxy("https_proxy", "p", 1, "ada:sword fish")
    assert "sword" not in f"{proxy} {proxy!r}"
    assert unasked_proxies(environment) == ("ALL_PROXY",)
