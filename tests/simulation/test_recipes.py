"""Every recipe with a real model, encrypted and as its integer twin: the same integers, and adapters of the same bits.

Rows are taken from the catalogue, so that a new one is covered by itself; choices that no row makes stand in a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from support.tiny_model import save_tiny_bert, write_rows

from securefl import forecast
from securefl.config.coherence import refuse_misfits
from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.config.recipes.catalogue import ROWS
from securefl.planning.speed import measure_speed

pytestmark = pytest.mark.slow

RANKS = (2, 4, 4, 8)
ONE_RANK = frozenset({"fedit", "fedsa", "fedalt"})
"""Recipes that need members of one rank."""
ROUNDS = 3
CHOICES: dict[str, dict[str, object]] = {
    # In three rounds: a seeding, one that copies, and one after it.
    "fdlora": {"recipe": {"name": "fdlora", "sync_every": 2}},
}
"""What a recipe needs beside its name, by recipe."""
CAP: dict[str, dict[str, object]] = {"hetlora": {}, "fedalt": {}}
"""What is said of numbers of samples, where they do not weigh."""
TRAINING: dict[str, object] = {"device": "cpu", "precision": "float32", "learning_rate": 1e-2}
REPLACED: dict[str, tuple[str, dict[str, object]]] = {
    "ffa from the base model": ("ffa", {"payload": {"frozen_from": "principal"}}),
    "ravan from the base model": ("ravan", {"payload": {"frozen_from": "principal"}}),
    "flexlora by a mix of ranks": (
        "flexlora",
        {
            "cohort": {
                "clients": [{}] * len(RANKS),
                "ranks": {"by": "mix", "shape": "normal", "of": [2, 4, 8]},
                "samples_cap": 64,
            }
        },
    ),
    "pf2lora kept orthogonal": ("pf2lora", {"training": {**TRAINING, "orthogonal": 0.1}}),
}
"""Recipes with choices that no row makes, by a name of the test's own."""


@dataclass(frozen=True)
class Ends:
    """What a federation ends with: digests of every round's integers, and of every member's adapters."""

    integers: dict[int, str]
    adapters: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny model and 160 rows."""
    folder = tmp_path_factory.mktemp("recipes")
    save_tiny_bert(folder / "model")
    write_rows(folder / "rows.jsonl", rows=160)
    return folder


def config_of(place: Path, case: str, *, scheme: str) -> FederationConfig:
    recipe, replaced = REPLACED.get(case, (case, {}))
    ranks = (4,) * len(RANKS) if recipe in ONE_RANK else RANKS
    table = {
        "federation": {"name": recipe, "rounds": ROUNDS, "labels": ["blue", "green", "red"]},
        "model": {"path": str(place / "model"), "max_length": 16},
        "data": {"train": str(place / "rows.jsonl")},
        "training": TRAINING,
        "recipe": {"name": recipe},
        # The one word that no row may say for a file.
        "encryption": {"scheme": scheme, "allow_plaintext": "encryption" in ROWS[recipe].others},
        "cohort": {"clients": [{"r": rank} for rank in ranks], **CAP.get(recipe, {"samples_cap": 64})},
    }
    if ROWS[recipe].recipe.stands_alone:
        table["personal"] = {"rate_scales": [1.0]}
    config = validated(FederationConfig, table | CHOICES.get(recipe, {}) | replaced, where="FED.toml")
    refuse_misfits(config)
    return config


def ends(place: Path, folder: Path, recipe: str, *, scheme: str) -> Ends:
    """Runs all rounds of a federation, and what its clients do beside them."""
    from securefl.aggregation.contribution import integers_digest
    from securefl.bench.quality.sites import SideTransport, provisioned, signing_keys_of, site_of
    from securefl.simulation.federation import SimulatedFederation

    owns = provisioned(config_of(place, recipe, scheme=scheme), folder / scheme)
    sites = {member: site_of(own) for member, own in owns.items()}
    for site in sites.values():
        site.side.begin(site.aggregation.start())
    simulated = SimulatedFederation(
        {member: site.aggregation for member, site in sites.items()},
        {member: site.side.learner for member, site in sites.items()},
        signing_keys=signing_keys_of(sites),
        transport=SideTransport(sites),
        applied=lambda member, number: sites[member].apply(number),
    )
    simulated.run()
    numbers = sorted(simulated.traffic)
    assert numbers[-1] == ROUNDS
    for member, site in sites.items():
        site.side.finish(folder / scheme / "out" / member, numbers[-1])
    return Ends(
        integers={
            number: integers_digest(next(iter(simulated.traffic[number].sums.values()))).hex()
            for number in numbers
        },
        adapters={
            member: {
                name: site.side.learner.adapter(name).digest.hex()
                for name in ("global", "personal", "fused")
                if name == "global" or name in site.side.learner._bank.names
            }
            | {"state": site.aggregation.start().digest.hex()}
            for member, site in sites.items()
        },
    )


SCHEMES = [(case, "kahe") for case in (*ROWS, *REPLACED)] + [("default", "bfv"), ("she-lora", "bfv")]
"""Every recipe under one-time keys; one whole and one selective one under BFV too."""


@pytest.mark.parametrize(("recipe", "scheme"), SCHEMES)
def test_a_recipe_ends_the_same_encrypted_and_as_its_twin(
    place: Path, tmp_path: Path, recipe: str, scheme: str
) -> None:
    encrypted, twin = (ends(place, tmp_path, recipe, scheme=each) for each in (scheme, "none"))
    assert encrypted.integers == twin.integers
    assert encrypted.adapters == twin.adapters
    # Every round sums something else, so that more is compared than zeros with zeros.
    assert len(set(twin.integers.values())) == len(twin.integers)


@pytest.mark.parametrize("recipe", [*ROWS, *REPLACED])
def test_a_recipe_is_planned_and_this_machine_measured_for_it(place: Path, recipe: str) -> None:
    """What ``securefl plan`` and ``run`` do before anything else."""
    planned = forecast(config_of(place, recipe, scheme="none"))
    assert all(kind.sizes.values > 0 for kind in planned.rounds)
    assert measure_speed(planned.federation).encode_s > 0
