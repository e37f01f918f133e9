"""A plan says what earlier federations on this machine have left of the budgets of its clients' data."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from support.federations import make_federation

pytest.importorskip("dp_accounting")

from securefl.cli.privacy_table import privacy_json, show_privacy
from securefl.config.federation import FederationConfig
from securefl.config.privacy import ExamplePrivacySection
from securefl.ledger.budget_files import BudgetPlace, receipts_folder, state_folder
from securefl.ledger.row_marks import MarkedData
from securefl.planning.noise_forecast import NoiseForecast
from securefl.privacy.budget import Budget
from securefl.privacy.mechanism import ClientMechanism
from securefl.privacy.plan import PrivacyPlan
from securefl.privacy.sampled_training import SampledTraining
from securefl.protocol.federation import Federation
from securefl.protocol.terms import SequenceClassificationTerms
from securefl_client.data_budget import DataBudget
from securefl_client.earlier_charges import earlier_charges
from securefl_client.own_rows import rows_of

MEMBERS = ("client-1", "client-2", "client-3")
RELEASE = SampledTraining(noise_multiplier=2.0, clip=1.0, clipping="flat", sampling_probability=1.0, steps=1)
TWO = Budget(unit="example", epsilon=100, delta=1e-5, accountant="rdp").spent([RELEASE.event] * 2)
PLAN = PrivacyPlan(release=RELEASE, rounds=2, delta=1e-5, target_epsilon=TWO, accountant="rdp")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FederationConfig:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n" + "".join(f"note {number},{'ab'[number % 2]}\n" for number in range(60)))
    return FederationConfig.model_validate(
        {
            "federation": {"name": "test"},
            "model": {"path": "anywhere"},
            "data": {"train": str(rows)},
            "cohort": {"clients": [{"r": 2}] * 3},
        }
    )


@pytest.fixture(scope="module")
def federation() -> Federation:
    founded = make_federation((2, 2, 2), scheme="none").federation
    changed = {
        "privacy": ExamplePrivacySection(unit="example", target_epsilon=8.0),
        "task": SequenceClassificationTerms(name="sequence-classification", labels=("a", "b")),
    }
    return replace(founded, terms=founded.terms.model_copy(update=changed))


def spend(config: FederationConfig, federation: Federation, member: str) -> None:
    data = rows_of(config.data, config.cohort, member=member, terms=federation.terms)
    place = BudgetPlace(
        ledgers=state_folder(),
        kept_receipts=receipts_folder(),
        client=member,
        data_fingerprint=data.fingerprint,
    )
    budget = DataBudget(
        place=place,
        marks=data.marks,
        budget=Budget(unit="example", epsilon=TWO, delta=1e-5, accountant="rdp"),
        federation_digest=bytes(32),
        rounds=2,
    )
    budget.reserve(1, RELEASE.event)


def shown(federation: Federation, earlier: dict) -> str:
    noise = NoiseForecast(plans=dict.fromkeys(MEMBERS, PLAN), contributors=3, force=False)
    console = Console(width=200, file=StringIO())
    show_privacy(federation, noise, earlier=earlier, console=console)
    values = privacy_json(noise, earlier=earlier)
    assert values is not None
    assert [values[member]["affordable_now"] for member in MEMBERS] == [2, 1, 2]  # type: ignore[index]
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_client_whose_data_was_charged_before_is_named(
    config: FederationConfig, federation: Federation
) -> None:
    spend(config, federation, "client-2")
    earlier = earlier_charges(config, federation, dict.fromkeys(MEMBERS, PLAN))
    said = shown(federation, earlier)
    assert "client-2: earlier federations have spent epsilon" in said
    assert "allows 1 of the 2 rounds" in said
    assert "client-1: earlier" not in said


def client_plan() -> PrivacyPlan:
    """Two rounds, of which a budget of the target has room for just two."""
    release = ClientMechanism(
        noise="skellam", dimension=30, clip=1.0, clip_steps=20, share_variance=Fraction(400), honest=4
    )
    plan = PrivacyPlan(release=release, rounds=2, delta=1e-5, target_epsilon=100, accountant="rdp")
    return replace(plan, target_epsilon=plan.epsilon)


def test_a_whole_client_that_was_charged_on_other_rows_is_named(
    config: FederationConfig, federation: Federation
) -> None:
    """What protects a client hides all of its data, so another file is no new budget."""
    plan = client_plan()
    data = MarkedData.of([b"a row of last year"])
    DataBudget(
        place=BudgetPlace(
            ledgers=state_folder(),
            kept_receipts=receipts_folder(),
            client="client-2",
            data_fingerprint=data.fingerprint,
        ),
        marks=data.marks,
        budget=Budget(unit="client", epsilon=plan.target_epsilon, delta=1e-5, accountant="rdp"),
        federation_digest=bytes(32),
        rounds=2,
    ).reserve(1, plan.event)
    noise = NoiseForecast(plans={"": plan}, contributors=3, force=True)
    earlier = earlier_charges(config, federation, {member: noise.plan_of(member) for member in MEMBERS})
    assert earlier.keys() == {"client-2"}
    console = Console(width=200, file=StringIO())
    show_privacy(federation, noise, earlier=earlier, console=console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "client-2: earlier federations have spent epsilon" in said
    assert "on this client, whatever its rows" in said
    assert "allows 1 of the 2 rounds" in said
    values = privacy_json(noise, earlier=earlier)
    assert values is not None
    assert values["all"]["charged_before"]["client-2"]["affordable"] == 1  # type: ignore[index]


def test_a_plan_writes_no_ledger(config: FederationConfig, federation: Federation, tmp_path: Path) -> None:
    earlier_charges(config, federation, dict.fromkeys(MEMBERS, PLAN))
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "data").exists()
