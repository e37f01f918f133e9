"""An adapter that is sent and stays its client's own goes with few choices; all others are refused by name."""

from __future__ import annotations

import pytest

from securefl.config.coherence import refuse_misfits
from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.errors import ConfigError

MINIMAL = {"federation": {"name": "banks"}, "model": {"path": "m"}}


def read(recipe: object, **sections: object) -> FederationConfig:
    config = validated(FederationConfig, MINIMAL | {"recipe": recipe} | sections, where="FED.toml")
    refuse_misfits(config, where="FED.toml")
    return config


def test_fedalt_sums_whole_factors_of_equal_weights_and_mixes_two_adapters() -> None:
    config = read("fedalt")
    assert (config.recipe.personal, config.fusion.finish) == ("rest", "mixer")
    assert (config.payload.name, config.aggregation.weights) == ("factors", "equal")
    assert not config.recipe.has_personal
    assert config.recipe.keeps_sent


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"cohort": {"clients": [{}, {}, {}]}}, r"'cohort\.clients' names 3: .*take 4 clients or more"),
        ({"payload": "dense"}, '\'payload.name\' is "dense".*name = "factors"'),
        ({"payload": {"shares": "right"}}, '"factors" with shares = "right"'),
        ({"aggregation": {"weights": "samples"}}, '\'aggregation.weights\' is "samples".*weights = "equal"'),
        ({"fusion": {"finish": "search"}}, '\'fusion.finish\' is "search".*finish = "mixer"'),
        ({"fusion": {"finish": "sum"}}, "'fusion.finish' is \"sum\""),
        ({"training": {"early_stopping_rounds": 2}}, "'training.early_stopping_rounds' goes back"),
        ({"training": {"rank_penalty": 0.1}}, "'training.rank_penalty' is 0.1"),
        (
            {"fusion": {"max_samples": 40}},
            r"'fusion\.max_samples' is set, and 'recipe\.personal' is \"rest\"",
        ),
        ({"personal": {"rate_scales": [1.0]}}, r"'personal\.rate_scales' is set"),
        (
            {"cohort": {"clients": [{"r": 2}, {"r": 4}, {"r": 4}, {"r": 4}]}},
            r"need one rank.*give every client the same r\.$",
        ),
    ],
)
def test_what_does_not_go_with_an_adapter_that_stays_is_refused(sections: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read("fedalt", **sections)


@pytest.mark.parametrize("key", ["sync_every", "seeding", "personal_rank"])
def test_choices_of_a_personal_adapter_are_refused(key: str) -> None:
    value = {"sync_every": 3, "seeding": "personal", "personal_rank": 2}[key]
    with pytest.raises(ConfigError, match=rf"'recipe\.{key}' is set, and 'recipe\.personal' is \"rest\""):
        read({"name": "fedalt", key: value})


@pytest.mark.parametrize(("recipe", "other"), [("default", "search"), ("fedit", "none"), ("pf2lora", "sum")])
def test_a_mixer_is_refused_where_none_is_trained_with_a_finish_that_goes_there(
    recipe: str, other: str
) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"'fusion\.finish' is \"mixer\", and 'recipe\.personal' is.*or finish = \"{other}\"",
    ):
        read(recipe, fusion={"finish": "mixer"})
    read(recipe, fusion={"finish": other})
