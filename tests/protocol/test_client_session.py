"""A client acts only on the next round of its own federation with the whole roster."""

from __future__ import annotations

import dataclasses

import pytest
from support.federations import TestFederation, make_federation
from support.machines import Client

from securefl.errors import MemberLost, ProtocolError
from securefl.protocol.client_events import (
    Announced,
    Applied,
    ApplyAggregate,
    Contribute,
    Contributed,
    Fail,
    Finish,
)
from securefl.protocol.client_session import failure_of
from securefl.protocol.messages import (
    AggregateReady,
    FederationClosed,
    FederationFailed,
    Manifest,
    Receipt,
    RoundOpened,
    Waiting,
)

DIGEST = bytes(range(32))


@pytest.fixture(scope="module")
def federation() -> TestFederation:
    return make_federation(ranks=(2, 4, 8), rounds=2, scheme="none")


@pytest.fixture
def session(federation: TestFederation) -> Client:
    return Client(federation.federation)


def manifest_of(federation: TestFederation, number: int = 1) -> Manifest:
    return Manifest(federation.federation.digest, number, federation.federation.cohort)


def open_round(session: Client, federation: TestFederation, number: int = 1) -> None:
    session.receive(Announced(RoundOpened(manifest_of(federation, number))))


def play_round(session: Client, federation: TestFederation, number: int) -> None:
    open_round(session, federation, number)
    session.receive(Contributed(Receipt(number, DIGEST), DIGEST))
    session.receive(Announced(AggregateReady(number)))
    session.receive(Applied(number))


def test_an_opened_round_is_contributed_to(session: Client, federation: TestFederation) -> None:
    session.receive(Announced(Waiting(("client-2",))))
    manifest = manifest_of(federation)
    assert session.receive(Announced(RoundOpened(manifest))) == (Contribute(manifest),)


def test_an_aggregate_is_applied_once_though_it_is_announced_twice(
    session: Client, federation: TestFederation
) -> None:
    open_round(session, federation)
    session.receive(Contributed(Receipt(1, DIGEST), DIGEST))
    assert session.receive(Announced(AggregateReady(1))) == (ApplyAggregate(manifest_of(federation)),)
    session.receive(Applied(1))
    assert session.receive(Announced(AggregateReady(1))) == ()


def test_an_opening_that_is_repeated_after_a_reconnection_changes_nothing(
    session: Client, federation: TestFederation
) -> None:
    open_round(session, federation)
    assert session.receive(Announced(RoundOpened(manifest_of(federation)))) == ()


def test_after_the_last_round_the_client_finishes(session: Client, federation: TestFederation) -> None:
    play_round(session, federation, 1)
    play_round(session, federation, 2)
    assert session.receive(Announced(FederationClosed())) == (Finish(),)


def test_a_federation_closed_early_is_refused(session: Client, federation: TestFederation) -> None:
    play_round(session, federation, 1)
    with pytest.raises(ProtocolError, match="before its last"):
        session.receive(Announced(FederationClosed()))


def test_a_federation_that_the_sums_have_ended_is_closed_before_its_last_round(
    session: Client, federation: TestFederation
) -> None:
    end_round(session, federation)
    assert session.receive(Announced(FederationClosed())) == (Finish(),)


def test_a_round_that_is_opened_after_the_sums_have_ended_the_federation_is_refused(
    session: Client, federation: TestFederation
) -> None:
    end_round(session, federation)
    with pytest.raises(ProtocolError, match="round 1 ended the federation"):
        open_round(session, federation, 2)


def end_round(session: Client, federation: TestFederation) -> None:
    open_round(session, federation)
    session.receive(Contributed(Receipt(1, DIGEST), DIGEST))
    session.receive(Announced(AggregateReady(1)))
    session.receive(Applied(1, last=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"federation_digest": bytes(32)}, "another federation"),
        ({"round_number": 2}, "expected was 1"),
        ({"cohort": ("client-1", "client-2")}, "another cohort"),
        ({"cohort": ("client-2", "client-1", "client-3")}, "another cohort"),
    ],
)
def test_a_manifest_that_the_federation_file_does_not_allow_is_refused(
    session: Client, federation: TestFederation, change: dict, words: str
) -> None:
    manifest = dataclasses.replace(manifest_of(federation), **change)
    with pytest.raises(ProtocolError, match=words):
        session.receive(Announced(RoundOpened(manifest)))


def test_a_round_cannot_be_opened_a_second_time(session: Client, federation: TestFederation) -> None:
    play_round(session, federation, 1)
    other = dataclasses.replace(manifest_of(federation), round_number=1, cohort=("client-1",))
    with pytest.raises(ProtocolError):
        session.receive(Announced(RoundOpened(other)))


def test_a_receipt_for_other_bytes_is_refused(session: Client, federation: TestFederation) -> None:
    open_round(session, federation)
    with pytest.raises(ProtocolError, match="another contribution"):
        session.receive(Contributed(Receipt(1, bytes(32)), DIGEST))


def test_an_aggregate_of_a_round_the_client_is_not_in_is_refused(
    session: Client, federation: TestFederation
) -> None:
    open_round(session, federation)
    with pytest.raises(ProtocolError, match="not in"):
        session.receive(Announced(AggregateReady(2)))


def test_a_failed_federation_ends_the_client_with_the_name_of_who_was_lost(
    session: Client, federation: TestFederation
) -> None:
    open_round(session, federation)
    (effect,) = session.receive(Announced(FederationFailed("client-2", "disk full")))
    assert isinstance(effect, Fail)
    error = failure_of(effect.announcement)
    assert isinstance(error, MemberLost)
    assert "client-2" in str(error)
