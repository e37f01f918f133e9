"""Results name their format; those of 0.1.0 are read, those of later versions are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.results import client_result

from securefl.errors import StateError
from securefl.results.client import ClientResult, read_client_result
from securefl.results.formats import current, stamped
from securefl.results.reading import read_federation, read_result
from securefl.results.run import roster_of

CLIENT_OF_0_1_0 = """{
 "federation": "banks", "federation_digest": "ab", "recipe": "default", "payload": "sketch", "rounds": 1,
 "encryption": {"scheme": "bfv", "profile": "t34-2x17-d12", "fraction": 1.0, "exact": true},
 "id": "client-1", "rank": 4, "personal_rank": 4, "samples": 100, "values": 12345, "device": "cpu",
 "precision": "float32",
 "metric": {
  "name": "accuracy", "base": 0.5, "local": 0.6, "global": 0.7, "fused": 0.75, "f1": {"base": 0.5, "global": 0.6},
  "samples": 40
 },
 "fusion": {
  "w_global": 0.9, "w_personal": 0.1, "space": "product", "loss": 0.4, "candidates": 24, "samples": 15
 },
 "rounds_log": [
  {
   "round": 1, "seconds": {"train": 2.5, "upload": 0.25}, "bytes": {"up": 100, "down": 90, "float32_up": 200},
   "loss": 0.9, "saturated": 0, "reconstruction_error": 0.01, "integers_sha256": "cd"
  }
 ],
 "seconds": {"train": 2.5, "upload": 0.25}, "seconds_total": 9.5, "peak_memory_bytes": 1000, "epsilon": "infinity",
 "ledger_head": "ef"
}"""
RUN_OF_0_1_0 = """{
 "name": "banks", "federation": "banks", "recipe": "default", "rounds": 1,
 "encryption": {"scheme": "bfv", "profile": "t34-2x17-d12", "fraction": 1.0, "exact": true},
 "clients": [{"id": "client-1", "bytes": {"up": 100}}, {"id": "round", "bytes": {"up": 90}}],
 "rounds_log": [
  {
   "round": 1, "seconds": {"train": 2.5}, "bytes": {"up": 190},
   "clients": {"client-1": {"saturated": 0}, "round": {"saturated": 1}}
  }
 ],
 "seconds_total": 9.5, "peak_memory_bytes": 4000,
 "plan": {
  "federation": "banks", "per_round": [{"applies_to": "rounds 1 to 1"}],
  "speed": {"seal": {"once_s": 0.1, "each_ciphertext_s": 0.01}, "read": {"once_s": 0.1, "each_ciphertext_s": 0.01}}
 },
 "predicted_and_measured": [
  {"what": "up", "round": 1, "of": "client-1", "predicted": 100, "measured": 100, "ratio": 1.0},
  {"what": "memory", "round": null, "of": "server", "predicted": 9, "measured": 9, "ratio": 1.0}
 ]
}"""
OVERHEAD_OF_0_1_0 = """{
 "benchmark": "overhead",
 "variants": {
  "float32": {
   "values": 10,
   "repeats": [
    {
     "laps": [{"round": 1, "role": "client-1", "phase": "train", "wall_s": 1.0, "cpu_s": 1.0}],
     "transfers": [{"round": 1, "member": "client-1", "up_bytes": 1, "down_bytes": 1}]
    }
   ]
  }
 }
}"""


def read(text: str) -> dict[str, Any]:
    return current(json.loads(text), where="result.json")


def test_the_format_is_the_first_key() -> None:
    assert list(stamped({"name": "banks"}).items()) == [("format", 2), ("name", "banks")]


def test_a_client_writes_its_format_first_and_reads_back(tmp_path: Path) -> None:
    result = ClientResult.model_validate(current(client_result(), where="here"))
    path = result.write(tmp_path)
    assert next(iter(json.loads(path.read_text()).items())) == ("format", 2)
    assert read_client_result(path) == result


def test_a_clients_result_of_0_1_0_is_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(CLIENT_OF_0_1_0)
    result = read_client_result(path)
    assert [entry.round_number for entry in result.rounds_log] == [1]
    assert (result.bytes.up, result.bytes.down, result.metric.of("fused")) == (100, 90, 0.75)
    assert result.metric.worth is None


def test_a_runs_result_of_0_1_0_has_todays_keys() -> None:
    result = read(RUN_OF_0_1_0)
    assert result["rounds_log"][0]["round_number"] == 1
    assert [line["round_number"] for line in result["predicted_and_measured"]] == [1, None]
    assert result["plan"]["speed"].keys() == {"encrypt", "read"}
    for entry in (*result["rounds_log"], *result["predicted_and_measured"]):
        assert "round" not in entry


def test_a_client_of_0_1_0_that_is_called_round_keeps_its_name() -> None:
    result = read(RUN_OF_0_1_0)
    assert result["rounds_log"][0]["clients"]["round"] == {"saturated": 1}
    assert result["clients"][1]["id"] == "round"


def test_the_roster_of_a_run_of_0_1_0_is_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(RUN_OF_0_1_0)
    assert roster_of(path) == ["client-1", "round"]


def test_a_benchmark_of_0_1_0_has_todays_keys() -> None:
    repeat = read(OVERHEAD_OF_0_1_0)["variants"]["float32"]["repeats"][0]
    assert repeat["laps"][0]["round_number"] == 1
    assert repeat["transfers"][0]["round_number"] == 1


def test_a_plan_of_0_1_0_has_todays_keys() -> None:
    assert read('{"federation": "a", "speed": {"seal": 1}}')["speed"] == {"encrypt": 1}
    assert read('{"federation": "a", "speed": null}')["speed"] is None


def test_values_of_this_format_are_left_as_they_are() -> None:
    assert read('{"format": 2, "rounds_log": [{"round": 1}]}') == {"rounds_log": [{"round": 1}]}


@pytest.mark.parametrize("written", [3, 99])
def test_a_result_of_a_later_format_is_refused_as_newer(tmp_path: Path, written: int) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(client_result(format=written)))
    with pytest.raises(StateError, match=f"by a newer version of securefl, in format {written}"):
        read_client_result(path)


@pytest.mark.parametrize("text", ["[]", "7", "null", '{"format": "2"}', '{"format": true}', '{"format": 0}'])
def test_what_is_no_result_is_refused(text: str) -> None:
    with pytest.raises(StateError, match="is no result"):
        read(text)


def test_a_key_that_this_version_does_not_know_is_kept(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(client_result(carbon_g=3)))
    read_client_result(tmp_path / "result.json").write(tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["carbon_g"] == 3


@pytest.mark.parametrize("text", ["[" * 100_000, "\0", "[]", "null", "{"])
def test_a_file_that_is_no_result_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(StateError, match=r"is no .*result"):
        read_client_result(tmp_path / "result.json")
    with pytest.raises(StateError, match=r"is no .*result"):
        read_result(tmp_path)


def test_a_federation_file_that_is_no_text_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "federation.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(StateError, match="no UTF-8 text"):
        read_federation(tmp_path)


def test_a_fusion_of_0_1_0_is_read_without_scales_and_check(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(CLIENT_OF_0_1_0)
    result = read_client_result(path)
    assert result.fusion is not None
    assert (result.fusion.candidates, result.fusion.scales, result.fusion.nested) == (24, None, None)
    assert result.metric.baselines is None
