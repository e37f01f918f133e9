"""Sections that do not go together, and keys that nothing reads, are refused by name; what a row says is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from securefl.config.coherence import refuse_misfits
from securefl.config.dump import federation_toml
from securefl.config.federation import FederationConfig
from securefl.config.load import load_federation, validated
from securefl.config.recipes.catalogue import ROWS
from securefl.errors import ConfigError

MINIMAL: dict[str, object] = {"federation": {"name": "banks", "rounds": 4}, "model": {"path": "m"}}
PLAIN = {"select": {"fraction": 0.5}, "allow_plaintext": True}
ONE_RANK = {"clients": [{"r": 4}] * 4}
EQUAL = {"aggregation": {"weights": "equal"}, "head": {"rows": "together", "start": "zeros"}}


def read(**sections: object) -> FederationConfig:
    config = validated(FederationConfig, MINIMAL | sections, where="FED.toml")
    refuse_misfits(config, where="FED.toml")
    return config


def refused(**sections: object) -> str:
    with pytest.raises(ConfigError) as caught:
        read(**sections)
    return str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        ("fedit", "'payload.name' = \"factors\""),
        ("hetlora", "'payload.name' = \"factors\""),
        ("fedsa", "'payload.name' = \"factors\""),
        ("flexlora", "'payload.sums' = \"products\""),
        ("hlora", "'payload.sums' = \"products\""),
    ],
)
def test_plain_values_of_whole_sums_are_refused(recipe: str, named: str) -> None:
    said = refused(recipe=recipe, encryption=PLAIN, cohort=ONE_RANK)
    assert named in said
    assert "the server could estimate the ratios of the weights" in said
    assert 'select = "all"' in said


def test_plain_values_of_whole_sums_are_accepted_where_all_members_weigh_the_same() -> None:
    assert read(recipe="fedit", encryption=PLAIN, cohort=ONE_RANK, aggregation={"weights": "equal"})


def test_plain_values_of_changes_are_accepted_as_before() -> None:
    assert read(recipe="products", encryption=PLAIN)


CAUSAL = {"task": "causal-lm"}
NONE = {"recipe": "products"}
JOINT = {"recipe": "pf2lora"}
ALONE = {"recipe": "default"}
UNREAD = [
    ({**NONE, "fusion": {"max_samples": 40}}, "fusion.max_samples", 'recipe.personal\' is "none"'),
    (
        {**ALONE, "fusion": {"few_shot_budget": 20}},
        "fusion.few_shot_budget",
        "'fusion.finish' is \"search\", which is no few-shot search",
    ),
    (
        {**ALONE, "fusion": {"fine_tune_steps": 20}},
        "fusion.fine_tune_steps",
        "'fusion.finish' is \"search\", which trains nothing",
    ),
    (
        {**ALONE, "fusion": {"finish": "fine-tune", "space": "factor"}},
        "fusion.space",
        "no two adapters are fused",
    ),
    ({**NONE, "fusion": {"finish": "fine-tune", "max_samples": 40}}, "fusion.max_samples", "no two adapters"),
    ({**NONE, "fusion": {"space": "product"}}, "fusion.space", 'recipe.personal\' is "none"'),
    ({**NONE, "personal": {"rate_scales": [1.0]}}, "personal.rate_scales", 'recipe.personal\' is "none"'),
    ({**NONE, "personal": {"learning_rate": 0.1}}, "personal.learning_rate", 'recipe.personal\' is "none"'),
    (
        {**ALONE, "fusion": {"finish": "none", "max_samples": 40}},
        "fusion.max_samples",
        'fusion.finish\' is "none"',
    ),
    ({**ALONE, "fusion": {"finish": "none", "space": "factor"}}, "fusion.space", 'fusion.finish\' is "none"'),
    ({**JOINT, "personal": {"rate_scales": [1.0]}}, "personal.rate_scales", 'recipe.personal\' is "joint"'),
    (
        {
            "recipe": {"personal": "on-top"},
            "fusion": {"finish": "sum"},
            "personal": {"head_learning_rate": 0.1},
        },
        "personal.head_learning_rate",
        'recipe.personal\' is "on-top"',
    ),
    (
        {**JOINT, "personal": {"head_learning_rate": 0.1}},
        "personal.head_learning_rate",
        'recipe.personal\' is "joint"',
    ),
    (
        {"recipe": "hetlora", "cohort": {"samples_cap": 64}},
        "cohort.samples_cap",
        'aggregation.weights\' is "norm"',
    ),
    ({**EQUAL, "cohort": {"samples_cap": 64}}, "cohort.samples_cap", 'aggregation.weights\' is "equal"'),
    ({**CAUSAL, "data": {"text": "words"}}, "data.text", 'task "causal-lm"'),
    ({**CAUSAL, "data": {"label": "kind"}}, "data.label", 'task "causal-lm"'),
    ({"data": {"messages": "talk"}}, "data.messages", 'task "sequence-classification"'),
    ({"data": {"output": "reply"}}, "data.output", 'task "sequence-classification"'),
]


@pytest.mark.parametrize(("sections", "key", "reason"), UNREAD)
def test_a_written_key_that_nothing_reads_is_refused_by_name(
    sections: dict[str, object], key: str, reason: str
) -> None:
    said = refused(**sections)
    assert f"'{key}' is set, and" in said
    assert reason in said
    assert f"leave {key.rpartition('.')[2]} out" in said


@pytest.mark.parametrize(
    "sections",
    [
        {**NONE, "fusion": {"baselines": True}, "personal": {"learning_rate": 0.1}},
        {**JOINT, "fusion": {"max_samples": 40}, "personal": {"learning_rate": 0.1}},
        {**ALONE, "fusion": {"max_samples": 40}, "personal": {"rate_scales": [1.0]}},
        {**ALONE, "cohort": {"samples_cap": 64}},
        {**CAUSAL, "data": {"label": "kind", "split": "dirichlet"}},
        {**CAUSAL, "data": {"messages": "talk"}},
        {"data": {"text": "words", "label": "kind"}},
    ],
)
def test_a_key_that_is_read_is_accepted(sections: dict[str, object]) -> None:
    assert read(**sections)


def test_a_penalty_on_ranks_is_refused_where_a_round_trains_without_it() -> None:
    seeded = {"recipe": {"name": "default", "seeding": "personal"}, "payload": "sketch"}
    said = refused(**seeded, training={"rank_penalty": 1e-3})
    assert "'training.rank_penalty' is 0.001, and 'recipe.seeding' is \"personal\"" in said
    assert "'training.proximal' is 0.1, and 'recipe.seeding'" in refused(**seeded, training={"proximal": 0.1})
    assert read(**seeded)


@pytest.mark.parametrize("recipe", ROWS)
def test_a_configuration_that_was_written_out_is_read_back_as_it_was(recipe: str, tmp_path: Path) -> None:
    """Whatever the recipe leaves unread is not written, so that it is not refused."""
    named = {"clients": [{"r": 4, "id": f"site-{place}"} for place in range(4)]}
    more: dict[str, object] = {"encryption": {"allow_plaintext": True}} if recipe == "she-lora" else {}
    for task in ("sequence-classification", "causal-lm"):
        if task == "causal-lm" and recipe in ("fdlora", "pfedlora"):
            continue
        made = validated(
            FederationConfig,
            MINIMAL
            | {
                "model": {"path": str(tmp_path)},
                "recipe": recipe,
                "cohort": named,
                "task": task,
                "data": {"train": str(tmp_path / "rows.csv")},
            }
            | more,
            where="FED.toml",
        )
        (tmp_path / "FED.toml").write_text(federation_toml(made))
        assert load_federation(tmp_path / "FED.toml") == made


@pytest.mark.parametrize("recipe", ["default", "products", "fedit", "lean"])
def test_the_finished_global_adapter_may_be_fine_tuned_whatever_the_personal_one(recipe: str) -> None:
    fusion = {"finish": "fine-tune", "fine_tune_steps": 30}
    config = read(recipe=recipe, cohort=ONE_RANK, fusion=fusion, personal={"learning_rate": 1e-3})
    assert config.fusion.tunes


@pytest.mark.parametrize("recipe", ["pf2lora", "fedalt"])
def test_an_adapter_that_is_of_use_beside_another_one_only_is_not_left_out_of_the_end(recipe: str) -> None:
    assert "'fusion.finish' is \"fine-tune\"" in refused(
        recipe=recipe, cohort={"clients": [{"r": 4}] * 4}, fusion={"finish": "fine-tune"}
    )
