"""A member's folder whose federation would not keep its promise of privacy is not used, whoever made it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.config.load import load_federation
from securefl.config.privacy import ExamplePrivacySection, OwnPrivacySection
from securefl.errors import ConfigError, IdentityError
from securefl.provisioning.provision import provision
from securefl_client.data_budget import DataBudget
from securefl_client.folder import ClientFolder

LAYOUT = Layout((TensorSpec("layer", 6, 4, TensorKind.ADAPTED),))
FED = """
[federation]
name = "own"
[lora]
lora_alpha = 8
[payload]
name = "dense"
[aggregation]
weights = "equal"
[head]
rows = "together"
start = "zeros"
logit_adjustment = false
[cohort]
clients = [{ r = 1 }, { r = 2 }, { r = 3 }]
"""
PROMISE = '[privacy]\nunit = "example"\ntarget_epsilon = 8\n'


def founded(folder: Path, text: str) -> Path:
    (folder / "FED.toml").write_text(text)
    config = load_federation(folder / "FED.toml", own_models=True)
    provision(config, folder / "members", layout=LAYOUT, emit=lambda event: None)
    return folder / "members" / "client-1"


def test_learners_of_the_members_own_cannot_be_promised_to_protect_rows(tmp_path: Path) -> None:
    """Nobody knows how they train, and the first round would end without a charge."""
    with pytest.raises(ConfigError, match="own learners train, whose gradients of rows nobody noises"):
        founded(tmp_path, FED + PROMISE)


def rewritten(member: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the terms of a federation that its lead has looked at."""
    path = member / "federation.json"
    file = json.loads(path.read_text())
    change(file["terms"])
    path.write_text(json.dumps(file))


def loaded(member: Path) -> ClientFolder:
    return ClientFolder.load(member, now=datetime.now(UTC))


def test_a_member_does_not_start_in_a_federation_that_breaks_its_promise_to_rows(tmp_path: Path) -> None:
    member = founded(tmp_path, FED)
    assert loaded(member).federation.terms.privacy.unit == "none"
    promise = ExamplePrivacySection(unit="example", target_epsilon=8.0).model_dump()
    rewritten(member, lambda terms: terms.update(privacy=promise))
    with pytest.raises(IdentityError, match="would not keep its promise to rows"):
        loaded(member)


def test_a_member_does_not_start_in_a_federation_that_breaks_its_promise_to_clients(tmp_path: Path) -> None:
    pytest.importorskip("dp_accounting")
    member = founded(tmp_path, FED + PROMISE.replace("example", "client") + "force = true\n")
    assert loaded(member).federation.terms.privacy.unit == "client"

    def halve(terms: dict[str, Any]) -> None:
        terms["privacy"]["share_variance_16ths"] //= 4

    rewritten(member, halve)
    with pytest.raises(IdentityError, match="would not keep its promise to clients"):
        loaded(member)


def test_an_owners_larger_budget_leaves_the_promise_of_the_federation_as_it_is(tmp_path: Path) -> None:
    pytest.importorskip("dp_accounting")
    own = loaded(founded(tmp_path, FED + PROMISE.replace("example", "client") + "force = true\n"))
    larger = OwnPrivacySection(budget_epsilon=100.0, budget_delta=1e-6)
    budget = DataBudget.of(replace(own, settings=own.settings.model_copy(update={"privacy": larger})))
    assert budget is not None
    assert budget.promise is not None
    assert (budget.budget.epsilon, budget.budget.delta) == (100.0, 1e-6)
    assert (budget.promise.epsilon, budget.promise.delta) == (8.0, 1e-5)
