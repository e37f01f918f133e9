"""A person hears what exceeded a bound, and which option of the configuration moves that bound."""

from __future__ import annotations

import re

import pytest

from securefl.aggregation.weight_rule import NORM_CAP
from securefl.config.federation import FederationConfig
from securefl_client.bound_warnings import ADAPTER_BOUND, HEAD_BOUND, NORM_BOUND, clipping_warnings

HEADS = {"classifier.weight", "classifier.bias"}


def warned(clipped: dict[str, int], *, round_number: int = 3) -> list[str]:
    return clipping_warnings(clipped, round_number=round_number, values=900, heads=HEADS)


@pytest.mark.parametrize("option", [ADAPTER_BOUND, HEAD_BOUND, NORM_BOUND])
def test_every_option_that_is_advised_stands_in_the_configuration(option: str) -> None:
    found = re.fullmatch(r"(\w+) in \[(\w+)\]", option)
    assert found is not None
    key, section = found.groups()
    annotation = FederationConfig.model_fields[section].annotation
    assert annotation is not None
    assert key in annotation.model_fields


@pytest.mark.parametrize(
    ("tensor", "named"), [("layer.query", ADAPTER_BOUND), ("classifier.bias", HEAD_BOUND)]
)
def test_a_value_names_the_bound_of_its_own_tensor_alone(tensor: str, named: str) -> None:
    [message] = warned({tensor: 2, "layer.value": 0, "classifier.weight": 0, NORM_CAP: 0})
    assert message.startswith("round 3: 2 of 900 values exceeded their bound")
    assert [option for option in (ADAPTER_BOUND, HEAD_BOUND, NORM_BOUND) if option in message] == [named]


def test_values_of_an_adapter_and_a_head_name_both_bounds() -> None:
    [message] = warned({"layer.query": 2, "classifier.bias": 1})
    assert "3 of 900 values" in message
    assert ADAPTER_BOUND in message
    assert HEAD_BOUND in message


def test_a_norm_beyond_its_cap_is_no_value_and_names_the_cap() -> None:
    [message] = warned({NORM_CAP: 1})
    assert message == (
        "round 3: the norm by which this member weighs exceeded its cap, and counts as the cap; raise "
        "norm_cap in [aggregation]"
    )


def test_a_norm_and_values_are_two_warnings() -> None:
    values, norm = warned({"layer.query": 2, NORM_CAP: 1})
    assert "2 of 900 values" in values
    assert NORM_BOUND not in values
    assert NORM_BOUND in norm


def test_statistics_before_the_first_round_have_no_bound_that_a_person_sets() -> None:
    [message] = warned({"statistics": 4}, round_number=-1)
    assert message.startswith("before round 1: 4 of 900 values exceeded their bound")
    assert "raise" not in message


def test_nothing_clipped_is_no_news() -> None:
    assert warned({"layer.query": 0, NORM_CAP: 0}) == []
