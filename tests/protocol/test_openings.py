"""Openings have numbers that files, ledgers and lengths know."""

from __future__ import annotations

import pytest
from support.heads import make_by_class

from securefl.config.server import ServerSection
from securefl.errors import IdentityError
from securefl.ledger.events import (
    AggregateApplied,
    RoundContributed,
    RoundReserved,
    event_fields,
    parse_event,
)
from securefl.protocol.federation import Federation
from securefl.protocol.openings import Opening, first_round, opening_in, round_name
from securefl.protocol.server_view import ServerView

MADE = make_by_class(ranks=(2, 4, 8), rounds=1, scheme="none")
FEDERATION = MADE.federation
NUMBERS = (-2, -1, 0, 1)
DIGEST = bytes(32)


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
