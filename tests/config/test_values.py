"""What has one plain meaning is accepted, and what was accepted before still is."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securefl.config.data import ColumnSplit, DirichletSplit, IidSplit, NoSplit
from securefl.config.federation import FederationConfig
from securefl.config.load import load_federation, validated
from securefl.config.names import split_host_port
from securefl.config.values import quoted, shown
from securefl.errors import ConfigError

ROOT = Path(__file__).parents[2]
MINIMAL = '[federation]\nname = "banks"\n{federation}\n[model]\npath = "m"\n[data]\ntrain = "t.csv"\n{rest}\n'


def read(*, federation: str = "", rest: str = "") -> FederationConfig:
    text = MINIMAL.replace("{federation}", federation).replace("{rest}", rest)
    return validated(FederationConfig, tomllib.loads(text), where="FED.toml")


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        ("[0, 1, 2]", ("0", "1", "2")),
        ("[-1, 1]", ("-1", "1")),
        ("[0.5, 1.5]", ("0.5", "1.5")),
        ('["no", 1]', ("no", "1")),
        ("[2024-01-31, 2024-02-29]", ("2024-01-31", "2024-02-29")),
    ],
)
def test_numbers_as_labels_are_the_texts_of_their_digits(labels: str, texts: tuple[str, ...]) -> None:
    assert read(federation=f"labels = {labels}").federation.labels == texts


@pytest.mark.parametrize(
    ("split", "meant"),
    [
        ('"iid"', IidSplit(by="iid")),
        ('"none"', NoSplit()),
        ('"dirichlet"', DirichletSplit(by="dirichlet", alpha=0.5)),
        ('{ by = "column", column = "site" }', ColumnSplit(by="column", column="site")),
    ],
)
def test_a_split_may_be_named_by_its_word_alone(split: str, meant: Any) -> None:
    assert read(rest=f"split = {split}").data.split == meant


@pytest.mark.parametrize(
    ("rest", "found", "meant"),
    [
        ('text = "words"', lambda config: config.data.text, ("words",)),
        ('[lora]\ntarget_modules = "query"', lambda config: config.lora.target_modules, ("query",)),
        ('[cohort]\nclients = [{ column_values = "a" }, {}, {}]', lambda config: _values(config), ("a",)),
        (
            "[cohort]\nclients = [{ column_values = [0, 3] }, {}, {}]",
            lambda config: _values(config),
            ("0", "3"),
        ),
        ("[cohort]\nclients = [{ column_values = 0 }, {}, {}]", lambda config: _values(config), ("0",)),
        ('[cohort]\nclients = [{ column_values = [""] }, {}, {}]', lambda config: _values(config), ("",)),
        ('[encryption]\nselect = "all"', lambda config: config.encryption.select.fraction, 1.0),
        (
            "[[cohort.clients]]\nr = 1\n[[cohort.clients]]\n[[cohort.clients]]",
            lambda config: config.ranks["client-1"],
            1,
        ),
        ('[lora]\nr = "4"', lambda config: config.lora.r, 4),
        ("[lora]\nr = 4.0", lambda config: config.lora.r, 4),
        ("[lora]\nlora_alpha = 4", lambda config: config.lora.lora_alpha, 4.0),
        ('[training]\nlearning_rate = "1e-3"', lambda config: config.training.learning_rate, 1e-3),
        ("[fusion]\nbaselines = 1", lambda config: config.fusion.baselines, True),
        ('[server]\naddress = "[::1]:0"', lambda config: split_host_port(config.server.address)[0], "::1"),
        ('[server]\naddress = "::1:7443"', lambda config: split_host_port(config.server.address)[1], 7443),
    ],
)
def test_what_is_plainly_meant_is_accepted(
    rest: str, found: Callable[[FederationConfig], object], meant: object
) -> None:
    assert found(read(rest=rest)) == meant


def _values(config: FederationConfig) -> tuple[str, ...] | None:
    return config.cohort.clients[0].column_values


@pytest.mark.parametrize(
    "path",
    sorted([*ROOT.glob("examples/*.toml"), *ROOT.glob("benchmarks/*.toml")]),
    ids=lambda path: path.name,
)
def test_the_files_of_this_repository_say_what_they_said(path: Path) -> None:
    table, config = tomllib.loads(path.read_text()), load_federation(path)
    for section, keys in table.items():
        for key, value in keys.items():
            read_back = getattr(getattr(config, section), key)
            if isinstance(value, int | float | str) and key not in (
                "train",
                "test",
                "text",
                "labels",
                "path",
                "select",
                "target_modules",
            ):
                assert read_back == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "true"),
        (8, "the number 8"),
        pytest.param(10**5000, "a number of more than 64 bits", id="endless"),
        (0.5, "the number 0.5"),
        ("a", 'the text "a"'),
        ("x" * 99, 'the text "' + "x" * 37 + '..."'),
        ("a\nb\u2028\x1b", 'the text "a\\nb\\u2028\\u001b"'),
        ("", "an empty text"),
        ([], "an empty list"),
        ([1], "a list"),
        ([{}], "a list of tables"),
        ({}, "an empty table"),
        ({"a": 1}, "a table"),
        (datetime.date(2024, 1, 31), "a date"),
        (datetime.datetime(2024, 1, 31), "a date with a time"),
        (datetime.time(1), "a time of day"),
    ],
)
def test_a_value_is_shown_short_and_on_one_line(value: object, words: str) -> None:
    assert shown(value) == words


@pytest.mark.parametrize("number", ["0x" + "f" * 5000, str(2**63)])
def test_a_whole_number_beyond_64_bits_is_refused_wherever_it_stands(number: str) -> None:
    for rest in (
        f"max_samples = {number}",
        f"split = {{ by = {number} }}",
        f"[cohort]\nsamples_cap = {number}",
    ):
        with pytest.raises(ConfigError, match="it is a number of more than 64 bits"):
            read(rest=rest)


def test_a_quoted_text_is_toml() -> None:
    text = 'a "b" \\ \n \x07 \u2028 é'
    assert tomllib.loads(f"a = {quoted(text)}") == {"a": text}
