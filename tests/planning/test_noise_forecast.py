"""The privacy of a federation before it runs follows from what is pinned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.federations import make_federation

from securefl.config.aggregation import AggregationSection
from securefl.config.privacy import ClientPrivacySection, ExamplePrivacySection
from securefl.errors import ConfigError
from securefl.planning.noise_forecast import forecast_noise
from securefl.planning.sizes import sizes_of
from securefl.privacy.mechanism import ClientMechanism
from securefl.privacy.sampled_training import SampledTraining
from securefl.protocol.client_noise import with_client_noise
from securefl.protocol.federation import Federation

EQUAL = AggregationSection(weights="equal")


def with_privacy(scheme: str = "none", **keys: Any) -> Federation:
    federation = make_federation(ranks=(2, 4, 8, 8), rounds=3, scheme=scheme, aggregation=EQUAL).federation
    if keys["unit"] == "client":
        return with_client_noise(federation, ClientPrivacySection(target_epsilon=8, **keys))
    privacy = ExamplePrivacySection(target_epsilon=8, **keys)
    return replace(federation, terms=federation.terms.model_copy(update={"privacy": privacy}))


def test_without_differential_privacy_there_is_nothing_to_plan() -> None:
    assert forecast_noise(make_federation(scheme="none").federation, rows={"client-1": 100}) is None


def test_a_client_plan_has_the_payload_and_the_cohorts_constants() -> None:
    federation = with_privacy("kahe", unit="client", accountant="rdp")
    noise = forecast_noise(federation, rows={})
    assert noise is not None
    [plan] = noise.plans.values()
    release = plan.release
    assert isinstance(release, ClientMechanism)
    sizes = [sizes_of(federation, number) for number in (1, 2, 3)]
    assert release.dimension == max(one.values for one in sizes)
    assert release.honest == federation.constants.min_honest
    assert release.largest_integer <= (1 << (federation.terms.grid.precision_bits - 1)) - 1
    assert plan.epsilon <= 8
    with pytest.raises(ConfigError, match="a predicted cosine of"):
        noise.require_useful()


def test_noise_that_was_asked_for_is_planned() -> None:
    noise = forecast_noise(with_privacy(unit="client", accountant="rdp", force=True), rows={})
    assert noise is not None
    noise.require_useful()


def test_a_member_with_fewer_rows_has_more_noise() -> None:
    federation = with_privacy(unit="example", accountant="rdp")
    noise = forecast_noise(federation, rows={"client-1": 100, "client-2": 800, "client-3": 100})
    assert noise is not None
    assert noise.plans["client-1"] == noise.plans["client-3"]
    assert noise.plans["client-1"].noise_multiplier > noise.plans["client-2"].noise_multiplier
    release = noise.plans["client-2"].release
    assert isinstance(release, SampledTraining)
    batch = federation.terms.training.per_device_train_batch_size
    assert release.sampling_probability == batch / 800
    noise.require_useful()


def test_persons_are_planned_with_their_rows() -> None:
    federation = with_privacy(unit="example", accountant="rdp", group_column="patient", max_per_group=3)
    noise = forecast_noise(federation, rows={"client-1": 500})
    assert noise is not None
    release = noise.plans["client-1"].release
    assert isinstance(release, SampledTraining)
    assert release.group_size == 3
