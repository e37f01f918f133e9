"""What a member records of openings: ledger, log of its own, events; and what an audit makes of it. No network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.federations import TestFederation
from support.heads import HeadLearner, head_learners, make_by_class
from support.whole_rounds import WholeRun

from securefl.adapters.update import Adapter
from securefl.auditing.run_audit import audit
from securefl.cli.live import PlainView
from securefl.ledger.ledger import Event as Recorded
from securefl.ledger.ledger import Ledger, RoundReserved, RunStarted
from securefl.planning.forecast import forecast
from securefl.progress import Event, RoundStarted, Warned
from securefl.results.client import ClientResult, MetricReport, read_client_result
from securefl.results.run import merged
from securefl_client.member_work import LedgerLog
from securefl_client.side import Measured

ROUNDS = 2
NUMBERS = [-2, -1, 0, 1, 2]


@dataclass
class FakeSide:
    """A side that notes what it is asked for."""

    learner: HeadLearner
    loss: float | None = None
    start_loss: float | None = None
    device: str | None = None
    precision: str | None = None
    installed: list[int] = field(default_factory=list)
    used: list[int] = field(default_factory=list)

    def begin(self, adapter: Adapter) -> None:
        """Nothing to prepare."""

    def uploaded(self, round_number: int) -> None:
        self.used.append(round_number)

    def figures_of_start(self, adapter: Adapter) -> Mapping[str, float]:
        raise AssertionError(
            "the adapter after the last opening is the start, and was measured when it was taken up"
        )

    def install(self, adapter: Adapter, round_number: int) -> Mapping[str, float]:
        self.installed.append(round_number)
        return {"accuracy": 0.1 * round_number}

    def keep(self, folder: Path, name: str) -> None:
        """Nothing to keep: no test of this file stops a member."""

    def restore(self, folder: Path, name: str) -> None:
        """Nothing was kept."""

    def finish(self, folder: Path, round_number: int) -> Measured:
        metric = {"name": "accuracy", "base": None, "local": None, "global": 0.5}
        return Measured(MetricReport.model_validate({**metric, "fused": None, "f1": None, "samples": None}))


@dataclass
class Whole:
    """A run's folder, and what was seen of it."""

    folder: Path
    sides: dict[str, FakeSide]
    events: list[Event]
    results: list[ClientResult]


def run_whole(base: Path, made: TestFederation) -> Whole:
    """All members' rounds, with their ledgers and results, as a run's folder."""
    federation = made.federation
    sides = {name: FakeSide(learner) for name, learner in head_learners(federation).items()}
    run = WholeRun(made, base / "clients", sides=sides)
    for name, member in run.members.items():
        LedgerLog(member.ledger).note(RunStarted(member=name, federation_digest=federation.digest))
    run.run()
    results = [read_client_result(base / "clients" / name / "result.json") for name in sides]
    result = merged(
        results,
        name="run",
        seconds_total=1.0,
        peak_memory_bytes=1,
        forecast=forecast(federation, speed=None),
        server_memory_bytes=None,
    )
    (base / "result.json").write_text(json.dumps(result.to_json()))
    (base / "federation.json").write_text(federation.to_json_text())
    return Whole(base, sides, [event for member in run.members.values() for event in member.events], results)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    made = make_by_class(scheme="none", rounds=ROUNDS)
    return run_whole(tmp_path_factory.mktemp("run"), made)


def test_every_member_reports_the_labels_whose_rows_no_sum_has(whole: Whole) -> None:
    assert [result.labels_at_home for result in whole.results] == [("c", "e")] * 4
    assert json.loads((whole.folder / "result.json").read_text())["labels_at_home"] == ["c", "e"]


def test_openings_have_a_log_of_their_own(whole: Whole) -> None:
    for result in whole.results:
        assert [(entry.round_number, entry.what) for entry in result.openings_log] == [
            (-2, "holders"),
            (-1, "statistics"),
            (0, "trials"),
        ]
        assert [entry.round_number for entry in result.rounds_log] == [1, 2]


def test_bytes_of_openings_are_stated_apart_from_the_rounds(whole: Whole) -> None:
    for result in whole.results:
        assert all(entry.bytes.up > 0 and entry.bytes.down > 0 for entry in result.openings_log)
        assert result.bytes.up == sum(entry.bytes.up for entry in result.rounds_log)
        assert all("encrypt" in entry.seconds for entry in result.openings_log)


def test_a_runs_result_has_the_openings_of_all_clients(whole: Whole) -> None:
    log = json.loads((whole.folder / "result.json").read_text())["openings_log"]
    assert [entry["what"] for entry in log] == ["holders", "statistics", "trials"]
    assert set(log[0]["clients"]) == set(whole.sides)
    assert log[0]["bytes"]["up"] == sum(client["bytes"]["up"] for client in log[0]["clients"].values())


def test_a_global_adapter_is_taken_up_once_the_head_has_its_start(whole: Whole) -> None:
    for side in whole.sides.values():
        assert side.installed == [0, 1, 2]
        assert side.used == [1, 2]


def test_the_adapter_after_the_last_opening_is_the_measured_start(whole: Whole) -> None:
    for result in whole.results:
        assert result.start == {"accuracy": 0.0}
        assert [entry.validation["accuracy"] for entry in result.rounds_log] == [0.1, 0.2]


def test_people_are_told_what_is_summed_before_the_first_round(whole: Whole) -> None:
    said = [event.what for event in whole.events if isinstance(event, RoundStarted)]
    assert said[0] == "who holds which classes"
    assert said.count("who holds which classes") == len(whole.sides)
    assert said[-1] == ""


def test_no_warning_speaks_of_bounds_where_nothing_was_clipped(whole: Whole) -> None:
    assert not [event for event in whole.events if isinstance(event, Warned)]


def test_an_audit_covers_the_openings(whole: Whole) -> None:
    report = audit(whole.folder)
    assert report.findings == ()
    assert report.rounds == ROUNDS


@pytest.mark.parametrize("place", ["clients/client-3/result.json", "result.json"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_audit_finds_other_sums_of_an_opening(
    whole: Whole, tmp_path: Path, place: str, number: int
) -> None:
    copy = tmp_path / "run"
    for path in whole.folder.rglob("*.json*"):
        target = copy / path.relative_to(whole.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    values = json.loads((copy / place).read_text())
    entry = values["openings_log"][number]
    entry = entry if "integers_sha256" in entry else entry["clients"]["client-3"]
    entry["integers_sha256"] = "00" * 32
    (copy / place).write_text(json.dumps(values))
    (finding,) = audit(copy).findings
    assert f"for round {number - 2}" in str(finding)
    assert "client-3" in str(finding)


def test_an_audit_finds_an_opening_that_a_ledger_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended, made = Ledger.append, make_by_class(scheme="none", rounds=ROUNDS)
    begun: list[Ledger] = []

    def append(ledger: Ledger, event: Recorded) -> object:
        if event == RunStarted(member="client-2", federation_digest=made.federation.digest):
            begun.append(ledger)
        left_out = isinstance(event, RoundReserved) and event.round_number == -1
        return None if left_out and ledger in begun else appended(ledger, event)

    monkeypatch.setattr(Ledger, "append", append)
    (finding,) = audit(run_whole(tmp_path, made).folder).findings
    found = "its ledger has 'round-contributed' of round -1 at entry 5"
    assert str(finding) == f"client-2: {found}, where 'aggregate-applied' of round -1 belongs"


def test_a_log_says_that_openings_come_before_the_first_round(
    whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    with PlainView(Console(width=200), clock=lambda: 0.0) as view:
        for event in whole.events:
            view.show(event)
    lines = [line for line in capsys.readouterr().out.splitlines() if "client-1" in line]
    assert lines[0].endswith("client-1  before round 1: who holds which classes")
    assert not any("round -" in line for line in lines)
