"""A small ledger of one member, and the keys to it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import pytest

from securefl.identity.signing import SigningKey, verify
from securefl.ledger.chain import Verifier
from securefl.ledger.ledger import AggregateApplied, Event, Ledger, RoundContributed, RunFinished, RunStarted

EVENTS: tuple[Event, ...] = (
    RunStarted(member="client-1", federation_digest=b"f" * 32),
    RoundContributed(round_number=1, body_digest=b"b" * 32),
    AggregateApplied(round_number=1, integers_sha256=b"a" * 32),
    RunFinished(rounds=1),
)


@dataclass(frozen=True)
class Keys:
    signer: SigningKey

    @property
    def verifier(self) -> Verifier:
        return functools.partial(verify, self.signer.public_key)


@pytest.fixture
def keys() -> Keys:
    return Keys(SigningKey.generate())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def events() -> tuple[Event, ...]:
    return EVENTS


@pytest.fixture
def written(path: Path, keys: Keys) -> bytes:
    """The bytes of a whole ledger, which stands at ``path`` as well."""
    with Ledger.open(path, signer=keys.signer, verifier=keys.verifier) as ledger:
        for event in EVENTS:
            ledger.append(event)
    return path.read_bytes()
