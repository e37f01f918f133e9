"""What a lead pins: a payload of a name that rounds are run under, whatever the file leaves open."""

from __future__ import annotations

import pytest

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.choice import payload_for
from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.config.payload import SketchPayload
from securefl.protocol.terms import OwnTaskTerms, SequenceClassificationTerms, Terms
from securefl.provisioning.draft import terms_of
from securefl.provisioning.preview import preview_of_layout

LAYOUT = Layout((TensorSpec("query", 32, 32, TensorKind.ADAPTED), TensorSpec("head", 3, 32, TensorKind.HEAD)))
LABELS = SequenceClassificationTerms(name="sequence-classification", pooling="mean", labels=("a", "b"))


def config_of(ranks: tuple[int, ...], **sections: object) -> FederationConfig:
    table = {
        "federation": {"name": "test"},
        "model": {"path": "m"},
        "cohort": {"samples_cap": 100, "clients": [{"r": rank} for rank in ranks]},
    }
    return validated(FederationConfig, table | sections, where="FED.toml")


def pinned(ranks: tuple[int, ...], **sections: object) -> Terms:
    config = config_of(ranks, **sections)
    return terms_of(config, task=LABELS, model_digest=bytes(32), samples_cap=100)


@pytest.mark.parametrize("ranks", [(2, 4, 8, 16), (8, 8, 8, 8), (4, 8, 8, 8), (2, 2, 16)])
@pytest.mark.parametrize("section", [{}, {"payload": {"name": "auto"}}, {"payload": "auto"}])
def test_the_payload_that_the_ranks_call_for_is_pinned_by_its_name(
    ranks: tuple[int, ...], section: dict[str, object]
) -> None:
    assert pinned(ranks, **section).payload.name == payload_for(RankTable(ranks)).payload


@pytest.mark.parametrize("name", ["dense", "sketch", "basis", "state", "core", "factors", "head-only"])
def test_a_payload_that_the_file_names_is_pinned_whatever_the_ranks(name: str) -> None:
    for ranks in ((2, 4, 8, 16), (8, 8, 8, 8)):
        assert pinned(ranks, payload={"name": name}).payload.name == name


def test_a_rank_of_sketches_asks_for_sketches_whatever_the_ranks() -> None:
    assert pinned((8, 8, 8, 8), payload={"rank": 4}).payload == SketchPayload(name="sketch", rank=4)


def test_learners_of_the_members_own_get_a_payload_without_frozen_factors() -> None:
    federation = preview_of_layout(config_of((8, 8, 8)), LAYOUT)
    assert isinstance(federation.terms.task, OwnTaskTerms)
    assert federation.plan.for_round(1).frozen is None
