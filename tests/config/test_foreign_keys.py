"""Keys of transformers, PEFT and TRL are refused with what says the same here."""

from __future__ import annotations

import re

import pytest

from securefl.config.federation import FederationConfig
from securefl.config.foreign_keys import ADVICE
from securefl.config.load import validated
from securefl.errors import ConfigError

MINIMAL = {"federation": {"name": "banks"}, "model": {"path": "m"}}
KEYS_IN_ADVICE = re.compile(r"(?:write|with|as|the) (?:\[\w+\] )?(\w+_\w+)")


def refused(section: str, key: str) -> str:
    with pytest.raises(ConfigError) as caught:
        validated(
            FederationConfig, MINIMAL | {section: MINIMAL.get(section, {}) | {key: 1}}, where="FED.toml"
        )
    return str(caught.value)


@pytest.mark.parametrize("key", ADVICE)
def test_a_key_of_another_library_is_refused_with_advice_in_place_of_the_nearest_word(key: str) -> None:
    said = refused("training", key)
    assert said == f"unknown key 'training.{key}' (FED.toml): {ADVICE[key]}."


def test_steps_of_accumulation_lead_to_the_batch_and_its_parts() -> None:
    said = refused("training", "gradient_accumulation_steps")
    assert "per_device_train_batch_size" in said
    assert "micro_batch_size" in said


def test_what_is_advised_is_a_key() -> None:
    known = {name for section in FederationConfig.model_fields.values() for name in _keys(section.annotation)}
    named = {name for advice in ADVICE.values() for name in KEYS_IN_ADVICE.findall(advice)}
    assert len(named) >= 5
    assert named <= known


def test_no_key_of_a_federation_is_taken_for_anothers() -> None:
    known = {name for section in FederationConfig.model_fields.values() for name in _keys(section.annotation)}
    assert not known & ADVICE.keys()


def _keys(section: object) -> set[str]:
    """Keys of a section, of all of its alternatives."""
    fields = getattr(section, "model_fields", {})
    inner = {name for part in getattr(section, "__args__", ()) for name in _keys(part)}
    return {*fields, *inner}
