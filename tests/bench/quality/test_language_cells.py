"""Cells of a language model: rows without an answer that fits are counted by no training, and pairs stay pairs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.quality import COLOURS, colours_cell, job_of
from support.tiny_language_models import save_tiny_language_model

from securefl.bench.quality.cell import run_cell
from securefl.bench.quality.central import _outcomes
from securefl.bench.quality.measurement import CellMeasurement, CellOrder
from securefl.bench.quality.suite import CENTRAL, LOCAL, Cell, DataSet, Limits, cells_of
from securefl.bench.quality.suites import SUITES, T0
from securefl.training.rows.examples import ClientData, Examples

pytestmark = pytest.mark.slow

LETTERS = DataSet(
    name="letters",
    text=(),
    label="",
    max_length=48,
    own_test=False,
    settings=("task.name=causal-lm", "lora.target_modules=all-linear", "federation.rounds=1"),
)
LONG = "go on " * 40


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], CellMeasurement]:
    """Run a cell of three clients with a random Llama; every fifth row of a client's task is far too long."""
    folder = tmp_path_factory.mktemp("language")
    save_tiny_language_model("llama", folder / "model")
    (folder / "data" / "letters").mkdir(parents=True)
    rows = [
        {
            # The shares of rows that are too long differ by task.
            "prompt": (LONG if number % (5 + 2 * (number % 3)) == 0 else "say ") + "abcdef"[number % 6],
            "completion": "abcdef"[number % 6] * 2,
            "task": f"task-{number % 3}",
        }
        for number in range(300)
    ]
    text = "\n".join(map(json.dumps, rows))
    (folder / "data" / "letters" / "train.jsonl.gz").write_bytes(gzip.compress(text.encode()))

    def call(recipe: str) -> CellMeasurement:
        cell = Cell(
            data=LETTERS,
            split="task",
            recipe=recipe,
            seed=7,
            ranks=(2, 4, 4),
            limits=Limits(train=150, test=90),
        )
        job = job_of(cell, overrides=LETTERS.settings, own_test=False, personal_for_all=False)
        order = CellOrder(job=job, data_folder=str(folder / "data"), model=str(folder / "model"))
        return run_cell(order, tmp_path_factory.mktemp("run"))

    return call


def test_every_training_counts_the_same_rows_of_a_client(run: Callable[[str], CellMeasurement]) -> None:
    federated, central, alone = (run(recipe) for recipe in ("flexlora", CENTRAL, LOCAL))
    assert federated.metric == central.metric == alone.metric == "answer_loss"
    counts = [len(client.scores["base"]) for client in federated.clients.values()]
    assert len(set(counts)) > 1
    for member, client in federated.clients.items():
        assert client.test_sha256 == central.clients[member].test_sha256 == alone.clients[member].test_sha256
        assert len(central.clients[member].scores["central"]) == len(client.scores["base"])
        assert len(alone.clients[member].scores["local"]) == len(client.scores["base"])
        # Not all of them: a row whose answer is cut away has no score.
        assert len(client.scores["base"]) < 40


def test_the_central_figures_of_a_client_are_of_its_own_counted_rows() -> None:
    """Scores of the pooled rows are their numbers; of each client's rows the last one is counted by nobody."""
    sizes = {"client-1": (4, 3), "client-2": (6, 5), "client-3": (3, 2)}
    data = {member: client_rows(test=test, validation=held) for member, (test, held) in sizes.items()}
    counted = {member: (test - 1, held - 1) for member, (test, held) in sizes.items()}
    tests, held = (sum(counts[part] for counts in counted.values()) for part in (0, 1))
    outcomes = _outcomes(
        {member: SimpleNamespace(rank=4) for member in sizes},
        data,
        SimpleNamespace(scores=np.arange(tests, dtype=float), resampled=None),
        validation=SimpleNamespace(scores=np.arange(held, dtype=float), resampled=None),
        counted=lambda rows: len(rows) - 1,
    )
    assert [outcome.scores["central"] for outcome in outcomes.values()] == [
        (0.0, 1.0, 2.0),
        (3.0, 4.0, 5.0, 6.0, 7.0),
        (8.0, 9.0),
    ]
    assert [outcome.validation["central"] for outcome in outcomes.values()] == [0.5, 3.5, 6.0]


def client_rows(*, test: int, validation: int) -> ClientData:
    def rows(count: int) -> Examples:
        texts = tuple((f"row {number}", "") for number in range(count))
        return Examples(texts=texts, targets=np.empty((count, 0), dtype=np.int64))

    return ClientData(train=rows(9), validation=rows(validation), test=rows(test))


def test_the_suite_of_tasks_deals_sixteen_tasks_to_four_clients() -> None:
    suite = SUITES["tasks"]
    cells = cells_of(suite)
    assert [cell.recipe for cell in cells] == ["central", "local", "default", "flexlora", "fedit"]
    assert {cell.data for cell in cells} == {T0}
    assert all(cell.split == "task" and len(cell.ranks) == 4 for cell in cells)


def test_a_report_says_which_rows_stand_for_test_rows() -> None:
    from securefl.bench.quality.tables import judged_rows

    assert "no test file: training rows that nobody trains on" in judged_rows([T0])
    assert judged_rows([COLOURS]).startswith("Test rows are the set's own")
    both = judged_rows([COLOURS, replace(T0, name="spare")])
    assert "the set's own" in both
    assert "of spare, which has no test file" in both
    assert colours_cell().data == COLOURS
