"""The kind of a round says all that tells its contributions from another round's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.federations import LAYOUT, make_federation

from securefl.adapters.layout import Layout
from securefl.adapters.selection import feature_count
from securefl.config.server import ServerSection
from securefl.protocol.federation import Federation
from securefl.protocol.round_kind import RoundKind

PAYLOADS = ["dense", "sketch", "basis", "state", "core", "factors", "head-only"]
TALL = Layout(tuple(replace(tensor, rows=900) for tensor in LAYOUT.tensors))
LATER = (2, 3, 4, 5)


def federation_of(payload: str, fraction: float) -> Federation:
    """With weights of many more rows than columns, so that left and right factors differ in length."""
    made = make_federation(
        ranks=(4, 4, 4, 4), rounds=5, payload=payload, fraction=fraction, scheme="none"
    ).federation
    return replace(made, layout=TALL)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_every_round_is_encrypted_whole_where_nothing_is_selected(payload: str) -> None:
    federation = federation_of(payload, 1.0)
    for number in (1, *LATER):
        kind = federation.kind_of(number)
        assert (kind.scores, kind.plain) == (0, 0)
        assert kind.section_values == (federation.plan.length(number),)


@pytest.mark.parametrize("payload", ["dense", "sketch", "basis", "state"])
def test_under_selection_the_first_round_asks_for_scores_and_the_later_ones_leave_values_plain(
    payload: str,
) -> None:
    federation = federation_of(payload, 0.4)
    first = federation.kind_of(1)
    assert first.asks_scores
    assert not first.selective
    assert first.section_values == (federation.plan.length(1) + feature_count(TALL),)
    for number in LATER:
        kind = federation.kind_of(number)
        assert not kind.asks_scores
        assert kind.selective
        assert sum(kind.section_values) == federation.plan.length(number)


@pytest.mark.parametrize("fraction", [1.0, 0.4])
def test_odd_and_even_rounds_of_basis_are_of_two_kinds_that_come_again(fraction: float) -> None:
    federation = federation_of("basis", fraction)
    second, third, fourth, fifth = (federation.kind_of(number) for number in LATER)
    assert second != third
    assert (second, third) == (fourth, fifth)


@pytest.mark.parametrize("payload", ["dense", "sketch", "core"])
def test_later_rounds_of_the_other_payloads_are_of_one_kind(payload: str) -> None:
    federation = federation_of(payload, 1.0)
    assert len({federation.kind_of(number) for number in LATER}) == 1


@pytest.mark.parametrize("fraction", [1.0, 0.4])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_server_expects_of_every_round_what_its_kind_says(payload: str, fraction: float) -> None:
    federation = federation_of(payload, fraction)
    view = federation.server_view(ServerSection())
    for number in (1, *LATER):
        assert view.sections(number) == federation.sections(number)
        assert len(view.sections(number)) == len(federation.kind_of(number).section_values)


def test_weights_are_never_among_what_is_left_plain() -> None:
    kind = RoundKind(values=10, weights=2, plain=10)
    assert kind.section_values == (2, 10)
