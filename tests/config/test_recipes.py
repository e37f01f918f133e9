"""Recipes are rows; a federation file replaces single choices."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from securefl.config.aggregation import AggregationSection
from securefl.config.coherence import refuse_misfits
from securefl.config.encryption import NO_COLUMNS, SelectSection
from securefl.config.federation import FederationConfig
from securefl.config.head import HeadSection
from securefl.config.layers import LayersSection
from securefl.config.load import validated
from securefl.config.outer import NO_COORDINATES, NesterovSection, SgdSection
from securefl.config.payload import (
    AutoPayload,
    BasisPayload,
    CorePayload,
    DensePayload,
    FactorsPayload,
    PayloadName,
    SketchPayload,
    StatePayload,
)
from securefl.config.recipes import catalogue
from securefl.config.recipes.catalogue import BASELINES, ROWS
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.config.recipes.row import Row
from securefl.errors import ConfigError

MINIMAL = {"federation": {"name": "banks"}, "model": {"path": "m"}}


def read(**sections: object) -> FederationConfig:
    return validated(FederationConfig, MINIMAL | sections, where="FED.toml")


def accepting_plain_values(row: Row) -> dict[str, object]:
    """The one word that no row may say for a file."""
    return {"encryption": {"allow_plaintext": True}} if "encryption" in row.others else {}


def test_the_default_trains_a_personal_adapter_beside_a_payload_that_the_ranks_choose():
    config = read()
    assert (config.recipe.name, config.recipe.personal) == ("default", "alone")
    assert (config.payload, config.outer) == (AutoPayload(name="auto"), SgdSection(name="sgd"))


def test_lean_trains_one_factor_of_a_shared_adapter_whatever_the_ranks():
    assert read(recipe={"name": "lean"}).payload == StatePayload(name="state")


def test_our_mean_of_products_sketches_changes_of_any_ranks_and_has_nothing_personal():
    config = read(recipe={"name": "products"})
    assert (config.recipe.name, config.recipe.personal) == ("products", "none")
    assert config.aggregation == AggregationSection()
    assert (config.payload, config.outer) == (SketchPayload(name="sketch"), SgdSection(name="sgd"))


@pytest.mark.parametrize(("name", "split"), [("flexlora", "left"), ("hlora", "right")])
def test_the_papers_mean_of_products_sums_whole_ones_by_samples_and_splits_them_its_own_way(name, split):
    config = read(recipe={"name": name})
    assert config.payload == DensePayload(name="dense", sums="products")
    assert config.aggregation == AggregationSection(weights="samples", split=split)
    assert (config.head.rows, config.head.start) == ("together", "zeros")
    assert not config.head.logit_adjustment
    assert not config.head.calibration
    assert config.lora.use_rslora is False
    assert config.lora.one_scaling is (name == "hlora")
    assert config.recipe.personal == "none"


@pytest.mark.parametrize("name", ROWS)
def test_a_row_goes_together_with_itself(name):
    cohort = {"clients": [{"r": 4}] * 4}
    config = read(recipe={"name": name}, cohort=cohort, **accepting_plain_values(ROWS[name]))
    refuse_misfits(config, where="FED.toml")


MIXED = {"clients": [{"r": 2}, {"r": 4}, {"r": 4}]}


def test_hlora_takes_members_of_different_ranks():
    refuse_misfits(read(recipe={"name": "hlora"}, cohort=MIXED), where="FED.toml")


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (
            {"payload": {"name": "dense", "sums": "products"}, "outer": "nesterov"},
            r"'payload\.sums' is \"products\".*'outer\.name' = \"nesterov\".*\[outer\] name = \"sgd\"",
        ),
        (
            {"payload": {"name": "sketch", "sums": "products"}, "outer": {"learning_rate": 0.5}},
            r"'payload\.sums' is \"products\".*without a rate",
        ),
        (
            {"aggregation": {"weights": "samples"}},
            r"'aggregation\.weights' is \"samples\", and 'head\.rows' is \"by-class\".*rows = \"together\"",
        ),
        ({"aggregation": {"weights": "equal"}}, r"'aggregation\.weights' is \"equal\", and 'head\.rows'"),
        (
            {"aggregation": {"split": "right"}, "payload": "state"},
            r"'aggregation\.split' is \"right\", and under payload \"state\".*name = \"dense\"",
        ),
        ({"aggregation": {"split": "sqrt"}, "payload": "core"}, r"'aggregation\.split' is \"sqrt\""),
        (
            {"aggregation": {"split": "right"}, "cohort": MIXED},
            r"'aggregation\.split' is \"right\" \(HLoRA, whose sum.*while sums here have it.*differ.*same r",
        ),
        (
            {"recipe": {"name": "fedsvd"}, "outer": "nesterov"},
            r"'payload\.aligned' is true.*'outer\.name' is \"nesterov\".*\[outer\] name = \"sgd\"",
        ),
        (
            {"recipe": {"name": "fedit"}, "cohort": MIXED},
            r"'payload\.name' is \"factors\", and 'aggregation\.weights' is \"samples\".*need one rank.*HetLoRA",
        ),
        (
            {"recipe": {"name": "fedit"}, "outer": "nesterov"},
            r"'payload\.name' is \"factors\".*'outer\.name'",
        ),
        (
            {"recipe": {"name": "hetlora"}, "payload": "sketch", "training": {"rank_penalty": 0}},
            r"'aggregation\.weights' is \"norm\".*under payload \"sketch\" members send changes.*factors",
        ),
        (
            {"training": {"rank_penalty": 0.1}, "payload": "state"},
            r"'training\.rank_penalty' is 0\.1.*under payload \"state\"",
        ),
        (
            {"training": {"rank_pruning": True, "rank_penalty": 0.1}, "payload": "dense"},
            r"'training\.rank_pruning' is true.*'payload\.name' is \"dense\".*recipe = \"hetlora\"",
        ),
        (
            {"recipe": {"name": "hetlora"}, "training": {"rank_penalty": 0}},
            r"'training\.rank_pruning' is true.*'training\.rank_penalty' is 0",
        ),
        (
            {
                "recipe": {"name": "hetlora"},
                "grid": {"precision_bits": 8},
                "cohort": {"clients": [{"r": 4}, {"r": 4}, {"r": 128}]},
            },
            r"rank 128 is no integer of 'grid\.precision_bits' = 8.*ranks of 127 at most",
        ),
        (
            {"recipe": {"name": "hlora"}, "cohort": MIXED, "lora": {"one_scaling": False}},
            r"ranks in 'cohort\.clients' differ.*one_scaling = true",
        ),
    ],
)
def test_choices_that_do_not_go_together_are_refused_by_name(sections, words):
    with pytest.raises(ConfigError, match=words):
        refuse_misfits(read(**sections), where="FED.toml")


@pytest.mark.parametrize("name", ROWS)
def test_a_file_that_names_a_recipe_alone_means_its_row(name):
    row = ROWS[name]
    config = read(recipe={"name": name}, **accepting_plain_values(row))
    assert (config.recipe, config.payload) == (row.recipe, row.payload)
    assert (config.outer, config.fusion) == (row.outer, row.fusion)


def test_the_files_own_choices_replace_those_of_the_row():
    config = read(
        recipe={"personal": "none"},
        payload={"name": "basis"},
        outer={"name": "nesterov", "momentum": 0.9},
        fusion={"max_samples": 70},
    )
    assert config.recipe.personal == "none"
    assert config.outer == NesterovSection(name="nesterov", momentum=0.9)
    assert config.payload == BasisPayload(name="basis")
    assert config.fusion == FusionSection(max_samples=70)


def test_a_row_may_fill_any_section_and_the_file_has_the_last_word(monkeypatch):
    wide = Row(
        recipe=Recipe(name="wide", personal="none"),
        payload=SketchPayload(name="sketch"),
        others={"head": HeadSection(start="zeros", rows="together")},
    )
    monkeypatch.setattr(catalogue, "ROWS", {**ROWS, "wide": wide})
    alone = read(recipe={"name": "wide"}).head
    assert alone == HeadSection(start="zeros", rows="together")
    replaced = read(recipe={"name": "wide"}, head={"rows": "by-class", "temperature": 0.5}).head
    assert replaced == HeadSection(start="zeros", rows="by-class", temperature=0.5)


def test_a_key_of_the_rows_outer_step_needs_no_name():
    assert read(outer={"learning_rate": 0.5}).outer == SgdSection(name="sgd", learning_rate=0.5)


def test_an_outer_steps_name_may_stand_for_its_section():
    assert read(outer="nesterov").outer == NesterovSection(name="nesterov")


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_momentum_is_refused_where_nothing_has_one(name):
    with pytest.raises(ConfigError, match=r"'outer.momentum'.*\[outer\] with name = \"nesterov\" has a key"):
        read(outer={"name": name, "momentum": 0.9})


@pytest.mark.parametrize("payload", ["sketch", "basis", "core"])
def test_adam_is_refused_by_name_where_a_mean_has_no_coordinates(payload):
    config = read(payload=payload, outer="adam")
    with pytest.raises(ConfigError, match=f'\'outer.name\' is "adam".*under payload "{payload}" .*nesterov'):
        refuse_misfits(config, where="FED.toml")


def test_every_payload_without_a_reason_against_it_takes_adam():
    for payload in set(get_args(PayloadName)) - set(NO_COORDINATES):
        refuse_misfits(read(payload=payload, outer="adam"), where="FED.toml")


@pytest.mark.parametrize("recipe", ["default", "products"])
def test_a_rank_alone_is_that_of_sketches(recipe):
    config = read(recipe={"name": recipe}, payload={"rank": 32})
    assert config.payload == SketchPayload(name="sketch", rank=32)


def test_a_rank_is_refused_where_the_row_sends_no_sketches():
    with pytest.raises(ConfigError, match=r"unknown key 'payload\.rank'"):
        read(recipe={"name": "lean"}, payload={"rank": 32})


@pytest.mark.parametrize("name", ["core", "basis", "state", "sketch", "factors", "auto"])
def test_a_payloads_name_may_stand_for_its_section(name):
    assert read(payload=name).payload.name == name


@pytest.mark.parametrize("name", ["auto", "dense", "basis", "state", "core", "factors"])
def test_a_rank_is_refused_where_nothing_is_sketched(name):
    with pytest.raises(
        ConfigError, match=r"'payload.rank'.*\[payload\] with name = \"sketch\" has a key 'rank'"
    ):
        read(payload={"name": name, "rank": 4})


def test_a_payload_that_there_is_not_names_those_there_are():
    names = r"\"auto\", \"dense\", \"sketch\", \"basis\", \"state\", \"core\", \"factors\""
    words = rf"'payload.name' is wrong.*one of {names}.*did you mean"
    with pytest.raises(ConfigError, match=words):
        read(payload={"name": "scetch"})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("defualt", "did you mean 'default'"),
        ("flexlor", "did you mean 'flexlora'"),
        ("FlexLoRA", "did you mean 'flexlora'"),
        ("FLoRA", "'flexlora' averages products of mixed ranks; FLoRA stacks"),
        ("FedAvg", "'fedit' averages adapters as FedAvg averages weights"),
        ("fed_prox", r"write recipe = 'fedit' and .training. proximal"),
        ("FedSA-LoRA", "did you mean 'fedsa'"),
        ("SHE LoRA", "did you mean 'she-lora'"),
        ("magic", f"write one of {', '.join(sorted(ROWS))}"),
    ],
)
def test_an_unknown_recipe_names_the_known_ones(name, hint):
    with pytest.raises(ConfigError, match=f"no recipe '{name}' .recipe.name.: {hint}"):
        read(recipe={"name": name})


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_no_recipe_of_a_federation_and_says_what_measures_it(name):
    said = f"'{name}' is a baseline and no federation.*`securefl bench quality --recipe {name}` measures it"
    with pytest.raises(ConfigError, match=said):
        read(recipe={"name": name})


@pytest.mark.slow
def test_recipes_data_and_model_files_load_no_torch():
    modules = (
        "config.recipes.catalogue",
        "training.model_files",
        "training.rows.client_data",
        "training.settings",
        "training.tasks.base",
        "training.tasks.classification.rows",
        "provisioning.data_terms",
    )
    program = f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module("securefl." + name)
    for heavy in ("torch", "transformers", "peft", "pyarrow", "scipy", "pandas"):
        assert heavy not in sys.modules, (name, heavy)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_factors_are_aligned_only_where_a_keeps_orthonormal_rows():
    with pytest.raises(ConfigError, match=r"aligned = true, because rounds that train A"):
        read(payload={"name": "state", "aligned": True})


@pytest.mark.parametrize(
    ("name", "side", "aligned"),
    [("ffa", "left", False), ("rolora", "alternate", False), ("fedsvd", "left", True)],
)
def test_rows_of_one_factor_differ_in_the_side_and_in_what_happens_to_it(name, side, aligned):
    config = read(recipe={"name": name})
    assert config.payload == StatePayload(name="state", side=side, aligned=aligned)
    assert config.aggregation.weights == "samples"
    assert config.recipe.personal == "none"


def test_ravan_is_several_cores_a_weight_and_nothing_personal():
    config = read(recipe={"name": "ravan"})
    assert config.payload == CorePayload(name="core", heads=4)
    assert config.recipe.personal == "none"


def test_the_heads_of_ravan_may_be_replaced_alone():
    assert read(recipe={"name": "ravan"}, payload={"heads": 2}).payload == CorePayload(name="core", heads=2)


def test_she_lora_is_refused_until_the_file_itself_accepts_plain_values():
    with pytest.raises(
        ConfigError, match=r"shows the server the other values of every client.*allow_plaintext"
    ):
        read(recipe={"name": "she-lora"})


def test_she_lora_encrypts_a_tenth_by_columns_of_whole_changes():
    config = read(recipe={"name": "she-lora"}, encryption={"allow_plaintext": True})
    assert config.payload == DensePayload(name="dense")
    assert config.encryption.select == SelectSection(by="columns", fraction=0.1)
    refuse_misfits(config, where="FED.toml")


def test_a_file_may_replace_the_share_of_columns_alone_or_encrypt_everything():
    more = read(
        recipe={"name": "she-lora"}, encryption={"allow_plaintext": True, "select": {"fraction": 0.3}}
    )
    assert more.encryption.select == SelectSection(by="columns", fraction=0.3)
    assert read(recipe={"name": "she-lora"}, encryption={"select": "all"}).encryption.select.share == 1


@pytest.mark.parametrize("payload", NO_COLUMNS)
def test_columns_are_refused_by_name_where_a_payload_has_none(payload):
    plain = {"allow_plaintext": True, "select": {"by": "columns", "fraction": 0.1}}
    config = read(payload=payload, encryption=plain)
    words = f'\'encryption.select.by\' is "columns".*under payload "{payload}" .*dense'
    with pytest.raises(ConfigError, match=words):
        refuse_misfits(config, where="FED.toml")
    refuse_misfits(read(payload=payload, encryption={"select": {"by": "columns"}}), where="FED.toml")


def test_fed_hello_draws_layers_for_every_round_and_sums_whole_changes():
    config = read(recipe={"name": "fed-hello"})
    assert (config.layers.allocation, config.layers.shares) == ("random", (0.5, 0.75, 1.0))
    assert config.payload == SketchPayload(name="sketch")


def test_a_file_may_fix_the_layers_of_fed_hello_by_a_shape():
    layers = read(
        recipe={"name": "fed-hello"}, layers={"allocation": "geometric", "shape": "bottleneck"}
    ).layers
    assert layers == LayersSection(allocation="geometric", shape="bottleneck")


@pytest.mark.parametrize("allocation", ["all", "random"])
def test_a_shape_is_refused_where_no_layers_follow_one(allocation):
    with pytest.raises(ConfigError, match=rf'shape means nothing under allocation = "{allocation}"'):
        read(layers={"allocation": allocation, "shape": "triangle"})


@pytest.mark.parametrize("payload", ["basis", "state", "core"])
def test_layers_are_refused_by_name_where_values_have_owners_by_rank(payload):
    config = read(payload=payload, layers={"allocation": "random"})
    words = f'\'layers.allocation\' is "random", and under payload "{payload}" .*sketch'
    with pytest.raises(ConfigError, match=words):
        refuse_misfits(config, where="FED.toml")


def test_layers_are_refused_beside_sums_that_replace_every_layer():
    config = read(payload={"name": "dense", "sums": "products"}, layers={"allocation": "random"})
    with pytest.raises(
        ConfigError, match=r"'layers.allocation' is \"random\", and 'payload.sums' is \"products\""
    ):
        refuse_misfits(config, where="FED.toml")


def test_a_seeding_by_changes_is_refused_beside_sums_of_whole_adapters():
    config = read(recipe={"name": "fdlora"}, payload={"name": "dense", "sums": "products"}, outer="sgd")
    with pytest.raises(ConfigError, match=r"'recipe.seeding' is \"personal\".*sums = \"changes\""):
        refuse_misfits(config, where="FED.toml")


def test_scores_of_layers_that_no_round_would_follow_are_refused():
    config = read(recipe={"name": "fed-hello"}, layers={"allocation": "fisher"})
    with pytest.raises(ConfigError, match=r"'layers.scored_from' is 50, and 'federation.rounds' is 4"):
        refuse_misfits(config, where="FED.toml")
    refuse_misfits(read(recipe={"name": "fed-hello"}, layers={"allocation": "fisher", "scored_from": 3}))


def test_a_file_that_scores_layers_names_the_rounds():
    layers = read(layers={"allocation": "fisher", "scored_from": 2, "scored_every": 3}).layers
    assert [number for number in range(1, 10) if layers.scores(number)] == [2, 5, 8]
    assert not any(read(layers={"allocation": "random"}).layers.scores(number) for number in range(1, 200))


def test_fedit_and_hetlora_average_factors_by_samples_and_by_norms():
    for name, weights, penalty in (("fedit", "samples", 0.0), ("hetlora", "norm", 1e-3)):
        config = read(recipe={"name": name}, cohort={"clients": [{"r": 4}] * 4})
        assert config.payload == FactorsPayload(name="factors")
        assert config.aggregation.weights == weights
        assert config.training.rank_penalty == penalty
        assert config.training.rank_pruning is (name == "hetlora")
        assert config.lora.use_rslora is False


def test_a_row_that_fills_training_leaves_its_other_keys_to_the_file():
    config = read(recipe={"name": "hetlora"}, training={"learning_rate": 0.5})
    assert (config.training.learning_rate, config.training.rank_penalty) == (0.5, 1e-3)


LAYERS = {"allocation": "random"}


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (
            {"aggregation": {"weights": "samples"}, "head": {"rows": "together", "start": "zeros"}},
            '"random", where all owners of a layer weigh the same.*\'aggregation.weights\' is "samples"',
        ),
        (
            {"recipe": {"name": "default", "seeding": "personal"}},
            '"random".*\'recipe.seeding\' is "personal"',
        ),
        (
            {"encryption": {"select": {"fraction": 0.5}, "allow_plaintext": True}},
            "\"random\".*'encryption.select' leaves values plain",
        ),
        ({"outer": "nesterov"}, '"random".*\'outer.name\' is "nesterov".*allocation = "geometric"'),
        (
            {"outer": "adam", "payload": "dense"},
            '"random".*\'outer.name\' is "adam".*allocation = "geometric"',
        ),
    ],
)
def test_a_choice_that_owners_by_layer_leave_without_its_effect_is_refused(sections, words):
    config = read(**{"payload": "sketch", "layers": LAYERS, **sections})
    with pytest.raises(ConfigError, match=words):
        refuse_misfits(config, where="FED.toml")
    refuse_misfits(config.model_copy(update={"layers": LayersSection()}), where="FED.toml")


def test_a_momentum_goes_with_layers_whose_owners_are_the_same_in_every_round():
    refuse_misfits(read(payload="sketch", layers={"allocation": "geometric"}, outer="nesterov"), where="")


def test_shares_of_layers_are_refused_where_every_member_trains_every_layer():
    with pytest.raises(ConfigError, match='shares means nothing under allocation = "all"'):
        read(layers={"shares": [0.5, 1.0]})


def test_a_cap_of_norms_is_refused_where_no_norms_weigh():
    with pytest.raises(ConfigError, match='norm_cap means nothing under weights = "capped"'):
        read(aggregation={"norm_cap": 32.0})
    assert read(recipe={"name": "hetlora"}, aggregation={"norm_cap": 32.0}).aggregation.norm_cap == 32.0


def test_a_stop_that_goes_back_is_refused_where_members_keep_a_factor():
    config = read(recipe={"name": "fedsa"}, training={"early_stopping_rounds": 2})
    with pytest.raises(ConfigError, match=r"'training.early_stopping_rounds'.*'payload.shares' = \"right\""):
        refuse_misfits(config, where="FED.toml")
    refuse_misfits(read(recipe={"name": "fedit"}, training={"early_stopping_rounds": 2}), where="FED.toml")


def test_a_recipes_name_alone_stands_for_its_section():
    assert read(recipe="hetlora") == read(recipe={"name": "hetlora"})


def test_a_misspelt_name_alone_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigError, match=r"there is no recipe 'hetlor'.*did you mean 'hetlora'"):
        read(recipe="hetlor")


@pytest.mark.parametrize("value", ["", 3, ["fedit"]])
def test_a_recipe_that_is_no_name_is_refused_by_its_key(value):
    with pytest.raises(ConfigError, match=r"'recipe(\.name)?' is wrong \(FED.toml\)"):
        read(recipe=value)
