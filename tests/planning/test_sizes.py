"""Sizes are those of real rounds, to the byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.federations import TestFederation, make_federation

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.config.federation import FederationConfig
from securefl.config.layers import LayersSection
from securefl.config.load import validated
from securefl.config.payload import CorePayload
from securefl.errors import CapacityError
from securefl.planning import sizes as sizes_module
from securefl.planning.sizes import sizes_of, with_payload
from securefl.protocol.sections import StreamSizes
from securefl.provisioning.preview import preview_of_layout

from .conftest import Moved

Played = Callable[[TestFederation], Moved]
PAYLOADS = ["dense", "sketch", "basis", "state", "core", "factors", "head-only"]


def check(made: TestFederation, moved: Moved) -> None:
    for number, traffic in moved.traffic.items():
        sizes = sizes_of(made.federation, number)
        asked = moved.asked_for_all(number)
        assert asked[0] == "client-1"
        assert {member: sizes.up[member] for member in asked} == {
            member: moved.up[number, member] for member in asked
        }
        assert sizes.down["client-1"] == moved.down[number, "client-1"]
        assert sizes.values == made.federation.kind_of(number).total
        assert {sums.size for sums in traffic.sums.values()} == {sizes.values}


@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_round_moves_exactly_the_bytes_that_were_planned(payload: str, scheme: str, played: Played) -> None:
    made = make_federation(payload=payload, scheme=scheme)
    check(made, played(made))


@pytest.mark.parametrize("scheme", ["kahe", "bfv"])
@pytest.mark.parametrize(
    "choice",
    [
        {"payload": "core", "heads": 3},
        {"payload": "dense", "fraction": 0.3, "select_by": "columns"},
        {"payload": "sketch", "layers": LayersSection(allocation="random", shares=(1.0,))},
    ],
    ids=["heads", "columns", "layers"],
)
def test_choices_within_a_payload_are_planned_to_the_byte(
    choice: dict[str, object], scheme: str, played: Played
) -> None:
    made = make_federation(scheme=scheme, **choice)
    check(made, played(made))


def test_contributions_of_several_windows_and_chunks_are_planned_to_the_byte(
    wide: TestFederation, played: Played
) -> None:
    moved = played(wide)
    sizes = sizes_of(wide.federation, 1)
    assert sizes.ciphertexts > 64
    assert len(moved.traffic[1].aggregate) > 1 << 20
    check(wide, moved)


@pytest.mark.parametrize("scheme", ["kahe", "none"])
def test_bytes_down_are_planned_for_every_member_and_the_first_gets_most(scheme: str, played: Played) -> None:
    made = make_federation(scheme=scheme)
    moved = played(made)
    for number in moved.traffic:
        got = {member: moved.down[number, member] for member in moved.asked_for_all(number)}
        sizes = sizes_of(made.federation, number)
        assert got == {member: sizes.down[member] for member in got}
        assert sizes.largest_down == sizes.down["client-1"]


def test_odd_and_even_rounds_of_basis_are_told_apart(wide: TestFederation) -> None:
    basis = with_payload(wide.federation, "basis")
    tall = replace(
        basis, layout=type(basis.layout)(tuple(replace(t, rows=900) for t in basis.layout.tensors))
    )
    assert sizes_of(tall, 3).values > sizes_of(tall, 2).values
    assert sizes_of(tall, 3).values == sizes_of(tall, 5).values
    assert (sizes_of(tall, 1).values, sizes_of(tall, 1).weights) == (sizes_of(tall, 3).values + 1, 1)


def test_a_member_with_a_longer_name_sends_so_many_bytes_more() -> None:
    federation = make_federation(scheme="none").federation
    first, *others = federation.roster
    named = replace(federation, roster=(first.model_copy(update={"id": first.id + "-north"}), *others))
    sizes = sizes_of(named, 1)
    # It stands in the advert, the header and the vote.
    assert sizes.up["client-1-north"] == sizes.up["client-2"] + 3 * len("-north")
    assert sizes.largest_up == sizes.up["client-1-north"]


def test_another_payload_leaves_everything_else_as_it_is() -> None:
    federation = make_federation(payload="sketch", sketch_rank=4).federation
    other = with_payload(federation, "core")
    assert other.terms.payload == CorePayload(name="core")
    assert with_payload(federation, "sketch") == federation
    assert (other.layout, other.profile, other.roster) == (
        federation.layout,
        federation.profile,
        federation.roster,
    )


def test_a_contribution_longer_than_a_stream_is_refused_with_the_knob(
    wide: TestFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes_module, "MAX_STREAM_BYTES", 100_000)
    with pytest.raises(CapacityError, match=r"'dense' moves \d+ bytes .*payload.name.*'sketch', 'basis'"):
        sizes_of(wide.federation, 1)


def _minilm(labels: int) -> Layout:
    """Query and value of MiniLM's six layers, and a head."""
    adapted = (
        TensorSpec(f"encoder.layer.{layer}.attention.self.{name}", 384, 384, TensorKind.ADAPTED)
        for layer in range(6)
        for name in ("query", "value")
    )
    weight = TensorSpec("classifier.weight", labels, 384, TensorKind.HEAD)
    return Layout((*adapted, weight, TensorSpec("classifier.bias", labels, 1, TensorKind.HEAD)))


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("labels", [2, 64, 77])
def test_the_lean_recipes_ciphertexts_are_no_more_than_a_clients_own_float32_factors_and_head(
    labels: int, bits: int
) -> None:
    table = {
        "federation": {"name": "test", "rounds": 4},
        "model": {"path": "m"},
        "recipe": {"name": "lean"},
        "grid": {"precision_bits": bits},
        "cohort": {"samples_cap": 100, "clients": [{"r": rank} for rank in (2, 4, 8, 16)]},
    }
    federation = preview_of_layout(validated(FederationConfig, table, where="FED.toml"), _minilm(labels))
    assert federation.terms.encryption.scheme == "kahe"
    # Shares of keys come on top, as many bytes whatever is trained: one for each other client, and a sum of them.
    shares = len(federation.cohort) * 2 * federation.constants.cohort(len(federation.cohort)).words
    for number in (1, 2, 3, 4):
        sizes = sizes_of(federation, number)
        body = StreamSizes.of_contribution(sizes.sections).body_bytes
        for member, up in sizes.up.items():
            assert body <= federation.layout.float32_bytes(federation.member(member).rank)
            assert body < up < body + shares + 2_000
