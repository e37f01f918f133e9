"""Frozen factors from a base model need one that all members share."""

from __future__ import annotations

import pytest
from support.federations import LAYOUT

from securefl.config.coherence import refuse_misfits
from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.errors import ConfigError
from securefl.provisioning.draft import draft_of_layout

FOUND = ("principal",)


def config_of(payload: dict[str, object], **sections: object) -> FederationConfig:
    table = {
        "federation": {"name": "begun"},
        "model": {"path": "m"},
        "recipe": {"name": "ffa"},
        "cohort": {"samples_cap": 8},
        "payload": payload,
    }
    return validated(FederationConfig, table | sections, where="FED.toml")


@pytest.mark.parametrize("source", FOUND)
@pytest.mark.parametrize("name", ["state", "core"])
def test_members_with_models_of_their_own_have_no_common_one_to_begin_from(name: str, source: str) -> None:
    config = config_of({"name": name, "frozen_from": source})
    with pytest.raises(ConfigError, match=rf"'payload\.frozen_from' is \"{source}\".*frozen_from = \"seed\""):
        draft_of_layout(config, LAYOUT, roster=(), federation_id=bytes(32))


@pytest.mark.parametrize("name", ["dense", "sketch", "basis", "factors", "auto"])
def test_a_payload_that_freezes_nothing_for_ever_has_no_such_key(name: str) -> None:
    with pytest.raises(ConfigError, match="frozen_from"):
        refuse_misfits(config_of({"name": name, "frozen_from": "principal"}))
