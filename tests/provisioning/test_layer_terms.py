"""Layers as terms: pinned by the digest, and refused where nobody could score them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.federations import LAYOUT, make_federation

from securefl.config.federation import FederationConfig
from securefl.config.layers import LayersSection
from securefl.errors import ConfigError
from securefl.protocol.federation import Federation
from securefl.provisioning.draft import draft_of_layout


def config_of(**layers: object) -> FederationConfig:
    return FederationConfig.model_validate(
        {
            "federation": {"name": "own", "rounds": 9},
            "model": {"path": "m"},
            "cohort": {"samples_cap": 50},
            "layers": layers,
        }
    )


def test_members_that_would_train_other_layers_are_in_other_federations() -> None:
    made = make_federation(layers=LayersSection(allocation="random"), scheme="none").federation
    terms = made.terms.model_copy(update={"layers": LayersSection(allocation="random", shares=(0.5,))})
    assert replace(made, terms=terms).digest != made.digest
    assert Federation.from_json_text(made.to_json_text(), where="f.json") == made


def test_own_learners_may_train_some_layers_each() -> None:
    roster = make_federation(scheme="none").federation.roster
    draft = draft_of_layout(config_of(allocation="random"), LAYOUT, roster=roster, federation_id=bytes(32))
    assert draft.federation.layer_owners is not None


def test_layers_are_not_drawn_by_scores_where_only_the_members_know_their_models() -> None:
    roster = make_federation(scheme="none").federation.roster
    config = config_of(allocation="fisher", scored_from=1)
    with pytest.raises(ConfigError, match=r"'layers.allocation' is \"fisher\", which needs a base model"):
        draft_of_layout(config, LAYOUT, roster=roster, federation_id=bytes(32))
