"""Clients of three base models, provisioned and run: encrypted as their twin, and only the adapter travels."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.tiny_model import save_tiny_bert, write_rows

from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.config.member import FILE_NAME, load_client_settings
from securefl.errors import ConfigError, IdentityError, ModelError
from securefl.planning.sizes import sizes_of
from securefl.protocol.federation import Federation
from securefl.provisioning.preview import preview
from securefl.results.client import MetricReport
from securefl.training.mixed_backbones.adapter_layout import adapter_layout

pytestmark = pytest.mark.slow

ROUNDS, WIDTH = 2, 12
LAYOUT = adapter_layout(WIDTH, classes=3)
CLIENTS = [
    {"id": "plain", "r": 4},
    {"id": "narrow", "r": 4, "model": "narrow"},
    {"id": "deep", "r": 4, "model": "deep"},
    {"id": "twin", "r": 4, "model": "narrow"},
]


@dataclass(frozen=True)
class Ends:
    """Digests of every round's integers and of every member's adapters, and the members' metrics."""

    integers: list[str]
    adapters: dict[str, str]
    metrics: dict[str, MetricReport]
    upload_bytes: set[int]
    federation: Federation
    out: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three tiny models of different sizes, and 160 rows."""
    folder = tmp_path_factory.mktemp("mixed")
    save_tiny_bert(folder / "plain")
    save_tiny_bert(folder / "narrow", width=24, layers=1)
    save_tiny_bert(folder / "deep", layers=3)
    write_rows(folder / "rows.jsonl", rows=160)
    return folder


def config_of(place: Path, *, scheme: str = "none", **sections: object) -> FederationConfig:
    clients = [
        {**client, "model": str(place / client["model"])} if "model" in client else client
        for client in CLIENTS
    ]
    table = {
        "federation": {"name": "mixed", "rounds": ROUNDS, "labels": ["blue", "green", "red"]},
        "model": {"path": str(place / "plain"), "max_length": 16},
        "data": {"train": str(place / "rows.jsonl")},
        "training": {"device": "cpu", "precision": "float32", "learning_rate": 1e-2},
        "recipe": {"name": "pfedlora"},
        "lora": {"width": WIDTH},
        "encryption": {"scheme": scheme},
        "cohort": {"clients": clients},
    }
    return validated(FederationConfig, table | sections, where="FED.toml")


def ran(place: Path, folder: Path, *, scheme: str) -> Ends:
    from securefl.aggregation.contribution import integers_digest
    from securefl.bench.quality.sites import SideTransport, provisioned, signing_keys_of, site_of
    from securefl.simulation.federation import SimulatedFederation

    owns = provisioned(config_of(place, scheme=scheme), folder)
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
    sums = [next(iter(simulated.traffic[number].sums.values())) for number in numbers]
    return Ends(
        integers=[integers_digest(each).hex() for each in sums],
        adapters={member: site.side.learner.adapter("global").digest.hex() for member, site in sites.items()},
        metrics={
            member: site.side.finish(folder / "out" / member, numbers[-1]).metric
            for member, site in sites.items()
        },
        upload_bytes={
            len(contribution.body)
            for number in numbers
            for contribution in simulated.traffic[number].contributions.values()
        },
        federation=next(iter(owns.values())).federation,
        out=folder / "out",
    )


@pytest.fixture(scope="module")
def twin(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Ends:
    return ran(place, tmp_path_factory.mktemp("twin") / "run", scheme="none")


def test_the_ends_are_the_same_encrypted_and_as_the_twin(place: Path, tmp_path: Path, twin: Ends) -> None:
    encrypted = ran(place, tmp_path / "run", scheme="bfv")
    assert encrypted.integers == twin.integers
    assert encrypted.adapters == twin.adapters
    assert encrypted.metrics == twin.metrics
    assert len(set(twin.integers)) == ROUNDS


def test_all_members_end_with_one_shared_adapter_whatever_their_backbone(twin: Ends) -> None:
    assert len(set(twin.adapters.values())) == 1


def test_only_the_shared_adapter_is_pinned_and_travels(twin: Ends) -> None:
    federation = twin.federation
    assert federation.layout == LAYOUT
    assert federation.terms.model.digest == LAYOUT.digest
    assert federation.terms.model.id is None
    # w x w, the classes' rows and bias, and the weight: nothing is left for a backbone or a width map.
    assert federation.plan.length(1) == WIDTH * WIDTH + 3 * WIDTH + 3 + 1
    assert federation.openings == ()


def test_a_result_has_the_model_trained_alone_beside_the_one_with_the_shared_adapter(twin: Ends) -> None:
    for report in twin.metrics.values():
        assert report.local is not None
        assert report.fused is None
        assert report.worth is not None
        assert set(report.worth.validation) == {"local", "global"}


def test_every_member_saves_both_models_on_its_own_base(place: Path, twin: Ends) -> None:
    for client in CLIENTS:
        for which in ("global", "personal"):
            record = json.loads((twin.out / str(client["id"]) / which / "task.json").read_text())
            assert Path(record["base_model"]).name == client.get("model", "plain")
            assert (record["shared"] is not None) == (which == "global")


def test_a_plan_forecasts_the_bytes_that_are_sent(place: Path, twin: Ends) -> None:
    forecast = preview(config_of(place))
    assert forecast.layout == twin.federation.layout
    assert {sum(section.upload_bytes for section in forecast.sections(1))} == twin.upload_bytes
    assert sizes_of(forecast, 1) == sizes_of(twin.federation, 1)


def test_a_model_that_is_not_here_is_its_clients_own_business(place: Path) -> None:
    clients = [{"model": str(place / "elsewhere")}, {}, {}]
    assert preview(config_of(place, cohort={"clients": clients})).layout == LAYOUT


def test_a_model_that_is_here_and_has_no_such_modules_is_refused_at_once(place: Path) -> None:
    with pytest.raises(ModelError, match="'q_proj' matches no module"):
        preview(config_of(place, lora={"width": WIDTH, "target_modules": ["q_proj"]}))


def test_a_rank_above_the_width_is_refused_at_once(place: Path) -> None:
    with pytest.raises(ConfigError, match="rank"):
        preview(config_of(place, cohort={"clients": [{"r": 13}, {"r": 4}, {"r": 4}]}))


def test_a_federation_file_that_pins_a_model_beside_own_backbones_is_refused(twin: Ends) -> None:
    federation = twin.federation
    model = federation.terms.model.model_copy(update={"digest": bytes(32)})
    other = replace(federation, terms=federation.terms.model_copy(update={"model": model}))
    with pytest.raises(IdentityError, match="do not fit"):
        Federation.from_json_text(other.to_json_text(), where="federation.json")


def test_target_modules_of_a_clients_own_are_refused_where_the_federation_pins_them(
    place: Path, tmp_path: Path
) -> None:
    from securefl.bench.quality.sites import provisioned, site_of

    plain = {"recipe": {"name": "default"}, "lora": {}, "cohort": {"clients": [{}, {}, {}]}}
    own = provisioned(config_of(place, **plain), tmp_path / "plain")["client-1"]
    named = own.settings.model.model_copy(update={"target_modules": ("key",)})
    with pytest.raises(ConfigError, match=r"'model\.target_modules' is set.*pins the adapted modules"):
        site_of(replace(own, settings=own.settings.model_copy(update={"model": named})))


def test_a_member_may_adapt_other_modules_of_its_own_model(place: Path, tmp_path: Path) -> None:
    from securefl.bench.quality.sites import provisioned, site_of

    own = provisioned(config_of(place), tmp_path / "run")["deep"]
    path = tmp_path / "run" / "deep" / FILE_NAME
    path.write_text(path.read_text().replace('"auto"', '"key", "value"'))
    site = site_of(replace(own, settings=load_client_settings(path.parent)))
    adapted = {name.rpartition(".")[2] for name in site.side.learner.adapter("personal").weights}
    assert adapted == {"key", "value"}


def test_a_rank_above_the_narrowest_weight_of_a_model_that_is_here_is_refused_at_once(place: Path) -> None:
    clients = [{"r": 4}, {"r": 4}, {"id": "wide-rank", "r": 25, "model": str(place / "narrow")}]
    with pytest.raises(ConfigError, match=r"wide-rank.* 25.* room for 24"):
        preview(config_of(place, lora={"width": 32}, cohort={"clients": clients}))


def test_a_rank_above_the_narrowest_weight_of_a_members_model_is_refused_by_the_member(
    place: Path, tmp_path: Path
) -> None:
    from securefl.bench.quality.sites import provisioned, site_of

    clients = [{"r": 4}, {"r": 4}, {"id": "wide-rank", "r": 25}]
    own = provisioned(config_of(place, lora={"width": 32}, cohort={"clients": clients}), tmp_path / "run")[
        "wide-rank"
    ]
    narrow = own.settings.model.model_copy(update={"path": str(place / "narrow")})
    with pytest.raises(ConfigError, match=r"25.* room for 24"):
        site_of(replace(own, settings=own.settings.model_copy(update={"model": narrow})))


def test_a_rank_of_all_private_adapters_is_not_bound_by_the_shared_one(place: Path) -> None:
    recipe = {"name": "pfedlora", "personal_rank": WIDTH + 1}
    assert preview(config_of(place, recipe=recipe)).layout == LAYOUT


def test_early_stopping_adds_up_the_losses_of_models_with_the_shared_adapter(
    place: Path, tmp_path: Path
) -> None:
    from securefl.bench.quality.sites import provisioned, site_of

    site = site_of(provisioned(config_of(place), tmp_path / "run")["deep"])
    assert site.side.start_loss is None
    site.side.figures_of_start(site.aggregation.start())
    measured = site.side.learner.measure("global", part="validation")
    assert site.side.start_loss == measured.bounded_loss
