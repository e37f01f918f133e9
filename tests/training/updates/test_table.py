"""Every payload has a way of training its updates."""

from __future__ import annotations

from typing import get_args

import pytest

from securefl.config.payload import PayloadName
from securefl.training.updates.table import way_of


@pytest.mark.parametrize("payload", get_args(PayloadName))
def test_every_payload_trains_with_the_adapter_in_use_that_rounds_have_made(payload):
    beside = {"state": "shared", "factors": "local-update"}
    assert way_of(payload).used[0] == beside.get(payload, "global")


@pytest.mark.parametrize(
    ("payload", "trained"),
    [
        ("dense", "global"),
        ("sketch", "global"),
        ("basis", "local-update"),
        ("state", "local-update"),
        ("core", "local-update"),
        ("factors", "local-update"),
        ("head-only", "global"),
    ],
)
def test_payloads_with_frozen_factors_train_beside_the_global_adapter(payload, trained):
    assert way_of(payload).used[-1] == trained
