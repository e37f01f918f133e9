"""Members as processes against the server's process over loopback: to the end, and again from where one was stopped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.member_threads import MEMBERS, provisioned, run_all, run_member
from support.movers import Mover

from securefl.errors import ConfigError, StateError, TransportError
from securefl.progress import Event, Warned
from securefl.protocol.calls import Answer, Leave
from securefl.transport.aggregator_client import AggregatorClient, ShortRequest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("scheme", ["none", "kahe", "bfv"])
def test_every_member_ends_with_the_mean_of_all(tmp_path: Path, scheme: str) -> None:
    folder = provisioned(tmp_path, scheme)
    adapters = run_all(folder, tmp_path / "out")
    for name, adapter in adapters.items():
        np.testing.assert_allclose(adapter.heads["out"], 1.0, atol=1e-3)
        assert json.loads((tmp_path / "out" / name / "result.json").read_text())["rounds"] == 2


@pytest.mark.parametrize("scheme", ["none", "kahe"])
def test_a_member_that_was_stopped_while_it_trained_ends_with_the_same_adapters(
    tmp_path: Path, scheme: str
) -> None:
    folder = provisioned(tmp_path / "one", scheme)
    whole = run_all(folder, tmp_path / "whole")
    again = run_all(provisioned(tmp_path / "two", scheme), tmp_path / "again", stops_in=2)
    for name in MEMBERS:
        for weight, pair in whole[name].weights.items():
            assert np.array_equal(pair.B, again[name].weights[weight].B)
        assert np.array_equal(whole[name].heads["out"], again[name].heads["out"])
    ledger = (tmp_path / "again" / "client-2" / "ledger.jsonl").read_text()
    assert ledger.count("run-started") == 1
    assert ledger.count("round-contributed") == 2


def test_a_member_whose_farewell_is_answered_by_nobody_has_finished_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server noted the farewell, was killed before it could say so, and had nothing left to do afterwards."""
    ask = AggregatorClient.ask

    def unanswered(client: AggregatorClient, request: ShortRequest) -> Answer:
        answer = ask(client, request)
        if isinstance(request, Leave):
            raise TransportError("the server was out of reach for 30 s")
        return answer

    monkeypatch.setattr(AggregatorClient, "ask", unanswered)
    folder = provisioned(tmp_path, "none")
    heard: list[Event] = []
    run_all(folder, tmp_path / "out", emit=heard.append)
    for name in MEMBERS:
        assert (tmp_path / "out" / name / "result.json").is_file()
    warned = [event for event in heard if isinstance(event, Warned)]
    assert {event.member for event in warned} == set(MEMBERS)
    assert all("the server may not have heard so" in event.message for event in warned)


def test_the_result_of_another_run_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "out" / "client-1").mkdir(parents=True)
    (tmp_path / "out" / "client-1" / "result.json").write_text("{}")
    folder = provisioned(tmp_path, "none")
    with pytest.raises(ConfigError, match="holds the result of an earlier run"):
        run_member(folder, "client-1", Mover(0), address="127.0.0.1:1", out=tmp_path / "out")


def test_the_journal_lies_in_the_members_folder_whatever_out_says(tmp_path: Path) -> None:
    folder = provisioned(tmp_path, "none")
    run_all(folder, tmp_path / "out")
    for name in MEMBERS:
        assert (folder / name / "journal" / "journal.jsonl").stat().st_mode & 0o777 == 0o600
        assert not (tmp_path / "out" / name / "journal").exists()


def test_a_journal_of_another_federation_is_refused_before_the_server_is_asked(tmp_path: Path) -> None:
    folder = provisioned(tmp_path, "none")
    run_all(folder, tmp_path / "out")
    other = provisioned(tmp_path / "other", "none")
    (folder / "client-1" / "journal").rename(other / "client-1" / "journal")
    with pytest.raises(StateError, match="of another federation"):
        run_member(other, "client-1", Mover(0), address="127.0.0.1:1", out=tmp_path / "again")
