"""A federation that protects clients, in its real processes: founded, run, and charged at every member."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("dp_accounting")

from securefl import load_federation, provision
from securefl.api.auditing import audit
from securefl.api.reading import read_federation
from securefl.errors import IdentityError
from securefl.launch.run import result_json
from securefl.planning.forecast import forecast
from securefl.privacy.accounting.accountants import accountant_named
from securefl.privacy.events import parse_event
from securefl.protocol.client_noise import client_plan
from securefl.results.client import read_client_result
from securefl.results.run import merged
from securefl.storage.whole import write_json_file
from securefl_client.budget_store import read_budget
from securefl_client.data_budget import DataBudget
from securefl_client.folder import ClientFolder

from .conftest import LAYOUT, MEMBERS, PullTowards, take_part

pytestmark = pytest.mark.slow

FED = """
[federation]
name = "own"
rounds = 2
[lora]
lora_alpha = 8
[payload]
name = "dense"
[aggregation]
weights = "equal"
[head]
rows = "together"
start = "zeros"
[privacy]
unit = "client"
target_epsilon = 8
force = true
[cohort]
clients = [{ r = 1 }, { r = 2 }, { r = 3 }]
"""


@pytest.fixture
def founded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The members' folders; budgets and receipts lie in a home of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "FED.toml").write_text(FED)
    provision(load_federation(tmp_path / "FED.toml", own_models=True), tmp_path / "members", layout=LAYOUT)
    return tmp_path / "members"


def budget_of(folder: Path) -> DataBudget:
    budget = DataBudget.of(ClientFolder.load(folder, now=datetime.now(UTC)))
    assert budget is not None
    return budget


@pytest.fixture
def run(founded: Path, tmp_path: Path) -> Path:
    """A finished run's folder."""
    folder = tmp_path / "run"
    (folder / "clients").mkdir(parents=True)
    learners = {name: PullTowards(seed) for seed, name in enumerate(MEMBERS)}
    outcome = take_part(founded, learners, out=folder / "clients")
    assert not outcome.errors, outcome.errors
    (folder / "federation.json").write_bytes((founded / MEMBERS[0] / "federation.json").read_bytes())
    result = merged(
        [read_client_result(folder / "clients" / name / "result.json") for name in MEMBERS],
        name="run",
        seconds_total=1.0,
        peak_memory_bytes=1,
        forecast=forecast(read_federation(folder), speed=None),
        server_memory_bytes=None,
    )
    write_json_file(folder / "result.json", result_json(result))
    return folder


def test_every_member_of_a_run_is_charged_what_the_plan_says_and_an_auditor_finds_it_so(
    founded: Path, run: Path
) -> None:
    plan = client_plan(read_federation(run))
    assert plan is not None
    for name in MEMBERS:
        state = read_budget(budget_of(founded / name).place)
        assert state is not None
        assert [charge.round_number for charge in state.charges] == [1, 2]
        events = [parse_event(charge.release) for charge in state.charges]
        epsilon = accountant_named("pld").epsilon(events, delta=1e-5)
        assert epsilon <= plan.epsilon <= 8
        report = read_client_result(run / "clients" / name / "result.json").privacy
        assert report is not None
        assert (report.unit, report.epsilon) == ("client", pytest.approx(epsilon))
    found = audit(run)
    assert not found.findings, found.findings
    assert found.privacy is not None
    assert {client.member for client in found.privacy.clients} == set(MEMBERS)


def test_a_member_refuses_a_file_with_less_noise_than_its_promise_needs(founded: Path) -> None:
    """The lead edits every member's file alike, so that all digests agree."""
    path = founded / MEMBERS[1] / "federation.json"
    file = json.loads(path.read_text())
    file["terms"]["privacy"]["share_variance_16ths"] //= 2
    path.write_text(json.dumps(file))
    with pytest.raises(IdentityError, match="would not keep its promise to clients"):
        budget_of(founded / MEMBERS[1])
