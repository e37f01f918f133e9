"""Choices of a private adapter that do not go together are refused by name; nothing of it is set in vain."""

from __future__ import annotations

import pytest

from securefl.adapters.payloads.facts import FACTS, Trains
from securefl.config.coherence import refuse_misfits
from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.config.private_part import NOT_ITSELF
from securefl.errors import ConfigError

ALONE = {"name": "default", "personal": "alone"}


def read(recipe: dict[str, object], *, rounds: int = 4, **sections: object) -> FederationConfig:
    table = {"federation": {"name": "banks", "rounds": rounds}, "model": {"path": "m"}, "recipe": recipe}
    config = validated(FederationConfig, table | sections, where="FED.toml")
    refuse_misfits(config, where="FED.toml")
    return config


def refused(recipe: dict[str, object], **sections: object) -> str:
    with pytest.raises(ConfigError) as error:
        read(recipe, **sections)
    return str(error.value)


def test_the_payloads_that_are_refused_are_those_that_do_not_train_the_own_adapter() -> None:
    own = {name for name, facts in FACTS.items() if facts.trains is Trains.BOTH and not facts.beside}
    assert own.isdisjoint(NOT_ITSELF)
    assert own | NOT_ITSELF.keys() == FACTS.keys()


@pytest.mark.parametrize(("key", "value"), [("sync_every", 3), ("seeding", "personal"), ("personal_rank", 2)])
def test_a_choice_of_the_personal_adapter_is_refused_where_there_is_none(key: str, value: object) -> None:
    said = refused({"personal": "none", key: value})
    assert f"'recipe.{key}' is set, and 'recipe.personal' is \"none\"" in said


@pytest.mark.parametrize("rounds", [2, 4, 6])
def test_a_number_of_rounds_whose_last_one_would_overwrite_is_refused(rounds: int) -> None:
    said = refused({**ALONE, "sync_every": 2}, rounds=rounds, payload="sketch")
    assert f"'federation.rounds' is {rounds}, a multiple of 'recipe.sync_every' = 2" in said
    assert f"write rounds = {rounds + 1}" in said


def test_every_round_as_one_that_copies_is_refused() -> None:
    assert "a multiple of 'recipe.sync_every' = 1" in refused(
        {**ALONE, "sync_every": 1}, rounds=5, payload="sketch"
    )


def test_a_copy_that_no_round_would_make_is_refused() -> None:
    said = refused({**ALONE, "sync_every": 5}, payload="sketch")
    assert "'recipe.sync_every' is 5, and 'federation.rounds' is 4: no round would copy" in said


@pytest.mark.parametrize("payload", NOT_ITSELF)
@pytest.mark.parametrize("choice", [{"sync_every": 3}, {"seeding": "personal"}])
def test_copies_need_a_payload_that_trains_the_own_adapter(payload: str, choice: dict) -> None:
    said = refused({**ALONE, **choice}, payload=payload)
    assert f'under payload "{payload}"' in said
    assert 'write [payload] name = "sketch"' in said


@pytest.mark.parametrize("choice", [{"sync_every": 3}, {"seeding": "personal"}])
def test_copies_need_adapters_of_one_rank(choice: dict) -> None:
    said = refused({**ALONE, **choice, "personal_rank": 2}, payload="sketch")
    assert "needs adapters of one rank, and 'recipe.personal_rank' is 2" in said


def test_copies_are_refused_where_the_federation_may_end_with_one() -> None:
    said = refused({**ALONE, "sync_every": 3}, payload="sketch", training={"early_stopping_rounds": 2})
    assert "'training.early_stopping_rounds' may end the federation" in said


def test_fdlora_is_seeded_copies_every_third_round_and_has_nesterovs_momentum() -> None:
    config = read({"name": "fdlora"})
    assert (config.recipe.seeding, config.recipe.sync_every, config.payload.name) == ("personal", 3, "sketch")
    assert config.outer.model_dump() == {"name": "nesterov", "learning_rate": 1.0, "momentum": 0.5}
    assert config.training.num_train_epochs == 3
    assert "a multiple of 'recipe.sync_every' = 3" in refused({"name": "fdlora"}, rounds=3)


@pytest.mark.parametrize("finish", ["search", "few-shot"])
@pytest.mark.parametrize("space", ["product", "factor"])
def test_fdlora_takes_either_search_in_either_space_of_fusion(finish: str, space: str) -> None:
    fusion = read({"name": "fdlora"}, fusion={"finish": finish, "space": space}).fusion
    assert (fusion.finish, fusion.space, fusion.few_shot_budget) == (finish, space, 40)


def test_a_few_shot_search_without_a_personal_adapter_is_refused() -> None:
    said = refused({"personal": "none"}, fusion={"finish": "few-shot"})
    assert "'fusion.finish' is \"few-shot\", and 'recipe.personal' is \"none\"" in said
    assert "there is nothing to fuse" in said


def test_a_seeded_recipe_trains_the_personal_adapter_in_the_first_round_only() -> None:
    seeded = read({"name": "fdlora"}).recipe
    assert [number for number in range(1, 8) if seeded.seeds(number)] == [1]
    assert [number for number in range(1, 8) if seeded.syncs(number)] == [3, 6]
    assert not any(seeded.trains_alone(number) for number in range(1, 8))


def test_an_adapter_alone_is_trained_beside_every_round_that_does_not_copy() -> None:
    recipe = read({**ALONE, "sync_every": 3}, payload="sketch").recipe
    assert [number for number in range(1, 8) if recipe.trains_alone(number)] == [1, 2, 4, 5, 7]


def test_pf2lora_moves_a_private_adapter_of_rank_two_and_serves_the_sum() -> None:
    config = read({"name": "pf2lora"})
    assert (config.recipe.personal, config.recipe.personal_rank) == ("joint", 2)
    assert config.fusion.adds
    assert config.recipe.has_personal
    assert not config.recipe.stands_alone


def test_a_key_of_the_fusion_leaves_the_rows_finish() -> None:
    config = read({"name": "pf2lora"}, fusion={"baselines": True})
    assert (config.fusion.finish, config.fusion.baselines) == ("sum", True)


def test_an_adapter_on_top_is_never_trained_by_itself() -> None:
    recipe = read({"personal": "on-top"}, fusion={"finish": "sum"}).recipe
    assert recipe.has_personal
    assert not recipe.stands_alone
    assert not any(recipe.trains_alone(number) for number in range(1, 8))


@pytest.mark.parametrize("personal", ["joint", "on-top"])
@pytest.mark.parametrize("finish", ["search", "few-shot", "none"])
def test_a_private_adapter_that_is_of_use_beside_the_shared_one_only_is_served_as_the_sum(
    finish: str, personal: str
) -> None:
    said = refused({"name": "pf2lora", "personal": personal}, fusion={"finish": finish})
    assert f"'recipe.personal' is \"{personal}\"" in said
    assert f"'fusion.finish' is \"{finish}\"" in said


@pytest.mark.parametrize("personal", ["joint", "on-top"])
@pytest.mark.parametrize("choice", [{"sync_every": 3}, {"seeding": "personal"}])
def test_a_private_adapter_beside_the_shared_one_neither_seeds_nor_copies(
    choice: dict, personal: str
) -> None:
    said = refused({"name": "pf2lora", "personal": personal, "personal_rank": "own", **choice})
    assert f"'recipe.personal' is \"{personal}\": that adapter is of use beside the shared one only" in said


def test_no_federation_is_ended_by_losses_of_half_a_model() -> None:
    said = refused({"name": "pf2lora"}, training={"early_stopping_rounds": 2})
    assert "'training.early_stopping_rounds' goes by the shared adapter alone" in said


def test_a_sum_of_products_is_refused_in_the_space_of_factors() -> None:
    said = refused(ALONE, fusion={"finish": "sum", "space": "factor"})
    assert "'fusion.finish' is \"sum\", which adds products, and 'fusion.space' is \"factor\"" in said


def test_a_sum_without_a_personal_adapter_is_refused() -> None:
    assert "there is nothing to add" in refused({"personal": "none"}, fusion={"finish": "sum"})


@pytest.mark.parametrize("personal", ["alone", "joint", "on-top"])
def test_a_private_adapter_may_be_kept_orthogonal_to_the_shared_one(personal: str) -> None:
    fusion = {"finish": "sum"} if personal != "alone" else {}
    config = read({"name": "default", "personal": personal}, training={"orthogonal": 0.1}, fusion=fusion)
    assert config.training.orthogonal == 0.1


@pytest.mark.parametrize("personal", ["none", "rest"])
def test_an_orthogonal_term_without_a_private_adapter_is_refused(personal: str) -> None:
    recipe = {"name": "fedalt"} if personal == "rest" else {"name": "default", "personal": personal}
    said = refused(recipe, training={"orthogonal": 0.1})
    assert f"'training.orthogonal' is 0.1, and 'recipe.personal' is \"{personal}\"" in said


@pytest.mark.parametrize("key", [{"sync_every": 3}, {"seeding": "personal"}])
def test_an_orthogonal_term_is_refused_where_both_adapters_become_one(key: dict[str, object]) -> None:
    said = refused({**ALONE, **key}, payload="sketch", training={"orthogonal": 0.1})
    assert "'training.orthogonal' is 0.1, and 'recipe." in said
    assert "makes both adapters one" in said


@pytest.mark.parametrize(
    ("written", "ranks"),
    [
        ("own", [None, None, None, None]),
        (3, [3, 3, 3, 3]),
        (0.25, [1, 1, 2, 4]),
        (0.1, [1, 1, 1, 2]),
        (0.3, [1, 1, 2, 5]),
    ],
)
def test_a_private_rank_is_a_number_or_a_share_of_the_clients_own(
    written: object, ranks: list[int | None]
) -> None:
    recipe = read({"name": "pf2lora", "personal_rank": written}).recipe
    assert [recipe.private_rank(rank) for rank in (2, 4, 8, 16)] == ranks


@pytest.mark.parametrize("written", [0, 0.0, 1.5, -0.5, "half"])
def test_a_private_rank_that_is_neither_is_refused(written: object) -> None:
    with pytest.raises(ConfigError, match="personal_rank"):
        read({"name": "pf2lora", "personal_rank": written})


def test_a_share_of_a_rank_makes_no_adapters_of_one_rank() -> None:
    said = refused({**ALONE, "sync_every": 3, "personal_rank": 0.5}, payload="sketch")
    assert "needs adapters of one rank, and 'recipe.personal_rank' is 0.5" in said
