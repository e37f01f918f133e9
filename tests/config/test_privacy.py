"""A promise of privacy and what would break it: refused by name, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from securefl.adapters.payloads.facts import FACTS
from securefl.config.coherence import refuse_misfits
from securefl.config.dump import federation_toml
from securefl.config.federation import FederationConfig
from securefl.config.load import load_federation, validated
from securefl.config.member import ClientSettings
from securefl.config.privacy import ClientPrivacySection, OwnPrivacySection
from securefl.config.privacy_misfits import privacy_misfits
from securefl.errors import ConfigError

MINIMAL: dict[str, object] = {
    "federation": {"name": "banks", "rounds": 4},
    "model": {"path": "m"},
    "data": {"train": "t.csv"},
}
EXAMPLE = {"unit": "example", "target_epsilon": 8}
CLIENT = {"unit": "client", "target_epsilon": 8}
ALLOWED: dict[str, object] = {
    "recipe": {"name": "ffa", "personal": "none"},
    "aggregation": {"weights": "equal"},
    "head": {"rows": "together", "start": "zeros", "logit_adjustment": False},
    "payload": {"name": "core"},
}


def read(**sections: object) -> FederationConfig:
    config = validated(FederationConfig, MINIMAL | sections, where="FED.toml")
    refuse_misfits(config, where="FED.toml")
    return config


def refused(**sections: object) -> str:
    with pytest.raises(ConfigError) as caught:
        read(**sections)
    return str(caught.value)


@pytest.mark.parametrize("privacy", [EXAMPLE, CLIENT])
def test_a_file_that_keeps_its_promise_is_accepted(privacy: dict) -> None:
    assert read(**ALLOWED, privacy=privacy).privacy.unit == privacy["unit"]


@pytest.mark.parametrize("name", FACTS)
def test_noise_for_clients_goes_through_exactly_the_payloads_that_carry_it(name: str) -> None:
    sections = MINIMAL | ALLOWED | {"payload": {"name": name}, "privacy": CLIENT}
    found = privacy_misfits(validated(FederationConfig, sections, where="FED.toml"))
    refused_payload = any(misfit.choice.startswith("'payload.name'") for misfit in found)
    assert refused_payload == (not FACTS[name].carries_noise)  # type: ignore[index]


@pytest.mark.parametrize("privacy", [EXAMPLE, CLIENT])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"aggregation": {"weights": "capped"}}, "a member's weight depends on its data"),
        ({"aggregation": {"weights": "samples"}}, "a member's weight depends on its data"),
        ({"head": {"rows": "by-class", "start": "zeros"}}, "'head.rows' is \"by-class\""),
        ({"training": {"early_stopping_rounds": 2}}, "'training.early_stopping_rounds' is 2"),
        (
            {
                "payload": {"name": "dense"},
                "encryption": {"select": {"fraction": 0.5}, "allow_plaintext": True},
            },
            "'encryption.select' leaves values plain",
        ),
        (
            {"payload": {"name": "state", "frozen_from": "gradient"}},
            "'payload.frozen_from' is \"gradient\": a gradient of the members' rows",
        ),
        ({"cohort": {"ranks": {"by": "data"}}}, "'cohort.ranks.by' is \"data\": ranks are public"),
        (
            {"payload": {"name": "dense"}, "layers": {"allocation": "fisher", "scored_from": 1}},
            "'layers.allocation' is \"fisher\"",
        ),
    ],
)
def test_what_depends_on_data_is_not_released_beside_the_noise(
    privacy: dict, change: dict, said: str
) -> None:
    sentence = refused(**{**ALLOWED, **change}, privacy=privacy)
    assert said in sentence
    assert f"'privacy.unit' = \"{privacy['unit']}\"" in sentence


@pytest.mark.parametrize("privacy", [EXAMPLE, CLIENT])
def test_ranks_that_follow_the_data_are_refused(privacy: dict) -> None:
    # They go with weights by norms alone, which are refused first.
    config = validated(
        FederationConfig, MINIMAL | ALLOWED | {"recipe": "hetlora", "privacy": privacy}, where="FED.toml"
    )
    assert "'training.rank_pruning' is true:" in [misfit.choice for misfit in privacy_misfits(config)]


@pytest.mark.parametrize("start", ["auto", "closed-form"])
def test_a_head_from_sums_of_features_is_refused(start: str) -> None:
    # Such a start goes with rows by class alone, which are refused first.
    config = validated(
        FederationConfig,
        MINIMAL | {"head": {"rows": "by-class", "start": start}, "privacy": CLIENT},
        where="FED.toml",
    )
    assert f"'head.start' is \"{start}\":" in [misfit.choice for misfit in privacy_misfits(config)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"head": {"rows": "together", "start": "zeros", "logit_adjustment": True}},
            "one row changes the label shares",
        ),
        ({"recipe": "pfedlora", "payload": {"name": "dense"}}, "'recipe.personal' is \"backbone\""),
        ({"recipe": "pf2lora", "payload": {"name": "dense"}}, "'recipe.personal' is \"joint\""),
        (
            {"recipe": "fedalt", "payload": {"name": "factors"}, "cohort": {"clients": [{"r": 4}] * 5}},
            "'recipe.personal' is \"rest\"",
        ),
        (
            {"recipe": {"name": "fdlora"}, "payload": {"name": "dense"}},
            "'recipe.seeding' is \"personal\"",
        ),
    ],
)
def test_rows_are_protected_only_where_nothing_else_learns_from_them(change: dict, said: str) -> None:
    sections = {**ALLOWED, **change, "privacy": EXAMPLE}
    if "recipe" in change:
        sections["recipe"] = change["recipe"]
    assert said in refused(**sections)


@pytest.mark.parametrize("payload", [{"name": "sketch"}, {"name": "auto"}])
def test_noise_on_a_sketch_is_refused(payload: dict) -> None:
    assert "enlarges the noise" in refused(
        **{**ALLOWED, "recipe": "products", "payload": payload}, privacy=CLIENT
    )


def test_noise_on_whole_factors_is_refused() -> None:
    said = refused(
        **{**ALLOWED, "payload": {"name": "factors"}}, cohort={"clients": [{"r": 4}] * 4}, privacy=CLIENT
    )
    assert "clipped as a change since the round's start" in said


@pytest.mark.parametrize("privacy", [EXAMPLE, CLIENT])
@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
def test_every_encryption_goes_with_a_promise(privacy: dict, scheme: str) -> None:
    """Under ``bfv`` and ``none`` each client's share is all of the noise; see ``protocol.client_noise``."""
    assert read(**ALLOWED, privacy=privacy, encryption={"scheme": scheme}).encryption.scheme == scheme


@pytest.mark.parametrize(
    ("privacy", "section", "key"),
    [
        (EXAMPLE, "training", "max_grad_norm"),
        (CLIENT, "grid", "adapter_bound"),
        (CLIENT, "grid", "head_bound"),
    ],
)
def test_a_bound_that_the_unit_replaces_is_refused(privacy: dict, section: str, key: str) -> None:
    said = refused(**ALLOWED, privacy=privacy, **{section: {key: 0.5}})
    assert f"'{section}.{key}' is set" in said
    assert "write [privacy] clip in its place" in said


@pytest.mark.parametrize(
    ("privacy", "said"),
    [
        ({"unit": "example"}, "'privacy.target_epsilon' is missing"),
        ({"unit": "none", "target_epsilon": 8}, "unknown key 'privacy.target_epsilon'"),
        ({**EXAMPLE, "mechanism": "skellam"}, "unknown key 'privacy.mechanism'"),
        ({**CLIENT, "clipping": "flat"}, "unknown key 'privacy.clipping'"),
        ({**EXAMPLE, "target_epsilon": 0}, "'privacy.target_epsilon' is wrong"),
        ({**EXAMPLE, "delta": 0.5}, "'privacy.delta' is wrong"),
        ({**EXAMPLE, "clip": 0}, "'privacy.clip' is wrong"),
        ({**EXAMPLE, "group_column": "patient"}, "go together"),
        ({**EXAMPLE, "max_per_group": 2}, "go together"),
        ({**CLIENT, "mechanism": "skellam", "accountant": "pld"}, "no bound for mechanism"),
    ],
)
def test_a_promise_that_says_nothing_is_refused(privacy: dict, said: str) -> None:
    assert said in refused(**ALLOWED, privacy=privacy)


def test_a_delta_that_gives_a_client_away_is_refused() -> None:
    cohort = {"clients": [{"r": 4}] * 200}
    said = refused(**ALLOWED, privacy={**CLIENT, "delta": 0.01}, cohort=cohort)
    assert "write a delta below 0.005" in said


def test_a_word_stands_for_a_unit_without_other_keys() -> None:
    assert read(privacy="none").privacy.unit == "none"


def test_skellam_noise_is_accounted_for_by_renyi_divergence() -> None:
    section = ClientPrivacySection(unit="client", target_epsilon=8, mechanism="skellam")
    assert section.accounted_by == "rdp"
    assert ClientPrivacySection(unit="client", target_epsilon=8).accounted_by == "pld"


@pytest.mark.parametrize("privacy", [EXAMPLE, {**CLIENT, "mechanism": "skellam"}])
def test_a_promise_survives_its_file(tmp_path: Path, privacy: dict) -> None:
    config = read(**ALLOWED, privacy=privacy)
    path = tmp_path / "FED.toml"
    path.write_text(federation_toml(config))
    assert load_federation(path).privacy == config.privacy


def test_a_clients_own_budget_stands_in_its_own_file() -> None:
    fields = ClientSettings.model_fields
    assert fields["privacy"].default == OwnPrivacySection()
    with pytest.raises(ConfigError, match=r"'privacy.budget_epsilon' is wrong"):
        validated(OwnBudgetFile, {"privacy": {"budget_epsilon": -1}}, where="client.toml")


class OwnBudgetFile(ClientSettings.__base__):  # type: ignore[misc, name-defined]
    """The one section of a client's file."""

    privacy: OwnPrivacySection


@pytest.mark.parametrize(
    ("own", "promised", "delta"),
    [
        ({}, 1e-2, 1e-2),
        ({"budget_epsilon": 4}, 1e-2, 1e-5),
        ({"budget_epsilon": 4}, 1e-7, 1e-7),
        ({"budget_delta": 1e-6}, 1e-2, 1e-6),
        ({"budget_delta": 1e-3}, 1e-5, 1e-5),
    ],
)
def test_the_lead_chooses_no_larger_delta_for_a_budget_than_its_owner(own, promised, delta) -> None:
    assert OwnPrivacySection.model_validate(own).delta_beside(promised) == delta
