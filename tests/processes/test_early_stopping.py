"""A federation of real processes ends early where its loss stops falling, and everything that it leaves says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from securefl import audit, read_ledger, read_result

from .conftest import securefl

pytestmark = pytest.mark.slow
CLIENTS = ("client-1", "client-2", "client-3")
ROUNDS = 9


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, write_federation: Callable[..., Path]) -> Path:
    """A run whose head learns far too fast, so that its loss rises again."""
    folder = tmp_path_factory.mktemp("early")
    path = write_federation(folder, scheme="bfv")
    changed = path.read_text().replace("rounds = 2", f"rounds = {ROUNDS}")
    changed = changed.replace(
        "head_learning_rate = 3e-2", "head_learning_rate = 2.0\nearly_stopping_rounds = 1"
    )
    path.write_text(changed.replace("adapter_bound = 1.0", "adapter_bound = 4.0\nhead_bound = 16.0"))
    done = securefl("run", path, "--out", folder / "runs")
    assert done.returncode == 0, done.stderr
    (folder / "told").write_text(done.stderr + done.stdout)
    return folder / "runs" / "colours"


def clients_of(run: Path) -> list[dict]:
    return [json.loads((run / "clients" / client / "result.json").read_text()) for client in CLIENTS]


def test_it_ends_a_round_after_the_loss_rose_and_goes_back_to_the_best_adapter(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    last, kept = result["rounds"], result["kept_round"]
    assert last < ROUNDS
    assert kept == last - 2
    sums = [
        sum(client["start"]["loss"] for client in clients_of(run)),
        *(
            sum(client["rounds_log"][place]["validation"]["loss"] for client in clients_of(run))
            for place in range(last - 1)
        ),
    ]
    assert sums.index(min(sums)) == kept
    for client in clients_of(run):
        figures = [client["start"], *(entry["validation"] for entry in client["rounds_log"])]
        assert figures[last] == figures[kept]
    told = (run.parents[1] / "told").read_text()
    assert f"has not fallen for 1 round: the federation ends with round {last}, and goes back" in told
    assert f"ended early after round {last} of {ROUNDS}; its global adapter is the one" in told


def test_the_saved_adapter_is_the_one_that_was_kept(run: Path) -> None:
    for client in clients_of(run):
        saved = load_file(run / "clients" / client["id"] / "global" / "adapter_model.safetensors")
        assert saved
        assert (
            client["metric"]["worth"]["validation"]["global"]
            == client["rounds_log"][-1]["validation"]["accuracy"]
        )


def test_the_audit_and_the_ledgers_know_the_early_end(run: Path) -> None:
    report = audit(run)
    assert report.findings == ()
    assert report.rounds == ROUNDS
    record = read_result(run)
    for client in CLIENTS:
        assert read_ledger(run / "clients" / client).entries[-1].event.rounds == record.rounds
    assert record.kept_round == record.rounds - 2
