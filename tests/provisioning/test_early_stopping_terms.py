"""Early stopping is pinned for every member, and refused where members have no loss in common."""

from __future__ import annotations

import pytest

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.errors import ConfigError
from securefl.protocol.terms import OwnTaskTerms
from securefl.provisioning.draft import draft_of_layout, terms_of

LAYOUT = Layout((TensorSpec("hidden", 8, 4, TensorKind.ADAPTED),))


def config_of(patience: int | None) -> FederationConfig:
    training = {} if patience is None else {"training": {"early_stopping_rounds": patience}}
    table = {"federation": {"name": "banks"}, "model": {"path": "own"}, "cohort": {"samples_cap": 10}}
    return validated(FederationConfig, table | training, where="FED.toml")


@pytest.mark.parametrize("patience", [None, 1, 3])
def test_the_number_of_rounds_is_in_the_terms_that_all_members_pin(patience: int | None) -> None:
    terms = terms_of(
        config_of(patience), task=OwnTaskTerms(name="own"), model_digest=bytes(32), samples_cap=10
    )
    assert terms.training.early_stopping_rounds == patience


def test_members_with_models_of_their_own_have_no_loss_in_common() -> None:
    with pytest.raises(ConfigError, match=r"'training.early_stopping_rounds' needs a base model"):
        draft_of_layout(config_of(2), LAYOUT, roster=(), federation_id=bytes(32))


def test_zero_rounds_of_patience_are_refused() -> None:
    with pytest.raises(ConfigError, match="early_stopping_rounds"):
        config_of(0)
