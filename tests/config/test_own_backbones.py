"""Base models of the clients' own are a choice of the recipe; what does not go with it is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from securefl.adapters.payloads.facts import Trains, facts_of
from securefl.config.coherence import refuse_misfits
from securefl.config.federation import FederationConfig
from securefl.config.load import load_federation, validated
from securefl.config.member import FILE_NAME, client_settings_of, load_client_settings
from securefl.config.own_backbones import WHOLE_PAYLOADS
from securefl.config.payload import PayloadName
from securefl.errors import ConfigError


def read(recipe: dict[str, Any] | None = None, **sections: Any) -> FederationConfig:
    table = {
        "federation": {"name": "unit"},
        "model": {"path": "owner/model"},
        "recipe": {"name": "pfedlora", **(recipe or {})},
        **sections,
    }
    config = validated(FederationConfig, table, where="FED.toml")
    refuse_misfits(config, where="FED.toml")
    return config


def test_the_row_makes_every_choice_that_backbones_need():
    config = read()
    assert (config.recipe.personal, config.recipe.mu, config.lora.width) == ("backbone", 0.5, 384)
    assert (config.head.rows, config.payload.name) == ("together", "dense")
    assert (config.aggregation.weights, config.fusion.finish) == ("samples", "none")


def test_a_file_replaces_single_choices_of_the_row():
    config = read({"mu": 0.2}, lora={"width": 64, "r": 4}, payload="sketch")
    assert (config.recipe.mu, config.lora.width, config.lora.r) == (0.2, 64, 4)
    assert config.payload.name == "sketch"


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"payload": "basis"}, '\'payload.name\' is "basis".*write name = "dense"'),
        ({"payload": "core"}, "'payload.name' is \"core\""),
        ({"head": {"rows": "by-class"}}, '\'head.rows\' = "by-class" sums.*rows = "together"'),
        ({"head": {"logit_adjustment": True}}, "'head.logit_adjustment' is true.*logit_adjustment = false"),
        ({"head": {"calibration": True}}, "'head.calibration' is true"),
        (
            {"encryption": {"select": {"fraction": 0.5}, "allow_plaintext": True}},
            "'encryption.select' leaves values plain.*select = \"all\"",
        ),
        ({"personal": {"rate_scales": [1.0, 0.3]}}, "'personal.rate_scales' names 2 scales"),
        ({"fusion": {"baselines": True}}, "'fusion.baselines' is true"),
        ({"fusion": {"finish": "search"}}, '\'fusion.finish\' is "search".*finish = "none"'),
        ({"fusion": {"finish": "sum"}}, "'fusion.finish' is \"sum\""),
        ({"recipe": {"seeding": "personal"}}, "'recipe.seeding' copies.*leave seeding out"),
        ({"recipe": {"sync_every": 2}}, "'recipe.sync_every' copies"),
        ({"layers": {"allocation": "random"}}, '\'layers.allocation\' is "random".*allocation = "all"'),
        ({"training": {"early_stopping_rounds": 2}}, "'training.early_stopping_rounds' goes.*leave early"),
        ({"training": {"proximal": 0.1}}, "'training.proximal' is 0.1.*proximal = 0"),
        ({"training": {"rank_penalty": 0.1}}, "'training.rank_penalty' is 0.1.*rank_penalty = 0"),
        ({"task": "causal-lm"}, "'task.name' is \"causal-lm\".*sequence-classification"),
    ],
)
def test_a_choice_that_does_not_go_with_backbones_is_refused_with_both_keys(sections, words):
    with pytest.raises(ConfigError, match=f"'recipe.personal' is \"backbone\".*{words}"):
        read(**sections)


@pytest.mark.parametrize(("key", "recipe"), [("recipe.mu", {}), ("lora.width", {"mu": 0.5})])
def test_backbones_without_mu_or_width_are_refused(key, recipe):
    with pytest.raises(ConfigError, match=f"\"backbone\", and '{key}'"):
        read({"name": "flexlora", "personal": "backbone", **recipe})


@pytest.mark.parametrize(
    ("key", "sections"),
    [
        ("recipe.mu", {"recipe": {"name": "default", "mu": 0.5}}),
        ("lora.width", {"recipe": {"name": "default"}, "lora": {"width": 64}}),
        (
            "model' of client-2 in 'cohort.clients",
            {"recipe": {"name": "default"}, "cohort": {"clients": [{}, {"model": "owner/other"}, {}]}},
        ),
    ],
)
def test_a_key_that_only_backbones_read_is_refused_without_them(key, sections):
    table = {"federation": {"name": "unit"}, "model": {"path": "owner/model"}, **sections}
    config = validated(FederationConfig, table, where="FED.toml")
    with pytest.raises(ConfigError, match=f"'{key}' is set, and 'recipe.personal' is \"alone\""):
        refuse_misfits(config, where="FED.toml")


def test_the_payloads_that_fit_are_those_that_train_both_factors():
    whole = {name for name in get_args(PayloadName) if facts_of(name).trains is Trains.BOTH}
    assert whole == set(WHOLE_PAYLOADS) - {"auto"}


def test_a_clients_file_names_its_own_model_and_modules_and_nobody_elses():
    config = read(cohort={"clients": [{"id": "bank", "model": "owner/small"}, {"id": "city"}, {}]})
    bank, city = (client_settings_of(config, member) for member in ("bank", "city"))
    assert (bank.model.path, city.model.path) == ("owner/small", "owner/model")
    assert bank.model.target_modules == ("auto",)
    assert "owner/small" not in city.to_toml()


def test_a_clients_file_names_no_modules_where_the_federation_pins_them():
    config = read({"name": "default"}, head={}, lora={})
    assert client_settings_of(config, "client-1").model.target_modules is None


def test_the_usual_modules_stand_alone_in_a_clients_file_too(tmp_path: Path):
    text = client_settings_of(read(), "client-1").to_toml()
    (tmp_path / FILE_NAME).write_text(text.replace('"auto",', '"auto", "query",'))
    with pytest.raises(ConfigError, match='"auto" stands for the usual modules'):
        load_client_settings(tmp_path)


def test_a_module_of_a_clients_own_may_stand_alone(tmp_path: Path):
    text = client_settings_of(read(), "client-1").to_toml()
    (tmp_path / FILE_NAME).write_text(text.replace('[\n    "auto",\n]', '"all-linear"'))
    assert load_client_settings(tmp_path).model.target_modules == ("all-linear",)


def test_the_path_of_a_clients_model_counts_from_the_file(tmp_path: Path):
    (tmp_path / "small").mkdir()
    (tmp_path / "FED.toml").write_text(
        '[federation]\nname = "unit"\n[model]\npath = "./large"\n[data]\ntrain = "rows.csv"\n'
        '[recipe]\nname = "pfedlora"\n[cohort]\nclients = [{ model = "small" }, { model = "owner/name" }, {}]\n'
    )
    paths = load_federation(tmp_path / "FED.toml").model_paths
    assert paths == {
        "client-1": str(tmp_path / "small"),
        "client-2": "owner/name",
        "client-3": str(tmp_path / "large"),
    }
