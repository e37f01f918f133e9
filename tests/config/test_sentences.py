"""Whatever is wrong with a key, the sentence names the key as it was written, and says what to write.

Every key of both files is found by reflection and gets every wrong kind of value, so that a new key is tested
from the day it is added.
"""

from __future__ import annotations

import datetime
import itertools
import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from securefl.config.examples import EXAMPLES
from securefl.config.federation import FederationConfig
from securefl.config.load import load_federation, validated
from securefl.config.member import ClientSettings
from securefl.config.values import MayBeEmpty, alternatives, is_list
from securefl.errors import ConfigError

Parts = tuple[str | int, ...]

BASES: dict[type[BaseModel], dict[str, Any]] = {
    FederationConfig: {"federation": {"name": "banks"}, "model": {"path": "m"}, "data": {"train": "t.csv"}},
    ClientSettings: {
        "client": {"id": "client-1", "server": "127.0.0.1:7443"},
        "model": {"path": "m"},
        "data": {"train": "t.csv"},
        "cohort": {"clients": [{}, {}, {}]},
    },
}
KINDS: dict[str, Any] = {
    "text": "zz zz",
    "empty-text": "",
    "blanks": "  ",
    "long-text": "z" * 5000,
    "text-of-two-lines": "z\nz\u2028z\x1b[31m",
    "number": 7,
    "below-zero": -(10**6),
    "huge": 10**30,
    "endless": 10**5000,
    "fraction": 1.5,
    "nan": math.nan,
    "infinity": math.inf,
    "minus-infinity": -math.inf,
    "truth": True,
    "date": datetime.datetime(2024, 1, 31),
    "empty-list": [],
    "list-of-truths": [True],
    "list-of-lists": [["z"]],
    "list-of-tables": [{"zz": 1}],
    "table": {"zz": 1},
    "empty-table": {},
}
TEXTS = {"text", "empty-text", "blanks", "long-text", "text-of-two-lines"}
NUMBERS = {"number", "below-zero", "huge", "endless", "fraction"}
LISTS = {"empty-list", "list-of-truths", "list-of-lists", "list-of-tables"}
NOT_FINITE = {"nan", "infinity", "minus-infinity"}
EMPTY = {"empty-text", "blanks"}
# "Input should be a valid ...", "lax-or-strict[...]", names of alternatives, of Python's types and of patterns.
PYDANTIC = re.compile(
    r"Input|\bvalid\b|lax-or|union|pattern|instance|regular expression|dictionary|tuple\b|\bdict\b|\bstr\b|\bint\b|"
    r"discriminator|extract|Extra inputs|permitted|Field required|greater than|less than|parse|None\b|Section|json-or",
)
HINTS = re.compile(r"such as|write|set |did you mean|known here|for example|add it|add a section")


def fields_of(model: type[BaseModel], path: Parts = ()) -> Iterator[tuple[Parts, Any]]:
    """Every key below a section, with what Python says it may hold; a list's entry has the number 2."""
    for name, field in model.model_fields.items():
        yield (*path, name), field
        for option, _ in alternatives(field.annotation):
            entry = get_args(option)[0] if is_list(option) else option
            if isinstance(entry, type) and issubclass(entry, BaseModel):
                inner = (*path, name, 2) if is_list(option) else (*path, name)
                tag = next(
                    ((k, get_args(f.annotation)[0]) for k, f in entry.model_fields.items() if _chooses(k, f)),
                    None,
                )
                yield from ((at, (found, tag) if tag else found) for at, found in fields_of(entry, inner))


def _chooses(key: str, field: Any) -> bool:
    """Says if a key tells the alternatives of a tagged union apart."""
    return key in ("by", "name", "unit") and get_origin(field.annotation) is Literal


def refused_kinds(field: Any) -> set[str]:
    """Kinds of values that no reading of the field's type can accept."""
    sets = []
    for option, _ in alternatives(field.annotation):
        if get_origin(option) is Literal:
            sets.append(set(KINDS))
        elif is_list(option) and get_args(option)[0] is str:
            accepted = {"text", "long-text", "text-of-two-lines", "number", "below-zero", "fraction"}
            may_be_empty = any(isinstance(mark, MayBeEmpty) for mark in field.metadata)
            sets.append(set(KINDS) - accepted - (EMPTY if may_be_empty else set()))
        elif is_list(option):
            sets.append(set(KINDS))
        elif option is bool:
            sets.append(set(KINDS) - {"truth"})
        elif option in (int, float):
            odd = {"fraction"} if option is int else set()
            sets.append(
                TEXTS
                | LISTS
                | NOT_FINITE
                | odd
                | {"huge", "endless", "truth", "date", "table", "empty-table"}
            )
        elif option in (str, Path):
            sets.append(set(KINDS) - TEXTS | EMPTY)
        else:
            sets.append(set(KINDS) - {"table", "empty-table"} | {"table"})
    return set.intersection(*sets)


def every_case() -> Iterator[Any]:
    for model in BASES:
        for path, found in fields_of(model):
            field, tag = found if isinstance(found, tuple) else (found, None)
            key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]
            for kind in sorted(refused_kinds(field)):
                yield pytest.param(model, path, tag, kind, id=f"{model.__name__}-{tag or ''}-{key}-{kind}")


def document(
    model: type[BaseModel], path: Parts, tag: tuple[str, str] | None, value: Any, rest: Any = None
) -> dict[str, Any]:
    """A file that is right but for one key."""
    document: dict[str, Any] = {
        **{section: dict(table) for section, table in BASES[model].items()},
        **(rest or {}),
    }
    place: Any = document
    for part, following in itertools.pairwise(path):
        if isinstance(part, int):
            place = place[part]
        else:
            place[part] = [{}, {}, {}] if isinstance(following, int) else dict(place.get(part) or {})
            place = place[part]
    if tag is not None:
        place[tag[0]] = tag[1]
    if tag is not None and tag[0] == "unit" and tag[1] != "none":
        place["target_epsilon"] = 8
    place[path[-1]] = value
    return document


def sentence_of(model: type[BaseModel], table: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        validated(model, table, where="FED.toml")
    assert HINTS.search(error.value.hint)
    return str(error.value)


@pytest.mark.parametrize(("model", "path", "tag", "kind"), every_case())
def test_a_wrong_value_is_told_by_its_key_and_what_to_write(
    model: type[BaseModel], path: Parts, tag: tuple[str, str] | None, kind: str
) -> None:
    sentence = sentence_of(model, document(model, path, tag, KINDS[kind]))
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]
    assert f"'{key}" in sentence
    assert len(sentence.splitlines()) == 1
    assert sentence.isprintable()
    assert not PYDANTIC.search(sentence), sentence
    assert len(sentence) < 600


def test_the_walk_reaches_every_section_and_the_entries_of_lists() -> None:
    reached = {path for model in BASES for path, _ in fields_of(model)}
    assert {
        ("lora", "r"),
        ("fusion", "max_samples"),
        ("payload", "rank"),
        ("task", "pooling"),
        ("cohort", "clients", 2, "column_values"),
    } <= reached
    assert {("data", "split", "alpha"), ("encryption", "select", "fraction"), ("client", "server")} <= reached


TAGS = {
    ("data", "split", "alpha"): ("by", "dirichlet"),
    ("data", "split", "column"): ("by", "column"),
    ("task", "pooling"): ("name", "sequence-classification"),
    **{
        ("task", key): ("name", "causal-lm")
        for key in ("chat_template", "prompt_form", "answers", "max_new_tokens")
    },
    ("payload", "heads"): ("name", "core"),
    **{("cohort", "ranks", key): ("by", "data") for key in ("least", "most")},
    **{("cohort", "ranks", key): ("by", "mix") for key in ("shape", "of")},
    ("outer", "momentum"): ("name", "nesterov"),
    **{("outer", key): ("name", "adam") for key in ("beta1", "beta2", "epsilon")},
    **{("payload", key): ("name", "state") for key in ("side", "every", "aligned", "frozen_from")},
    ("payload", "shares"): ("name", "factors"),
    **{
        ("privacy", key): ("unit", "example")
        for key in ("clipping", "descent", "group_column", "max_per_group")
    },
    **{("privacy", key): ("unit", "client") for key in ("mechanism", "force")},
    **{("privacy", key): ("unit", "client") for key in ("target_epsilon", "delta", "clip", "accountant")},
}
"""What chooses the table that has a key."""


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (model, path)
        for model in BASES
        for path, _ in fields_of(model)
        if path[-1] not in ("by", "select", "unit")
    ],
)
def test_a_misspelt_key_is_told_where_it_stands(model: type[BaseModel], path: Parts) -> None:
    *before, name = path
    sentence = sentence_of(model, document(model, (*before, f"{name}x"), TAGS.get((*before, name)), 1))
    assert f"'{name}'" in sentence
    assert not PYDANTIC.search(sentence), sentence


@pytest.mark.parametrize("path", ["federation", "model", "federation.name", "model.path"])
def test_what_is_missing_is_told_with_an_example(path: str) -> None:
    document: dict[str, Any] = {section: dict(table) for section, table in BASES[FederationConfig].items()}
    section, _, name = path.partition(".")
    if name:
        del document[section][name]
    else:
        del document[section]
    sentence = sentence_of(FederationConfig, document)
    assert sentence.startswith(f"'{path}' is missing")
    assert EXAMPLES["federation.name" if section == "federation" else "model.path"] in sentence


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("split", "idd", 'did you mean "iid"'),
        ("split", {"by": "idd"}, 'did you mean "iid"'),
        ("split", {}, "'data.split.by' is missing"),
        ("split", {"alpha": 1.0}, '"none", "iid", "dirichlet", "column"'),
        ("split", "column", 'split = { by = "column", column = "site" }'),
        ("weight_decay", 0.1, "[training] has a key 'weight_decay'"),
        ("learning_rate", 0.1, "; [outer] and [personal] and [training] have a key 'learning_rate'"),
        ("column_values", ["a"], "an entry of cohort.clients has a key 'column_values'"),
        ("lora", {}, "'lora' is a section of its own, [lora]"),
    ],
)
def test_a_choice_and_a_key_of_another_section_are_told_apart(key: str, value: Any, words: str) -> None:
    document = {**BASES[FederationConfig], "data": {"train": "t.csv", key: value}}
    assert words in sentence_of(FederationConfig, document)


def test_a_key_of_the_federations_file_in_a_clients_is_told() -> None:
    sentence = sentence_of(ClientSettings, {**BASES[ClientSettings], "lora": {"r": 3}})
    assert "'lora' stands in the federation's own file" in sentence


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("Client_A", "client_a"),
        ("Bank Nord", "bank-nord"),
        ("Zürich", "zurich"),
        ("../banks", "banks"),
        ("客户", "client-1"),
    ],
)
def test_a_name_of_another_form_comes_back_with_one_that_is_right(text: str, suggested: str) -> None:
    document = {**BASES[FederationConfig], "cohort": {"clients": [{}, {"id": text}, {}]}}
    sentence = sentence_of(FederationConfig, document)
    assert sentence.startswith("'cohort.clients[1].id' is wrong (FED.toml, entry 2 of clients)")
    assert f'write "{suggested}"' in sentence
    validated(
        FederationConfig,
        {**document, "cohort": {"clients": [{}, {"id": suggested if suggested != "client-1" else "a"}, {}]}},
        where="",
    )


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("fl.example.org", 'which has no port: write host:port, such as "fl.example.org:7443"'),
        (
            "https://fl.example.org:443",
            'https:// does not belong there: write host:port, such as "fl.example.org:443"',
        ),
        ("http://fl.example.org/", 'such as "fl.example.org:7443"'),
        ("grpc://10.0.0.1:99", 'such as "10.0.0.1:99"'),
        ("fl.example.org:7443/path", "a path does not belong there"),
        ("fl.example.org:", 'such as "fl.example.org:7443"'),
        (":7443", "which has no host"),
        ("fl example:7443", "which is no address"),
        ("fl.example.org:70000", "the port must be between 0 and 65535"),
        ("[::1]", 'such as "[::1]:7443"'),
    ],
)
@pytest.mark.parametrize(
    ("model", "path"), [(FederationConfig, "server.address"), (ClientSettings, "client.server")]
)
def test_an_address_of_another_form_comes_back_as_it_should_be(
    model: type[BaseModel], path: str, address: str, words: str
) -> None:
    section, _, key = path.partition(".")
    table = {**BASES[model].get(section, {}), key: address}
    assert words in sentence_of(model, {**BASES[model], section: table})


def test_two_clients_of_one_id_are_named() -> None:
    document = {**BASES[FederationConfig], "cohort": {"clients": [{"id": "a"}, {}, {"id": "a"}]}}
    assert "two clients carry the same id, 'a'" in sentence_of(FederationConfig, document)


BESIDE = {
    "layers.shape": {"allocation": "geometric"},
    **{f"layers.{key}": {"allocation": "fisher"} for key in ("scored_from", "scored_every")},
    "task.chat_template": {"name": "causal-lm"},
    "privacy.unit": {"target_epsilon": 8},
    "privacy.target_epsilon": {"unit": "client"},
    "privacy.group_column": {"unit": "example", "target_epsilon": 8, "max_per_group": 4},
    "privacy.max_per_group": {"unit": "example", "target_epsilon": 8, "group_column": "patient"},
}
"""What a section says beside a key that means nothing alone."""


@pytest.mark.parametrize("key", sorted(EXAMPLES))
def test_every_example_is_accepted_where_it_belongs(key: str) -> None:
    for model in BASES:
        parts: Parts = tuple(part for name in key.split(".") for part in _with_place(name))
        # An example of a table's key may write the whole table.
        for text in EXAMPLES[key].split(", or "):
            [(name, value)] = tomllib.loads(text).items()
            rest = {parts[0]: BESIDE[key]} if key in BESIDE else {}
            rest = {"encryption": {"allow_plaintext": True}} if parts[0] == "encryption" else rest
            path = parts[: max(place for place, part in enumerate(parts) if part == name) + 1]
            if _has(model, parts):
                validated(model, document(model, path, None, value, rest), where="")


def _has(model: type[BaseModel], parts: Parts) -> bool:
    """Whether a file of this kind has the key; a section of one name may have fewer in ``client.toml``."""
    field = model.model_fields.get(str(parts[0]))
    known = getattr(field.annotation, "model_fields", None) if field else {}
    return known is None or (bool(known) and (len(parts) == 1 or parts[1] in known))


def _with_place(name: str) -> Parts:
    return (name[:-2], 2) if name.endswith("[]") else (name,)


@pytest.mark.parametrize(
    ("task", "stands"),
    [("ranking", 'it is the text "ranking"'), ("sequence_classification", "did you mean")],
)
def test_a_word_in_the_place_of_a_section_is_shown_where_it_chooses_nothing(task: str, stands: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(stands)) as caught:
        validated(FederationConfig, BASES[FederationConfig] | {"task": task}, where="FED.toml")
    assert "'task' is wrong" in str(caught.value)
    assert 'task = "sequence-classification"' in str(caught.value)


def test_a_pooling_beside_transformers_own_head_is_refused() -> None:
    task = {"name": "sequence-classification", "head": "transformers", "pooling": "cls"}
    sentence = sentence_of(FederationConfig, BASES[FederationConfig] | {"task": task})
    assert "leave pooling out" in sentence


@pytest.mark.parametrize("name", ["minilm", "a/b/c", "/models/minilm", "", "a b/c"])
def test_a_public_name_of_a_model_has_an_owner(name: str) -> None:
    model = BASES[FederationConfig]["model"] | {"id": name}
    assert "'model.id'" in sentence_of(FederationConfig, BASES[FederationConfig] | {"model": model})


def test_truth_values_as_labels_are_told_to_stand_in_quotes(tmp_path: Path) -> None:
    path = tmp_path / "FED.toml"
    path.write_text('[federation]\nname = "f"\nlabels = [false, true]\n[data]\ntrain = "t.csv"\n')
    with pytest.raises(ConfigError) as refused:
        load_federation(path)
    assert 'labels = ["false", "true"]' in str(refused.value)
