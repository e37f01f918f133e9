"""What a plan says follows from the federation, the layout and the speed, and from nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.federations import LAYOUT, TestFederation, make_federation

from securefl.adapters.layout import Layout
from securefl.config.layers import LayersSection
from securefl.config.server import ServerSection
from securefl.planning.as_json import plan_json
from securefl.planning.forecast import Traffic, forecast, kinds_of
from securefl.planning.sizes import sizes_of, with_payload
from securefl.planning.speed import Rate, Speed, measure_speed
from securefl.protocol.federation import Federation
from securefl.protocol.terms import Terms

SPEED = Speed(
    encode_s=1e-6,
    encrypt=Rate(0.5, 2.0),
    add=Rate(0.25, 3.0),
    publish=Rate(0.0, 5.0),
    expand=Rate(0.0, 7.0),
    read=Rate(1.0, 11.0),
    ciphertexts=32,
    took_s=1.0,
)


def test_seconds_grow_with_the_ciphertexts_and_a_readers_with_the_contributors(wide: TestFederation) -> None:
    (expected,) = forecast(wide.federation, speed=SPEED).rounds
    count, seconds = expected.sizes.ciphertexts, expected.seconds
    assert seconds is not None
    assert seconds.encode == pytest.approx(expected.sizes.values * 1e-6)
    assert seconds.encrypt == 0.5 + 2 * count
    assert seconds.add == 0.25 + 3 * count
    assert seconds.aggregate == 3 * (0.25 + 3 * count) + 5 * count
    assert seconds.decrypt == 1 + 11 * count + 3 * 7 * count


def test_a_line_through_two_measurements_never_goes_below_zero() -> None:
    assert Rate.through((1, 3.0), (32, 65.0)) == Rate(1.0, 2.0)
    assert Rate.through((1, 3.0), (32, 2.0)) == Rate(3.0, 0.0)
    assert Rate.through((1, 0.1), (32, 65.0)).once_s == 0.0


def test_float32_is_each_clients_own_factors_and_the_head_at_four_bytes() -> None:
    found = forecast(make_federation(scheme="none").federation, speed=None)
    factors = sum(tensor.rows + tensor.columns for tensor in LAYOUT.adapted)
    for member, rank in zip(found.federation.cohort, (2, 4, 8, 16), strict=True):
        size = 4 * (rank * factors + 5 * 32)
        assert found.float32[member] == Traffic(size, size)


def test_plaintext_at_our_precision_is_the_same_values_in_as_many_bits_as_they_need() -> None:
    found = forecast(make_federation(scheme="none", bits=12).federation, speed=None)
    values = found.rounds[0].sizes.values
    # Four integers within 2047 add up within 8188, so a sum has 16377 values: 14 bits.
    assert found.rounds[0].plaintext == Traffic(-(-values * 12 // 8), -(-values * 14 // 8))


def test_a_transfer_takes_its_bits_by_the_links_speed() -> None:
    assert Traffic(1_000_000, 250_000).seconds(10) == 1.0


def test_every_payload_stands_beside_the_chosen_one() -> None:
    federation = make_federation(payload="sketch", sketch_rank=4, scheme="none").federation
    found = {entry.payload: entry.kinds for entry in forecast(federation, speed=None).alternatives}
    assert set(found) == {"dense", "sketch", "basis", "state", "core", "factors", "head-only"}
    assert found["sketch"][0].sizes == sizes_of(federation, 1)
    for payload, kinds in found.items():
        assert kinds[0].sizes.values == sizes_of(with_payload(federation, payload), 1).values


def test_heads_alone_are_no_choice_where_nothing_but_adapters_is_shared() -> None:
    layout = Layout(LAYOUT.adapted)
    federation = make_federation(layout=layout, scheme="none").federation
    payloads = [entry.payload for entry in forecast(federation, speed=None).alternatives]
    assert "head-only" not in payloads
    assert "basis" in payloads


def test_rounds_that_differ_are_shown_apart_and_others_once(wide: TestFederation) -> None:
    federation = wide.federation
    tall = replace(federation.layout.adapted[0], rows=9000)
    layout = type(federation.layout)((tall, *federation.layout.heads))
    terms = federation.terms.model_copy(
        update={"federation": federation.terms.federation.model_copy(update={"rounds": 4})}
    )
    dense = replace(federation, layout=layout, terms=terms)
    assert [kind.applies_to for kind in kinds_of(dense)] == ["every round"]
    odd, even = kinds_of(with_payload(dense, "basis"))
    assert (odd.applies_to, even.applies_to) == ("odd rounds", "even rounds")
    assert odd.sizes.values > even.sizes.values


def test_turns_of_several_rounds_are_told_apart(wide: TestFederation) -> None:
    federation = with_payload(wide.federation, "state")
    payload = federation.terms.payload.model_copy(update={"every": 3})
    wider = (replace(tensor, rows=9000) for tensor in federation.layout.adapted)
    turned = replace(
        federation,
        layout=type(federation.layout)((*wider, *federation.layout.heads)),
        terms=federation.terms.model_copy(
            update={
                "payload": payload,
                "federation": federation.terms.federation.model_copy(update={"rounds": 8}),
            }
        ),
    )
    kinds = kinds_of(turned)
    assert [kind.applies_to for kind in kinds] == ["rounds of odd turns of 3", "rounds of even turns of 3"]
    assert [kind.sizes.values for kind in kinds] == [turned.kind_of(number).total for number in (1, 4)]
    view = turned.server_view(ServerSection())
    for number in range(1, 9):
        assert view.sections(number) == turned.sections(number)
    assert view.sections(3) != view.sections(4)


def test_a_rounds_own_forecast_has_the_bytes_of_that_round() -> None:
    found = forecast(make_federation(scheme="none").federation, speed=None)
    # From 128 on a round's number takes a byte more, in each of the seven things that a member sends: its advert, the
    # question for what is staged, the contribution, the header, the vote, the request for the sum, the confirmation.
    assert found.of_round(128).sizes.largest_up == found.of_round(1).sizes.largest_up + 7


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
@pytest.mark.parametrize("payload", ["dense", "basis", "state", "core", "head-only"])
def test_this_machine_is_measured_with_every_payload_and_scheme(payload: str, scheme: str) -> None:
    speed = measure_speed(make_federation(payload=payload, scheme=scheme).federation)
    assert speed.encode_s > 0
    assert all(
        rate.of(32) > 0 for rate in (speed.encrypt, speed.add, speed.publish, speed.expand, speed.read)
    )


@pytest.mark.slow
def test_this_machine_is_measured_for_a_federation_that_may_end_early() -> None:
    speed = measure_speed(make_federation(scheme="none", early_stopping_rounds=2).federation)
    assert speed.encode_s > 0


@pytest.mark.parametrize("bound", [{"min_clients": 15}, {"max_colluders": 4}])
def test_this_machine_is_measured_for_a_federation_whose_bounds_do_not_fit_a_few_members(
    bound: dict[str, int],
) -> None:
    speed = measure_speed(make_federation(ranks=(2,) * 16, scheme="none", **bound).federation)
    assert speed.encode_s > 0


def test_a_plan_is_plain_json_with_the_keys_that_programs_rely_on() -> None:
    plan = plan_json(forecast(make_federation(scheme="none").federation, speed=SPEED))
    assert json.loads(json.dumps(plan)) == plan
    assert {"profile", "exactness", "per_round", "float32", "payloads", "speed"} < set(plan)
    (entry,) = plan["per_round"]
    assert {
        "applies_to",
        "values",
        "ciphertexts",
        "up_bytes",
        "down_bytes",
        "up_bytes_per_value",
        "down_bytes_per_value",
        "transfer_s",
        "seconds",
        "memory_bytes",
        "plaintext_same_precision",
    } == set(entry)
    assert set(entry["transfer_s"]) == {"10_mbit", "100_mbit", "1000_mbit"}
    assert len(plan["exactness"]["conditions"]) == 4


@pytest.mark.parametrize(("rounds", "kinds"), [(1, ["every round"]), (2, ["odd rounds", "even rounds"])])
def test_a_short_federation_has_no_more_kinds_of_rounds_than_rounds(
    rounds: int, kinds: list[str], wide: TestFederation
) -> None:
    federation = with_payload(wide.federation, "basis")
    tall = replace(federation.layout.adapted[0], rows=900)
    terms = federation.terms.model_copy(
        update={"federation": federation.terms.federation.model_copy(update={"rounds": rounds})}
    )
    short = replace(federation, layout=type(federation.layout)((tall,)), terms=terms)
    assert [kind.applies_to for kind in kinds_of(short)] == kinds


def test_every_clients_largest_upload_is_set_beside_its_own_float32_bytes(wide: TestFederation) -> None:
    federation = with_payload(wide.federation, "state")
    adapted = (replace(tensor, rows=9000) for tensor in federation.layout.adapted)
    layout = type(federation.layout)((*adapted, *federation.layout.heads))
    tall = replace(federation, layout=layout)
    found = forecast(replace(tall, terms=_of_rounds(tall, 4)), speed=None)
    first, second = (sizes_of(found.federation, number) for number in (1, 2))
    assert first.largest_up > second.largest_up
    for member, ratio in found.upload_ratios.items():
        own = layout.float32_bytes(found.federation.member(member).rank)
        assert ratio == first.up[member] / own


def test_a_plan_says_which_payload_the_ranks_call_for_whatever_was_chosen() -> None:
    found = forecast(make_federation(payload="dense", scheme="none").federation, speed=None)
    assert found.by_ranks.payload == "sketch"
    assert plan_json(found)["payload_by_ranks"] == {
        "name": "sketch",
        "reason": "ranks 2, 4, 8, 16 share 4 directions, below the median 6",
    }


def _of_rounds(federation: Federation, rounds: int) -> Terms:
    section = federation.terms.federation.model_copy(update={"rounds": rounds})
    return federation.terms.model_copy(update={"federation": section})


def test_a_plan_lists_the_owners_of_layers_by_round():
    layers = LayersSection(allocation="random", shares=(1.0,))
    plan = plan_json(
        forecast(make_federation(scheme="none", rounds=3, layers=layers).federation, speed=SPEED)
    )
    assert plan["layers"] == {
        "allocation": "random",
        "weights": [["encoder.0.query", "encoder.0.value"]],
        "quotas": {f"client-{number}": 1 for number in (1, 2, 3, 4)},
        "least_owners": 3,
        "owners_by_round": [[4], [4], [4]],
    }
