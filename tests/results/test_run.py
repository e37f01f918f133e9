"""What the clients measured is merged without loss, and never across different runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.federations import make_federation
from support.results import client_result, round_of

from securefl.errors import StateError
from securefl.planning.forecast import forecast
from securefl.results.client import ClientResult, read_client_result
from securefl.results.reading import read_result
from securefl.results.run import merged, read_server_memory


def _merged(*clients: dict[str, Any]) -> dict[str, Any]:
    parsed = [
        ClientResult.model_validate({k: v for k, v in client.items() if k != "format"}) for client in clients
    ]
    result = merged(
        parsed,
        name="run",
        seconds_total=9.0,
        peak_memory_bytes=5,
        forecast=forecast(make_federation((2, 4, 8), scheme="none").federation, speed=None),
        server_memory_bytes=None,
    )
    return dict(result.to_json())


def test_bytes_add_up_and_seconds_are_those_of_the_slowest() -> None:
    first, second = _merged(client_result(1), client_result(3))["rounds_log"]
    assert first["bytes"] == {"up": 40, "down": 14, "float32_up": 160}
    assert first["seconds"] == {"train": 4.0, "upload": 0.5}
    assert second["seconds"]["train"] == 5.0


def test_each_clients_own_figures_stand_beside_the_merged_ones() -> None:
    result = _merged(client_result(1), client_result(3))
    assert result["rounds_log"][1]["clients"]["client-3"]["seconds"]["train"] == 5
    assert result["clients"][1]["bytes"] == {"up": 60, "down": 14, "float32_up": 240}
    assert result["clients"][1]["seconds"] == {"train": 9.0, "upload": 1.0}


def test_what_this_version_does_not_know_is_kept() -> None:
    result = _merged(client_result(1, carbon={"g": 0.7}), client_result(2))
    assert result["clients"][0]["carbon"] == {"g": 0.7}
    assert result["rounds_log"][0]["clients"]["client-2"]["saturated"] == 2


def test_a_metric_that_was_not_measured_is_null() -> None:
    metric = _merged(client_result(1), client_result(2))["clients"][0]["metric"]
    assert (metric["local"], metric["global"], metric["fused"]) == (None, 0.75, None)


@pytest.mark.parametrize(
    "other",
    [
        {"federation": "plants"},
        {"rounds": 3},
        {"encryption": {**client_result(1)["encryption"], "scheme": "none"}},
    ],
)
def test_clients_of_different_runs_are_not_merged(other: dict[str, Any]) -> None:
    with pytest.raises(StateError, match=f"client-1 and client-2 do not report the same {next(iter(other))}"):
        _merged(client_result(1), client_result(2, **other))


def test_clients_that_lived_through_different_rounds_are_not_merged() -> None:
    with pytest.raises(StateError, match="the same rounds"):
        _merged(client_result(1), client_result(2, rounds_log=client_result(2)["rounds_log"][:1]))


def test_a_result_without_a_key_is_refused_by_the_keys_name(tmp_path: Path) -> None:
    incomplete = {key: value for key, value in client_result(1).items() if key != "rank"}
    (tmp_path / "result.json").write_text(json.dumps(incomplete))
    with pytest.raises(StateError, match=r"no client's result \(rank\)"):
        read_client_result(tmp_path / "result.json")


def test_half_a_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(client_result(1))[:40])
    with pytest.raises(StateError, match="it is no JSON"):
        read_client_result(tmp_path / "result.json")


@pytest.mark.parametrize(("text", "memory"), [('{"peak_memory_bytes": 9}', 9), ("{}", None), ("[", None)])
def test_a_server_without_a_figure_of_its_memory_is_no_error(
    text: str, memory: int | None, tmp_path: Path
) -> None:
    (tmp_path / "server.json").write_text(text)
    assert read_server_memory(tmp_path / "server.json") == memory
    assert read_server_memory(tmp_path / "nothing.json") is None


def test_the_result_has_the_cohorts_learning_curve(tmp_path: Path) -> None:
    measured = [
        client_result(
            number,
            best_round=2,
            rounds_log=[
                {**round_of(position, number), "validation": {"accuracy": 0.1 * number * position}}
                for position in (1, 2)
            ],
        )
        for number in (1, 3)
    ]
    result = _merged(*measured)
    assert [point["round_number"] for point in result["learning_curve"]["points"]] == [1, 2]
    assert result["learning_curve"]["points"][1]["mean"]["accuracy"] == pytest.approx(0.4)
    assert result["learning_curve"]["best_round"] == {"client-1": 2, "client-3": 2}
    assert result["clients"][0]["best_round"] == 2
    assert result["rounds_log"][1]["clients"]["client-3"]["validation"]["accuracy"] == pytest.approx(0.6)
    (tmp_path / "result.json").write_text(json.dumps(result))
    record = read_result(tmp_path)
    assert record.clients[1].best_round == 2
    assert record.learning_curve is not None
    assert record.learning_curve.best == 2


def test_a_member_reads_its_own_curve_from_its_own_result(tmp_path: Path) -> None:
    rounds = [{**round_of(1), "validation": {"accuracy": 0.7}}]
    own = client_result(1, start={"accuracy": 0.2}, rounds_log=rounds)
    (tmp_path / "result.json").write_text(json.dumps(own))
    curve = read_result(tmp_path).learning_curve
    assert curve is not None
    assert [point.mean["accuracy"] for point in curve.points] == [0.2, 0.7]
