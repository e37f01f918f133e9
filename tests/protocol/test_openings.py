"""Both state machines begin with the first opening, and files, ledgers and streams know its number."""

from __future__ import annotations

import pytest
from support.heads import make_by_class
from support.machines import Client, Server, accepted_of

from securefl.config.head import HeadSection
from securefl.config.server import ServerSection
from securefl.errors import IdentityError, ProtocolError
from securefl.ledger.events import (
    AggregateApplied,
    RoundContributed,
    RoundReserved,
    event_fields,
    parse_event,
)
from securefl.protocol.client_events import Announced, Applied, Contribute, Contributed, Finish
from securefl.protocol.federation import Federation
from securefl.protocol.messages import (
    AggregateReady,
    FederationClosed,
    Manifest,
    Receipt,
    RoundOpened,
)
from securefl.protocol.openings import Opening, first_round, opening_in, round_name
from securefl.protocol.server_events import AggregateFetched, MemberFinished, MemberJoined, OpenSum, SumSaved
from securefl.protocol.server_view import ServerView
from securefl.protocol.transitions import ServerPhase

MADE = make_by_class(ranks=(2, 4, 8), rounds=1, scheme="none")
FEDERATION = MADE.federation
NUMBERS = (-2, -1, 0, 1)
DIGEST = bytes(32)


def manifest(number: int) -> Manifest:
    return Manifest(FEDERATION.digest, number, FEDERATION.cohort)


def test_the_server_opens_every_opening_and_then_every_round() -> None:
    server = Server(FEDERATION.server_view(ServerSection()))
    effects = [effect for member in FEDERATION.cohort for effect in server.receive(MemberJoined(member))]
    opened = [effect.round_number for effect in effects if isinstance(effect, OpenSum)]
    for number in NUMBERS:
        for member in FEDERATION.cohort:
            server.receive(accepted_of(MADE, member, number))
        server.receive(SumSaved())
        for member in FEDERATION.cohort:
            effects = server.receive(AggregateFetched(member, number))
            opened += [effect.round_number for effect in effects if isinstance(effect, OpenSum)]
    assert opened == list(NUMBERS)
    for member in FEDERATION.cohort:
        server.receive(MemberFinished(member))
    assert server.state.phase is ServerPhase.CLOSED


def test_before_the_first_round_the_server_names_none() -> None:
    server = Server(FEDERATION.server_view(ServerSection()))
    with pytest.raises(ProtocolError, match="no round is open yet"):
        _ = server.state.round_number
    assert server.receive(AggregateFetched("client-1", -2)) == ()


def test_a_client_takes_the_openings_in_their_order_and_no_round_before_them() -> None:
    client = Client(FEDERATION)
    for early in (-1, 0, 1):
        with pytest.raises(ProtocolError, match=f"opened round {early}, expected was -2"):
            client.receive(Announced(RoundOpened(manifest(early))))
    for number in NUMBERS:
        assert client.receive(Announced(RoundOpened(manifest(number)))) == (Contribute(manifest(number)),)
        client.receive(Contributed(Receipt(number, DIGEST), DIGEST))
        client.receive(Announced(AggregateReady(number)))
        if number < 1:
            client.receive(Applied(number))
    client.receive(Applied(1))
    assert client.receive(Announced(FederationClosed())) == (Finish(),)


def test_a_client_is_not_done_after_the_openings() -> None:
    client = Client(make_by_class(ranks=(2, 4, 8), head=HeadSection(start="zeros")).federation)
    with pytest.raises(ProtocolError, match="before its last"):
        client.receive(Announced(FederationClosed()))


def test_a_receipt_of_another_round_is_refused_by_its_sign_too() -> None:
    client = Client(FEDERATION)
    client.receive(Announced(RoundOpened(manifest(-2))))
    with pytest.raises(ProtocolError, match="another contribution"):
        client.receive(Contributed(Receipt(2, DIGEST), DIGEST))


def test_the_server_knows_the_lengths_of_openings_and_not_what_they_sum() -> None:
    view = FEDERATION.server_view(ServerSection())
    assert view.first_round == -2
    assert [view.sections(number) for number in NUMBERS] == [
        FEDERATION.sections(number) for number in NUMBERS
    ]
    text = view.to_json_text()
    assert ServerView.from_json_text(text, where="server.json") == view
    assert not any(opening.value in text for opening in Opening)


def test_a_federation_file_reads_back_with_its_openings() -> None:
    read = Federation.from_json_text(FEDERATION.to_json_text(), where="federation.json")
    assert read.digest == FEDERATION.digest
    assert read.openings == (Opening.HOLDERS, Opening.STATISTICS, Opening.TRIALS)


def test_a_federation_file_whose_head_has_no_rows_of_classes_is_refused() -> None:
    from dataclasses import replace

    from support.federations import LAYOUT

    text = replace(FEDERATION, layout=LAYOUT).to_json_text()
    with pytest.raises(IdentityError, match="does not hold together"):
        Federation.from_json_text(text, where="federation.json")


@pytest.mark.parametrize("number", [-2, 0, 3])
def test_a_ledger_knows_openings_by_their_numbers(number: int) -> None:
    for event in (
        RoundReserved(number, DIGEST),
        RoundContributed(number, DIGEST),
        AggregateApplied(number, DIGEST),
    ):
        assert parse_event(event.name, event_fields(event)) == event


def test_names_of_files_have_no_sign_twice() -> None:
    assert [round_name(number) for number in NUMBERS] == ["opening-2", "opening-1", "opening-0", "round-1"]


def test_there_is_no_round_before_the_first_one() -> None:
    openings = (Opening.HOLDERS, Opening.STATISTICS)
    assert first_round(openings) == -1
    with pytest.raises(ValueError, match="no round -2"):
        opening_in(openings, -2)
