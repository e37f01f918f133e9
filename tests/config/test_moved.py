"""A key of an earlier version is refused with its new place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from securefl.config.federation import FederationConfig
from securefl.config.load import load_federation, validated
from securefl.config.moved import GONE, MOVED, RENAMED
from securefl.errors import ConfigError

OLD_VALUES: dict[str, Any] = {
    "model.task": "sequence-classification",
    "model.pooling": "mean",
    "recipe.payload": "sketch",
    "sketch.rank": 8,
    "sketch": {},
    "recipe.outer_learning_rate": 0.5,
    "recipe.fusion.space": "product",
    "recipe.fusion.max_samples": 160,
    "recipe.fusion": {},
    "encryption.precision_bits": 16,
    "encryption.adapter_bound": 0.25,
    "encryption.head_bound": 2.0,
}


def file_with(key: str, value: Any) -> dict[str, Any]:
    table: dict[str, Any] = {
        "federation": {"name": "banks"},
        "model": {"path": "m"},
        "data": {"train": "t.csv"},
    }
    place = table
    *sections, name = key.split(".")
    for section in sections:
        place = place.setdefault(section, {})
    place[name] = value
    return table


def test_every_old_key_is_tried_here() -> None:
    assert set(OLD_VALUES) == set(MOVED)


@pytest.mark.parametrize("old", MOVED)
def test_an_old_key_is_refused_with_its_new_place(old: str) -> None:
    with pytest.raises(ConfigError) as refused:
        validated(FederationConfig, file_with(old, OLD_VALUES[old]), where="FED.toml")
    assert str(refused.value) == f"'{old}' is now '{MOVED[old]}' (FED.toml): move it there."


@pytest.mark.parametrize("old", [key for key in MOVED if not isinstance(OLD_VALUES[key], dict)])
def test_the_new_place_takes_the_old_value(old: str) -> None:
    table = file_with(MOVED[old], OLD_VALUES[old])
    if MOVED[old].startswith("task."):
        table["task"] = {"name": "sequence-classification"} | table["task"]
    config = validated(FederationConfig, table, where="FED.toml")
    section, key = MOVED[old].split(".")
    assert getattr(getattr(config, section), key) == OLD_VALUES[old]


def test_all_old_keys_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "FED.toml"
    path.write_text(
        '[federation]\nname = "a"\n[model]\npath = "m"\npooling = "cls"\n[encryption]\nhead_bound = 1\n'
    )
    with pytest.raises(ConfigError) as refused:
        load_federation(path)
    assert (
        str(refused.value) == "'model.pooling' is now 'task.pooling', 'encryption.head_bound' is now "
        f"'grid.head_bound' ({path}): move each of them there."
    )


@pytest.mark.parametrize("old", GONE)
def test_an_old_key_without_a_place_is_refused_with_the_reason(old: str) -> None:
    with pytest.raises(ConfigError) as refused:
        validated(FederationConfig, file_with(old, 24), where="FED.toml")
    assert str(refused.value) == f"'{old}' is gone, because {GONE[old]} (FED.toml): take it out."


def test_a_section_is_not_named_beside_its_own_key_that_is_gone() -> None:
    table = file_with("recipe.fusion.budget", 24) | {"fusion": {"l1": 0.1}}
    with pytest.raises(ConfigError) as refused:
        validated(FederationConfig, table, where="FED.toml")
    assert str(refused.value) == (
        f"'recipe.fusion.budget' is gone, because {GONE['recipe.fusion.budget']}, 'fusion.l1' is gone, because "
        f"{GONE['fusion.l1']} (FED.toml): take each of them out."
    )


def test_keys_that_are_gone_and_keys_that_moved_are_told_apart() -> None:
    table = file_with("recipe.fusion.budget", 24)
    table["recipe"]["fusion"]["space"] = "factor"
    with pytest.raises(ConfigError) as refused:
        validated(FederationConfig, table, where="FED.toml")
    assert "'recipe.fusion.budget' is gone" in str(refused.value)
    assert "'recipe.fusion.space' is now 'fusion.space'" in str(refused.value)
    assert str(refused.value).endswith("move what has a new place, and take out what is gone.")


@pytest.mark.parametrize(
    ("key", "old", "new"), [(key, old, new) for key, words in RENAMED.items() for old, new in words.items()]
)
def test_an_old_value_is_refused_with_the_new_word_which_is_taken(key: str, old: Any, new: str) -> None:
    section, name = key.split(".")
    with pytest.raises(ConfigError) as refused:
        validated(FederationConfig, file_with(key, old), where="FED.toml")
    shown = str(old).lower()
    assert str(refused.value) == f"'{key}' is {shown}, which is now {new} (FED.toml): write {name} = {new}."
    word = new.strip('"')
    config = validated(FederationConfig, file_with(key, word), where="FED.toml")
    assert getattr(getattr(config, section), name) == word


@pytest.mark.parametrize("number", [0, 1, 0.0])
def test_a_number_is_no_old_truth_value(number: float) -> None:
    with pytest.raises(ConfigError, match=r"'recipe.personal' is wrong.*\"none\".*\"alone\""):
        validated(FederationConfig, file_with("recipe.personal", number), where="FED.toml")
