"""A certified sum whose MAC does not hold: one verdict, which the member signs before anything else happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.agreements import Members
from support.fake_server import FakeServer

from securefl.crypto.authentication import forgery
from securefl.errors import ForgeryError
from securefl.protocol.agreement.signed import Signed
from securefl.protocol.agreement.statement import SpoiledVote
from securefl.protocol.calls import AggregateReady

VICTIM = "client-2"


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    """Four members under a scheme without shares; t = 3."""
    return FakeServer(Members(4, 4, packets=False), tmp_path)


def published(server: FakeServer) -> AggregateReady:
    proposal = server.to_certificate()
    return server.publish(proposal, server.certificate(proposal))


def refuses(
    server: FakeServer, ready: AggregateReady, monkeypatch: pytest.MonkeyPatch, *, keys: bool
) -> None:
    """The victim hears of the sum, and its MAC (or its tag alone) does not hold."""
    station = server.stations[VICTIM]

    def decrypt(*_: object, **__: object) -> None:
        raise forgery(refuses_keys=keys)

    with monkeypatch.context() as patch:
        patch.setattr(station.work, "decrypt", decrypt)
        with pytest.raises(ForgeryError):
            station.hear(ready, lambda request: server.answer(VICTIM, request))


def test_a_refusal_is_signed_and_in_the_journal(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(server, published(server), monkeypatch, keys=True)
    state = server.stations[VICTIM].state
    refused, rules = state.refused, server.members.rules
    assert refused is not None
    assert (refused.round_number, refused.number) == (1, 1)
    assert {refused.number: refused.cohort_digest} == state.committed
    vote = SpoiledVote(rules.attempt(1, 1), VICTIM, refused.statement_digest)
    Signed(vote, refused.signature).verify(server.members.keys[VICTIM].public_key)


def test_a_member_that_is_started_again_does_not_judge_the_sum_a_second_time(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With keys that last, every further verdict could tell about them; here even the true sum is not opened."""
    ready = published(server)
    refuses(server, ready, monkeypatch, keys=True)
    station = server.stations[VICTIM]
    station.start()
    with pytest.raises(ForgeryError) as caught:
        station.hear(ready, lambda request: server.answer(VICTIM, request))
    assert caught.value.refuses_keys
    assert station.work.applied == []


def test_a_tag_that_does_not_hold_refuses_no_keys(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = published(server)
    refuses(server, ready, monkeypatch, keys=False)
    station = server.stations[VICTIM]
    assert station.state.refused is None
    station.start()
    station.hear(ready, lambda request: server.answer(VICTIM, request))
    assert len(station.work.applied) == 1
