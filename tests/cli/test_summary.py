"""The summary says what was measured and what happened, and nothing of what was not."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.federations import make_federation
from support.results import client_result

from securefl.cli.summary import show
from securefl.planning.forecast import forecast
from securefl.results.client import ClientResult
from securefl.results.folder import RunFolder
from securefl.results.run import merged


def shown(of_client: dict[str, Any] | None = None, *, planned: int = 3, **metric: Any) -> str:
    values = client_result(1, **(of_client or {}))
    values["metric"] |= metric
    client = ClientResult.model_validate({key: value for key, value in values.items() if key != "format"})
    result = merged(
        [client],
        name="run",
        seconds_total=9.0,
        peak_memory_bytes=5,
        forecast=forecast(make_federation((2, 4, 8), scheme="none", rounds=planned).federation, speed=None),
        server_memory_bytes=None,
    )
    console = Console(width=100, file=StringIO())
    show(result, RunFolder(Path("run")), console=console)
    return console.file.getvalue()


def test_baselines_stand_beside_the_adapters() -> None:
    said = shown(baselines={"better_of_both": 0.6123, "fine_tuned": 0.6456})
    headings = said.partition("sent and received")[0]
    assert "better" in headings
    assert "fine-tuned" in headings
    row = next(line for line in said.splitlines() if line.startswith("client-1"))
    assert row.split()[-2:] == ["0.6123", "0.6456"]


def test_a_run_without_baselines_has_no_columns_for_them() -> None:
    said = shown()
    gains = said.partition("sent and received")[0]
    assert "client-1" in gains
    assert "better" not in gains
    assert "fine-tuned" not in said


@pytest.mark.parametrize(("kept", "words"), [(1, "after round 1"), (0, "before round 1")])
def test_an_early_end_is_told_with_the_round_whose_adapter_was_kept(kept: int, words: str) -> None:
    said = " ".join(shown({"rounds": 2, "kept_round": kept}, planned=4).split())
    assert f"ended early after round 2 of 4; its global adapter is the one {words}" in said


def test_a_run_to_its_last_round_has_no_early_end() -> None:
    assert "ended early" not in shown()


FUSION = {"w_global": 0.5, "w_personal": 0.5, "space": "product", "loss": 0.4, "samples": 12}


def test_a_fused_adapter_that_is_the_plain_mean_is_called_so() -> None:
    said = " ".join(shown({"fusion": {**FUSION, "candidates": 1, "plain_mean": True}}).split())
    assert "At client-1 fused is the plain mean of global and local: 12 validation rows are too few" in said


def test_a_fused_adapter_that_was_searched_is_not_called_a_mean() -> None:
    assert "plain mean" not in shown({"fusion": {**FUSION, "candidates": 16}})


def test_labels_at_home_are_named_up_to_a_few() -> None:
    said = " ".join(shown({"labels_at_home": [f"label-{number}" for number in range(7)]}).split())
    assert "Fewer than 3 clients train on label-0, label-1, label-2, label-3, label-4 and 2 more:" in said


@pytest.mark.parametrize("none", [None, []])
def test_without_labels_at_home_nothing_is_said_of_them(none: list[str] | None) -> None:
    assert "Fewer than" not in shown({"labels_at_home": none})


@pytest.mark.parametrize(
    ("figures", "folders"),
    [
        ({}, "global"),
        ({"fused": 0.8}, "{global,fused}"),
        ({"local": 0.7}, "{global,personal}"),
        ({"local": 0.7, "fused": 0.8}, "{global,personal,fused}"),
    ],
)
def test_the_folders_that_are_named_are_those_of_the_adapters_that_there_are(
    figures: dict[str, float], folders: str
) -> None:
    line = next(line for line in shown(**figures).splitlines() if line.startswith("Adapters"))
    assert line.endswith(f"<client>/{folders}")


PRIVACY = {
    "unit": "example",
    "delta": 1e-5,
    "accountant": "pld",
    "target_epsilon": 8.0,
    "epsilon": 3.456,
    "rounds_charged": [1],
    "trainings": 1,
    "rounds_sat_out": [2, 3],
    "budget_delta": 1e-5,
    "budget_epsilon": 9.0,
    "spent": 7.891,
    "left": 1.109,
    "affordable_rounds": 0,
}


def test_a_private_run_says_what_was_promised_spent_and_left() -> None:
    said = shown({"privacy": PRIVACY})
    assert 'privacy of unit "example": epsilon at delta 1e-05' in said
    table = said.partition("privacy of unit")[2]
    row = next(line for line in table.splitlines() if line.startswith("client-1"))
    assert row.split()[1:] == ["8", "3.46", "1", "2", "9", "7.89", "1.11", "0"]
    assert "client-1 sat out rounds 2, 3, because its privacy budget allowed no more" in " ".join(
        said.split()
    )


def test_a_run_without_privacy_has_no_such_table() -> None:
    assert "privacy of unit" not in shown()
