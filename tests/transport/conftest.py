"""A scripted service behind the real transport, and certificates for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.servers import DIGEST, HURRIED, NOW, PROCESS, WAIT_S, issue_server

from securefl.errors import RunError
from securefl.identity.authority import Authority
from securefl.identity.certificates import Credentials, Role
from securefl.protocol import wire
from securefl.protocol.messages import AggregateReady, Announcement, Receipt
from securefl.transport.client import AggregatorClient
from securefl.transport.server import AggregatorServer


@dataclass
class ScriptedService:
    """Answers as a test says; notes what it was asked."""

    errors: list[RunError] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    peers: list[bytes] = field(default_factory=list)
    uploads: list[list[bytes]] = field(default_factory=list)
    asked: list[object] = field(default_factory=list)
    hold: bool = False

    def note(self, peer: bytes, what: object) -> None:
        self.peers.append(peer)
        self.asked.append(what)
        if self.errors:
            raise self.errors.pop(0)

    async def join(self, peer: bytes, hello: wire.Hello) -> Announcement:
        self.note(peer, hello)
        return AggregateReady(1)

    async def follow(self, peer: bytes, hello: wire.Hello) -> AsyncGenerator[Announcement, None]:
        for announcement in self.announcements:
            yield announcement
        self.note(peer, hello)
        if self.hold:
            await asyncio.Event().wait()

    async def contribute(self, peer: bytes, messages: AsyncIterator[bytes]) -> Receipt:
        self.uploads.append([message async for message in messages])
        self.note(peer, "contribution")
        return Receipt(1, DIGEST)

    async def fetch(self, peer: bytes, number: int) -> AsyncGenerator[bytes, None]:
        for part in self.parts:
            yield part
        self.note(peer, number)

    async def confirm(self, peer: bytes, confirmation: wire.Confirmation) -> None:
        self.note(peer, confirmation)

    async def leave(self, peer: bytes, farewell: wire.Farewell) -> None:
        self.note(peer, farewell)


@dataclass
class Certificates:
    """An authority and what it has issued."""

    authority: Authority
    server: Credentials
    client: Credentials

    @classmethod
    def make(cls, *, expired_server: bool = False) -> Certificates:
        authority = Authority.create("unit", now=NOW)
        server = issue_server(authority, expired=expired_server)
        return cls(authority, server, authority.issue("client-1", role=Role.CLIENT, now=NOW))


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    return Certificates.make()


@contextmanager
def listening(
    service: Any, credentials: Credentials, address: str = "127.0.0.1:0", **options: Any
) -> Iterator[str]:
    """The transport's server on a thread; gives its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[AggregatorServer, str]:
        server = AggregatorServer(service, credentials, **options)
        return server, await server.start(address)

    server, bound = asyncio.run_coroutine_threadsafe(start(), loop).result(WAIT_S)
    try:
        yield bound
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(WAIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_S)
        loop.close()


@pytest.fixture
def serve() -> Callable[..., Any]:
    return listening


@pytest.fixture
def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
def connect(certificates: Certificates) -> Iterator[Callable[..., AggregatorClient]]:
    """Clients that are closed when the test is over."""
    clients: list[AggregatorClient] = []

    def make(address: str, **options: Any) -> AggregatorClient:
        credentials = options.pop("credentials", certificates.client)
        options.setdefault("patience", HURRIED)
        options.setdefault("process", PROCESS)
        clients.append(AggregatorClient(address, credentials, federation_digest=DIGEST, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
