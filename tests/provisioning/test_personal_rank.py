"""The rank of the personal adapter: the client's own, or the recipe's, which the model must have room for."""

from __future__ import annotations

import pytest
from support.federations import LAYOUT, make_federation

from securefl.config.aggregation import AggregationSection
from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.config.recipes.catalogue import ROWS
from securefl.config.recipes.choices import Recipe
from securefl.errors import ConfigError
from securefl.protocol.federation import Federation
from securefl.provisioning.draft import _check_personal_rank, draft_of_layout


def federation(personal_rank: int | str, **choices: object):
    recipe = Recipe(name="default", personal="alone", personal_rank=personal_rank)
    return make_federation((2, 4, 8, 16), recipe=recipe, scheme="none", **choices).federation


def test_the_own_rank_has_what_of_it_the_payload_cannot_sum() -> None:
    assert [federation("own").personal_rank(rank) for rank in (2, 16)] == [2, 16]
    assert [federation("own", payload="basis").personal_rank(rank) for rank in (2, 16)] == [2, 24]


def test_a_number_is_every_clients_rank() -> None:
    assert {federation(3, payload="basis").personal_rank(rank) for rank in (2, 4, 16)} == {3}


def test_a_rank_that_the_narrowest_weight_has_no_room_for_is_refused() -> None:
    _check_personal_rank(federation(24))
    with pytest.raises(ConfigError, match=r"'recipe.personal_rank' is 25, and the narrowest .* room for 24"):
        _check_personal_rank(federation(25))


def of_learners(recipe: str, **sections: object) -> Federation:
    """A federation of members with models of their own, under a recipe."""
    weights = ROWS[recipe].others.get("aggregation", AggregationSection())
    counted = isinstance(weights, AggregationSection) and weights.counts_samples
    table = {
        "federation": {"name": "banks"},
        "model": {"path": "own"},
        "recipe": {"name": recipe},
        "cohort": {"clients": [{"r": 4}] * 4, **({"samples_cap": 100} if counted else {})},
        "encryption": {"allow_plaintext": True},
        **sections,
    }
    config = validated(FederationConfig, table, where="FED.toml")
    return draft_of_layout(
        config, LAYOUT, roster=federation("own").roster, federation_id=bytes(32)
    ).federation


def test_a_recipe_that_trains_base_models_of_the_members_own_needs_no_learners() -> None:
    with pytest.raises(ConfigError, match=r"'recipe.personal' is \"backbone\", where base models train"):
        of_learners("pfedlora")


@pytest.mark.parametrize("name", [name for name in ROWS if not ROWS[name].recipe.own_backbones])
def test_members_with_models_of_their_own_have_no_adapter_that_the_recipe_knows_of(name: str) -> None:
    terms = of_learners(name).terms
    assert terms.recipe == Recipe(name=name, personal="none")
    assert not terms.recipe.seeded
    assert not terms.fusion.adds
    assert terms.training.rank_penalty == 0
    assert not terms.training.rank_pruning


def test_a_penalty_that_was_written_is_refused_where_learners_train() -> None:
    with pytest.raises(ConfigError, match=r"'training.rank_penalty' is 0.01, and the members' own learners"):
        of_learners("default", payload="dense", training={"rank_penalty": 0.01})


def test_a_proximal_term_is_refused_where_learners_train() -> None:
    with pytest.raises(ConfigError, match=r"'training.proximal' is 0.01, and the members' own learners"):
        of_learners("default", training={"proximal": 0.01})


def test_an_orthogonal_term_is_refused_where_learners_train() -> None:
    with pytest.raises(ConfigError, match=r"'training.orthogonal' is 0.5, and the members' own learners"):
        of_learners("default", training={"orthogonal": 0.5})


def test_pruning_that_was_written_is_refused_where_learners_train() -> None:
    with pytest.raises(ConfigError, match=r"'training.rank_pruning' is true, and the members' own learners"):
        of_learners("default", training={"rank_pruning": True})


def test_no_cap_of_samples_is_needed_where_they_do_not_weigh() -> None:
    assert of_learners("hetlora").terms.samples_cap == 1
    with pytest.raises(ConfigError, match=r"'cohort.samples_cap' is not set"):
        of_learners("default", cohort={"clients": [{"r": 4}] * 4})
