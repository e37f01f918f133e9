"""A federation that protects clients, in its real processes: founded, run, and charged at every member."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("dp_accounting")

from securefl import load_federation, provision
from securefl.auditing.run_audit import audit
from securefl.errors import IdentityError
from securefl.identity.signing import SigningKey, verify
from securefl.launch.run import result_json
from securefl.ledger.events import BudgetAnchored, Event
from securefl.ledger.ledger import Ledger
from securefl.planning.forecast import forecast
from securefl.privacy.accounting.accountants import accountant_named
from securefl.privacy.events import parse_event
from securefl.protocol.client_noise import client_plan
from securefl.results.client import read_client_result
from securefl.results.reading import read_federation, read_ledger
from securefl.results.run import merged
from securefl.storage.whole import write_json_file
from securefl_client.budget_store import read_budget
from securefl_client.data_budget import DataBudget
from securefl_client.folder import ClientFolder
from securefl_client.round_charges import anchored

from .conftest import LAYOUT, MEMBERS, PullTowards, take_part

pytestmark = pytest.mark.slow

VICTIM = "client-2"

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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home of the module's own, in which budgets and receipts lie."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("XDG_STATE_HOME", str(folder / "state"))
        changed.setenv("XDG_DATA_HOME", str(folder / "data"))
        yield folder


@pytest.fixture(scope="module")
def founded(home: Path) -> Path:
    """The members' folders."""
    (home / "FED.toml").write_text(FED)
    provision(load_federation(home / "FED.toml", own_models=True), home / "members", layout=LAYOUT)
    return home / "members"


def budget_of(folder: Path) -> DataBudget:
    budget = DataBudget.of(ClientFolder.load(folder, now=datetime.now(UTC)))
    assert budget is not None
    return budget


@pytest.fixture(scope="module")
def run(founded: Path, home: Path) -> Path:
    """A finished run's folder."""
    folder = home / "run"
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


def rewritten(run: Path, key: SigningKey, change: Callable[[Event], Event | None]) -> None:
    """The victim writes its ledger of the run anew, with its own key, and has both results name the new head."""
    folder = run / "clients" / VICTIM
    events = [change(entry.event) for entry in read_ledger(folder).entries]
    (folder / "ledger.jsonl").unlink()
    verifier = partial(verify, key.public_key)
    with closing(Ledger.open(folder / "ledger.jsonl", signer=key, verifier=verifier)) as ledger:
        for event in events:
            if event is not None:
                ledger.append(event)
        head = ledger.entries[-1].digest.hex()
    for path in (folder / "result.json", run / "result.json"):
        said = json.loads(path.read_text())
        for part in said.get("clients", [said]):
            if part["id" if "id" in part else "member"] == VICTIM:
                part["ledger_head"] = head
        path.write_text(json.dumps(said))


def audited(run: Path, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code of the command and what it says, in one line."""
    from securefl.cli.main import command_line

    capfd.readouterr()
    code = command_line(["audit", str(run)])
    return code, " ".join(capfd.readouterr().out.split())


def test_a_run_ledger_without_any_head_ends_the_audit_with_1(
    founded: Path, run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    changed = Path(shutil.copytree(run, tmp_path / "run"))
    key = ClientFolder.load(founded / VICTIM, now=datetime.now(UTC)).signing_key
    rewritten(changed, key, lambda event: event)
    assert audited(changed, capfd)[0] == 0
    rewritten(changed, key, lambda event: None if isinstance(event, BudgetAnchored) else event)
    code, said = audited(changed, capfd)
    assert code == 1
    for number in (1, 2):
        assert (
            f"finding: {VICTIM}: its run ledger does not name the head of its budget's ledger that its header of round "
            f"{number} has" in said
        )


def test_a_second_history_of_budget_and_run_ends_the_audit_with_1(
    founded: Path,
    run: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Budget and ledger of the run are both made anew, in a home that has nothing else; certificates remain."""
    changed = Path(shutil.copytree(run, tmp_path / "run"))
    own = ClientFolder.load(founded / VICTIM, now=datetime.now(UTC))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    plan = client_plan(read_federation(changed))
    again = DataBudget.of(own)
    assert plan is not None
    assert again is not None
    heads = {}
    for number in (1, 2):
        again.reserve(number, plan.event)
        heads[number] = anchored(number, 1, again.contribute(number, body_digest=bytes(32)))
    again.copy_to(changed / "clients" / VICTIM / "budget.jsonl")
    rewritten(
        changed,
        own.signing_key,
        lambda event: heads[event.round_number] if isinstance(event, BudgetAnchored) else event,
    )
    code, said = audited(changed, capfd)
    assert code == 1
    assert (
        f"finding: {VICTIM}: its budget's ledger lacks 2 of the entries that its headers name (round 1, round 2)"
        in said
    )


def test_a_member_refuses_a_file_with_less_noise_than_its_promise_needs(
    founded: Path, tmp_path: Path
) -> None:
    """The lead edits every member's file alike, so that all digests agree."""
    own = Path(shutil.copytree(founded / MEMBERS[1], tmp_path / MEMBERS[1]))
    path = own / "federation.json"
    file = json.loads(path.read_text())
    file["terms"]["privacy"]["share_variance_16ths"] //= 2
    path.write_text(json.dumps(file))
    with pytest.raises(IdentityError, match="would not keep its promise to clients"):
        budget_of(own)
