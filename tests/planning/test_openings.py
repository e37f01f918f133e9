"""Openings are planned apart from the rounds, to the byte."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from support.federations import make_federation
from support.heads import head_learners, make_by_class

from securefl.cli.plan import show
from securefl.config.head import HeadSection
from securefl.planning.as_json import plan_json
from securefl.planning.forecast import forecast
from securefl.planning.sizes import sizes_of

from .conftest import Play


@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
def test_an_opening_moves_the_bytes_that_were_planned(scheme: str, played: Play) -> None:
    made = make_by_class(scheme=scheme, rounds=1)
    moved = played(made, head_learners(made.federation))
    for number in (-2, -1, 0):
        sizes = sizes_of(made.federation, number)
        assert sizes.up["client-1"] == moved.up[number, "client-1"]
        assert sizes.down["client-1"] == moved.down[number, "client-1"]


def test_a_plan_states_openings_apart_from_the_rounds() -> None:
    found = forecast(make_by_class(scheme="none").federation, speed=None)
    values = plan_json(found)
    assert [(entry["applies_to"], entry["values"]) for entry in values["openings"]] == [
        ("who holds which classes", 6),
        ("weights and statistics", 5 + 5 * 32 + 32 * 33 // 2),
        ("losses of the possible starts", 2),
    ]
    assert [entry["applies_to"] for entry in values["per_round"]] == ["every round"]


def test_a_plan_shows_what_is_summed_before_round_1() -> None:
    written = io.StringIO()
    show(
        forecast(make_by_class(scheme="none").federation, speed=None), console=Console(file=written, width=80)
    )
    said = written.getvalue()
    assert "before round 1, once" in said
    assert "weights and statistics" in said
    assert "Weights are summed before round 1" in said
    assert "a label that fewer than 3 clients train on stays at home" in " ".join(said.split())


@pytest.mark.parametrize("head", [HeadSection(start="zeros"), HeadSection()])
def test_no_round_has_a_weight_where_an_opening_has_them(head: HeadSection) -> None:
    with_openings = make_by_class(head=head, scheme="none").federation
    assert sizes_of(with_openings, 1).weights == 0
    assert sizes_of(make_federation(scheme="none").federation, 1).weights == 1
