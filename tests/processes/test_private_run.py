"""A federation of real processes protects rows: every round is charged where it outlives the run, and no more fit."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import securefl

pytest.importorskip("dp_accounting")

from securefl import read_ledger
from securefl.auditing.budget_anchors import Anchors, anchor_findings, anchored_in, heads_in
from securefl.auditing.budget_records import read_record

pytestmark = pytest.mark.slow

LABELS = 'labels = ["blue", "green", "red"]\n\n'
"""Under a promise they are no matter of the rows."""
PRIVATE = """
[privacy]
unit = "example"
target_epsilon = 8.0
delta = 1e-3
accountant = "rdp"

[head]
rows = "together"
start = "zeros"
logit_adjustment = false

[aggregation]
weights = "equal"

[recipe]
personal = "none"
"""


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, write_federation: Callable[..., Path]
) -> tuple[Path, list[tuple[int, str]]]:
    """The folder of two runs of one file on the same rows, with the exit code and the words of each."""
    folder = tmp_path_factory.mktemp("private")
    path = write_federation(folder, payload='"basis"')
    path.write_text(path.read_text().replace("[model]", LABELS + "[model]", 1) + PRIVATE)
    ended = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "XDG_STATE_HOME", str(folder / "state"))
        patch.setitem(os.environ, "XDG_DATA_HOME", str(folder / "data"))
        for name in ("first", "second"):
            done = securefl("run", path, "--out", folder / name)
            ended.append((done.returncode, done.stdout + done.stderr))
    return folder, ended


def charges(folder: Path) -> dict[str, list[tuple[int, str]]]:
    """Round and release of every charge, by client."""
    found = {}
    for path in sorted((folder / "state" / "securefl" / "budgets").glob("*/*.jsonl")):
        events = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = [
            (event["fields"]["round_number"], event["fields"]["release"])
            for event in events
            if event["event"] == "charge-reserved"
        ]
    return found


def test_every_client_trains_with_noise_and_charges_each_of_its_rounds(runs) -> None:
    folder, ended = runs
    code, words = ended[0]
    assert code == 0, words
    for of_client in charges(folder).values():
        assert [number for number, _ in of_client] == [1, 2]
        assert all(release.startswith("sampled-gaussian noise_multiplier=") for _, release in of_client)
    assert set(charges(folder)) == {"client-1", "client-2", "client-3"}


def test_an_audit_finds_every_round_charged_and_the_promise_kept(runs, monkeypatch) -> None:
    from securefl import audit

    folder, _ = runs
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    (run,) = (folder / "first").iterdir()
    report = audit(run)
    assert report.findings == ()
    for client in report.privacy.clients:
        assert [charge.round_number for charge in client.charges] == [1, 2]
        assert 0 < client.opinions.epsilon <= 8.0


def test_an_audit_wants_the_receipts_of_budgets_that_are_here(runs, tmp_path, monkeypatch) -> None:
    from securefl import audit

    folder, _ = runs
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (run,) = (folder / "first").iterdir()
    found = [str(finding) for finding in audit(run).findings]
    assert [line.partition(":")[0] for line in found] == ["client-1", "client-2", "client-3"]
    assert all("the receipts of its budget's ledger cannot be found" in line for line in found)
    assert audit(run, receipts=folder / "data" / "securefl" / "receipts").ok


def test_an_audit_names_clients_whose_budgets_are_not_there(runs, tmp_path) -> None:
    from securefl import audit

    folder, _ = runs
    (first,) = (folder / "first").iterdir()
    assert audit(first, budgets=tmp_path).ok, "the copies in the results do"
    run = shutil.copytree(first, tmp_path / "run")
    for copy in run.glob("clients/*/budget.jsonl"):
        copy.unlink()
    found = [str(finding) for finding in audit(run, budgets=tmp_path).findings]
    unpaid = [line for line in found if "no ledger of its budgets has a charge of this federation" in line]
    assert [line.partition(":")[0] for line in unpaid] == ["client-1", "client-2", "client-3"]


def test_a_second_federation_on_the_same_rows_is_refused_and_charges_nothing(runs) -> None:
    folder, ended = runs
    code, words = ended[1]
    assert code == 1
    said = " ".join(words.split())
    assert "would exceed this client's budget of epsilon 8" in said
    assert "it allows no round" in said
    assert "sits out, because its privacy budget allows no further round on the data" in said
    assert all(len(of_client) == 2 for of_client in charges(folder).values())


def test_results_say_what_was_promised_spent_and_left(runs) -> None:
    folder, _ = runs
    whole = json.loads((folder / "first" / "colours" / "result.json").read_text())
    for client in whole["clients"]:
        privacy = client["privacy"]
        assert (privacy["unit"], privacy["target_epsilon"], privacy["rounds_charged"]) == (
            "example",
            8.0,
            [1, 2],
        )
        assert 0 < privacy["epsilon"] <= 8
        assert privacy["left"] == pytest.approx(8 - privacy["spent"])
        assert float(client["epsilon"]) == privacy["epsilon"]


def test_a_copy_of_each_ledger_lies_with_the_results_and_continues_what_the_others_kept(runs) -> None:
    folder, _ = runs
    clients = folder / "first" / "colours" / "clients"
    for client in ("client-1", "client-2", "client-3"):
        ledger = read_ledger(clients / client)
        heads = heads_in(clients / "client-1")[client]
        assert sorted(heads) == [1, 2]
        anchors = Anchors(
            run=anchored_in(entry.event for entry in ledger.entries), headers=frozenset(heads.items())
        )
        record = read_record(clients / client / "budget.jsonl", member=client)
        assert list(anchor_findings([record], anchors)) == []
        assert [charge.round_number for charge in record.charges] == [1, 2]


def test_the_table_of_a_run_shows_it(runs) -> None:
    _, ended = runs
    assert 'privacy of unit "example"' in " ".join(ended[0][1].split())
