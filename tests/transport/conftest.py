"""A service behind the real transport, and certificates for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from support.round_service import HeldService, listening
from support.servers import DIGEST, HURRIED, NOW, PROCESS, issue_server

from securefl.identity.authority import Authority
from securefl.identity.certificates import Credentials, Role
from securefl.transport.aggregator_client import AggregatorClient


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


@pytest.fixture
def serve() -> Callable[..., Any]:
    return listening


@pytest.fixture
def service() -> HeldService:
    return HeldService()


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
