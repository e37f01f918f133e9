"""Members with the real aggregation against the server's real core: any stop on the way changes no adapter."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from support.federations import TestFederation, make_federation
from support.whole_rounds import WholeRun

from securefl.adapters.update import Adapter
from securefl.config.outer import NesterovSection
from securefl.ledger.charges import charged
from securefl.protocol.calls import AggregateReady, CommitAsked, SurvivorsProposed

RANKS = (2, 2, 4)
VICTIM = "client-2"


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash is the end of a process here, not a loss of power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def made() -> TestFederation:
    return make_federation(RANKS, scheme="kahe", payload="sketch", sketch_rank=2)


def equal(one: Adapter, two: Adapter) -> bool:
    return all(
        np.array_equal(pair.A, two.weights[name].A) and np.array_equal(pair.B, two.weights[name].B)
        for name, pair in one.weights.items()
    ) and all(np.array_equal(head, two.heads[name]) for name, head in one.heads.items())


@pytest.fixture(scope="module")
def undisturbed(made: TestFederation, tmp_path_factory: pytest.TempPathFactory) -> WholeRun:
    run = WholeRun(made, tmp_path_factory.mktemp("undisturbed"))
    run.run()
    return run


def test_all_members_end_and_have_a_result(undisturbed: WholeRun) -> None:
    assert undisturbed.core.error is None
    for member in undisturbed.members.values():
        result = json.loads((member.folder / "result.json").read_text())
        assert [entry["round_number"] for entry in result["rounds_log"]] == [1, 2]
        assert charged(entry.event for entry in member.ledger.entries) == {(1, 1), (2, 1)}


@pytest.mark.slow
def test_a_member_that_is_stopped_after_any_step_ends_with_the_same_adapters(
    made: TestFederation, undisturbed: WholeRun, tmp_path: Path
) -> None:
    names = undisturbed.members[VICTIM].steps
    # The first step is the journal's own first line: there is no session yet.
    for place in range(2, len(names) + 1):
        run = WholeRun(made, tmp_path / str(place))
        victim = run.members[VICTIM]
        victim.stop_after = lambda taken, last=place: len(taken) == last
        run.run()
        assert victim.starts == 2, names[place - 1]
        for name, member in run.members.items():
            assert equal(member.adapter, undisturbed.members[name].adapter), (names[place - 1], name)
            assert member.side.metrics == undisturbed.members[name].side.metrics


def test_a_member_that_is_away_from_the_vote_on_is_in_the_sum_and_applies_it(
    made: TestFederation, undisturbed: WholeRun, tmp_path: Path
) -> None:
    # Three of three: nobody can be spared for long, so the others wait for it.
    run = WholeRun(made, tmp_path)
    seen: list[object] = []

    def away(member: str, announcement: object) -> bool:
        first = isinstance(announcement, SurvivorsProposed) and len(seen) < 3
        if member == VICTIM and first:
            seen.append(announcement)
        return member == VICTIM and first

    run.run(away=away)
    assert seen
    for name, member in run.members.items():
        assert equal(member.adapter, undisturbed.members[name].adapter)


@pytest.mark.parametrize("scheme", ["none", "bfv", "kahe"])
def test_a_member_that_vanishes_before_its_header_ends_in_the_same_state(tmp_path: Path, scheme: str) -> None:
    made = make_federation((2, 2, 2, 2, 2, 2, 2, 2), scheme=scheme, payload="sketch", sketch_rank=2)
    run = WholeRun(made, tmp_path)

    def away(member: str, announcement: object) -> bool:
        return member == VICTIM and isinstance(announcement, CommitAsked)

    run.run(away=away)
    assert run.core.error is None
    first = run.members["client-1"]
    assert equal(first.adapter, run.members[VICTIM].adapter)
    sums = first.session.state.sums
    assert [VICTIM in each.survivors for each in sums] == [False, False]
    assert charged(entry.event for entry in run.members[VICTIM].ledger.entries) == frozenset()


def test_a_member_that_misses_a_sum_applies_it_later(
    made: TestFederation, undisturbed: WholeRun, tmp_path: Path
) -> None:
    run = WholeRun(made, tmp_path)
    missed: list[object] = []

    def away(member: str, announcement: object) -> bool:
        gone = member == VICTIM and isinstance(announcement, AggregateReady) and len(missed) < 2
        if gone:
            missed.append(announcement)
        return gone

    run.run(away=away)
    assert missed
    for name, member in run.members.items():
        assert equal(member.adapter, undisturbed.members[name].adapter)


KINDS: dict[str, dict[str, object]] = {
    "partitions": {"payload": "dense"},
    "basis": {"payload": "basis"},
    "state": {"payload": "state"},
    "core": {"payload": "core"},
    "early-stopping": {"payload": "sketch", "early_stopping_rounds": 1, "rounds": 4},
    "selective": {"payload": "dense", "fraction": 0.5, "rounds": 3},
    "momentum": {"payload": "sketch", "outer": NesterovSection(name="nesterov"), "rounds": 3},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_changes_no_adapter_whatever_the_federation_sums(tmp_path: Path, kind: str) -> None:
    made = make_federation((2, 2, 2), scheme="none", **KINDS[kind])
    whole = WholeRun(made, tmp_path / "whole")
    whole.run()
    names = whole.members[VICTIM].steps
    for place in range(3, len(names) + 1, 5):
        run = WholeRun(made, tmp_path / str(place))
        run.members[VICTIM].stop_after = lambda taken, last=place: len(taken) == last
        run.run()
        for name, member in run.members.items():
            assert equal(member.adapter, whole.members[name].adapter), (names[place - 1], name)
