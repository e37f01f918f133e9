"""Whole rounds under noise: a member's update is noised once, whatever attempts, stops and starts its round has."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from support.federations import TestFederation, make_federation
from support.whole_rounds import WholeRun

pytest.importorskip("dp_accounting")

from securefl.aggregation.encryption import Encryption
from securefl.aggregation.grid import Integers
from securefl.config.aggregation import AggregationSection
from securefl.config.privacy import ClientPrivacySection
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.calls import CommitAsked
from securefl_client.member_work import MemberWork

VICTIM = "client-2"
Sent = dict[tuple[str, int], set[tuple[int, str]]]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash is the end of a process here, not a loss of power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def made() -> TestFederation:
    promise = ClientPrivacySection(unit="client", target_epsilon=8, accountant="rdp", force=True)
    return make_federation(
        (2, 2, 2),
        scheme="kahe",
        payload="core",
        aggregation=AggregationSection(weights="equal"),
        promise=promise,
    )


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """By member and round: attempt and digest of all integers that were ever encrypted."""
    found: Sent = defaultdict(set)
    honest = MemberWork.encrypt

    def noted(
        self: MemberWork, runs: Callable[[], Iterable[Integers]], *, cohort: Cohort, salt: bytes
    ) -> Encryption:
        digest = hashlib.sha256(np.concatenate(list(runs())).tobytes()).hexdigest()
        place = self._aggregation.member, cohort.attempt.round_number
        found[place].add((cohort.attempt.number, digest))
        return honest(self, runs, cohort=cohort, salt=salt)

    monkeypatch.setattr(MemberWork, "encrypt", noted)
    return found


def noisy_updates(sent: Sent) -> set[int]:
    """Numbers of different integers of a member and round; 1 alone where nothing was noised twice."""
    return {len({digest for _, digest in each}) for each in sent.values()}


def same_adapters(run: WholeRun) -> bool:
    first, *others = [member.adapter for member in run.members.values()]
    return all(
        np.array_equal(pair.B, other.weights[name].B)
        for other in others
        for name, pair in first.weights.items()
    )


def test_all_members_end_with_one_adapter(made: TestFederation, sent: Sent, tmp_path: Path) -> None:
    run = WholeRun(made, tmp_path)
    run.run()
    assert run.core.error is None
    assert same_adapters(run)
    assert len(sent) == 6
    assert noisy_updates(sent) == {1}


def test_a_second_attempt_sends_the_integers_of_the_first(
    made: TestFederation, sent: Sent, tmp_path: Path
) -> None:
    """Two draws for one update would be two releases, and their mean has half the variance."""
    run, missed = WholeRun(made, tmp_path), list[object]()

    def away(member: str, announcement: object) -> bool:
        if member == VICTIM and isinstance(announcement, CommitAsked) and not missed:
            missed.append(announcement)
        return member == VICTIM and announcement in missed

    run.run(away=away)
    assert run.core.error is None
    assert {attempt for each in sent.values() for attempt, _ in each} > {1}
    assert noisy_updates(sent) == {1}
    assert same_adapters(run)


@pytest.mark.slow
def test_a_member_that_is_stopped_after_any_step_noises_no_update_twice(
    made: TestFederation, sent: Sent, tmp_path: Path
) -> None:
    whole = WholeRun(made, tmp_path / "whole")
    whole.run()
    # The first step is the journal's own first line: there is no session yet.
    for place in range(2, len(whole.members[VICTIM].steps) + 1, 3):
        sent.clear()
        run = WholeRun(made, tmp_path / str(place))
        run.members[VICTIM].stop_after = lambda taken, last=place: len(taken) == last
        run.run()
        assert run.members[VICTIM].starts == 2
        assert noisy_updates(sent) == {1}, place
        assert same_adapters(run), place
