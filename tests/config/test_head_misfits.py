"""Rounds of the head alone go with what needs no adapter, and each other choice is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from securefl.config.coherence import refuse_misfits
from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.errors import ConfigError

MINIMAL: dict[str, object] = {
    "federation": {"name": "banks"},
    "model": {"path": "m"},
    "data": {"train": "t.csv"},
    "payload": "head-only",
}
PRIVATE: dict[str, object] = {
    "recipe": {"personal": "none"},
    "aggregation": {"weights": "equal"},
    "head": {"rows": "together", "start": "zeros", "logit_adjustment": False},
}


def read(**sections: Any) -> FederationConfig:
    config = validated(FederationConfig, MINIMAL | sections, where="FED.toml")
    refuse_misfits(config, where="FED.toml")
    return config


def test_a_federation_may_train_the_head_alone() -> None:
    assert read().payload.name == "head-only"


@pytest.mark.parametrize("unit", ["example", "client"])
def test_noise_of_either_unit_goes_with_it(unit: str) -> None:
    assert read(**PRIVATE, privacy={"unit": unit, "target_epsilon": 8}).privacy.unit == unit


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"task": "causal-lm", "data": {"train": "t.jsonl"}}, 'the task "causal-lm" has no head'),
        ({"layers": {"allocation": "random"}}, "'layers.allocation' is \"random\""),
        (
            {"encryption": {"select": {"fraction": 0.5}, "allow_plaintext": True}},
            "'encryption.select' leaves values plain",
        ),
        ({"outer": "adam"}, "no round has a mean of a weight"),
        ({"aggregation": {"split": "sqrt"}}, "'aggregation.split' is \"sqrt\""),
        ({"training": {"rank_penalty": 0.1}}, "'training.rank_penalty' is 0.1"),
        ({"recipe": {"personal": "alone", "seeding": "personal"}}, "a round trains no adapter"),
        (
            {"training": {"learning_rate": 0.1}},
            "'training.learning_rate' is set, and 'payload.name' is \"head-only\"",
        ),
    ],
)
def test_what_needs_an_adapter_is_refused_by_name(sections: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**sections)
    assert said in str(caught.value)


def test_rates_of_factors_are_read_where_a_copy_is_trained_at_the_end() -> None:
    assert read(training={"learning_rate": 0.1}, fusion={"baselines": True}).training.learning_rate == 0.1
