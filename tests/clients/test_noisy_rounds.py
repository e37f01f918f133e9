"""Whole rounds under noise: a member's update is charged, then noised, once, whatever attempts its round has."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.federations import TestFederation, make_federation
from support.whole_rounds import MeasuredLearner, WholeRun

pytest.importorskip("dp_accounting")

from securefl.adapters.update import Adapter
from securefl.aggregation.encryption import Encryption
from securefl.aggregation.grid import Integers
from securefl.config.aggregation import AggregationSection
from securefl.config.privacy import ClientPrivacySection
from securefl.errors import StateError
from securefl.ledger.budget_files import BudgetPlace
from securefl.ledger.row_marks import MarkedData
from securefl.privacy.accounting.accountants import accountant_named
from securefl.privacy.budget import Budget
from securefl.privacy.events import parse_event
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.calls import CommitAsked
from securefl.protocol.client_noise import client_plan, round_event
from securefl_client.budget_store import read_budget
from securefl_client.data_budget import DataBudget
from securefl_client.member_work import MemberWork
from securefl_client.round_charges import RoundCharges

VICTIM = "client-2"
Sent = dict[tuple[str, int], set[tuple[int, str]]]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash is the end of a process here, not a loss of power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def made() -> TestFederation:
    return federation((2, 2, 2))


def federation(ranks: tuple[int, ...]) -> TestFederation:
    promise = ClientPrivacySection(unit="client", target_epsilon=8, accountant="rdp", force=True)
    return make_federation(
        ranks,
        scheme="kahe",
        payload="core",
        aggregation=AggregationSection(weights="equal"),
        promise=promise,
    )


@pytest.fixture(scope="module")
def roomy() -> TestFederation:
    """One with a member to spare."""
    return federation((2, 2, 2, 2))


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


# --- charges


def charged(made: TestFederation, folder: Path, *, epsilon: float = 8.0) -> dict[str, RoundCharges]:
    """Charges of every member on a budget of this size."""
    found = {}
    for member in made.federation.cohort:
        data = MarkedData.of([f"the data of {member}".encode()])
        place = BudgetPlace(
            ledgers=folder / "ledgers",
            kept_receipts=folder / "receipts",
            client=member,
            data_fingerprint=data.fingerprint,
        )
        budget = DataBudget(
            place=place,
            marks=data.marks,
            budget=Budget(unit="client", epsilon=epsilon, delta=1e-5, accountant="rdp"),
            federation_digest=made.federation.digest,
            rounds=2,
        )
        found[member] = RoundCharges(budget, noised=partial(round_event, made.federation))
    return found


def charges_on(charges: RoundCharges) -> list[tuple[int, str]]:
    """Rounds of a member's ledger with what was charged for them."""
    budget = charges.budget
    assert budget is not None
    state = read_budget(budget.place)
    assert state is not None
    return [(charge.round_number, charge.release) for charge in state.charges]


def test_every_contribution_of_every_member_is_charged_once(
    made: TestFederation, sent: Sent, tmp_path: Path
) -> None:
    charges = charged(made, tmp_path)
    run = WholeRun(made, tmp_path / "members", charges=charges)
    run.run()
    assert run.core.error is None
    expected = [
        (number, str(release.text)) for number in (1, 2) if (release := round_event(made.federation, number))
    ]
    assert {name: charges_on(own) for name, own in charges.items()} == dict.fromkeys(charges, expected)
    assert sent.keys() == {(name, number) for name in charges for number in (1, 2)}


def test_attempts_of_one_round_are_charged_once(made: TestFederation, sent: Sent, tmp_path: Path) -> None:
    """They release the same integers."""
    charges = charged(made, tmp_path)
    run, missed = WholeRun(made, tmp_path / "members", charges=charges), list[object]()

    def away(member: str, announcement: object) -> bool:
        if member == VICTIM and isinstance(announcement, CommitAsked) and not missed:
            missed.append(announcement)
        return member == VICTIM and announcement in missed

    run.run(away=away)
    assert {attempt for each in sent.values() for attempt, _ in each} > {1}
    assert all([number for number, _ in charges_on(own)] == [1, 2] for own in charges.values())


def test_the_charges_of_all_rounds_cost_what_the_plan_promised(made: TestFederation, tmp_path: Path) -> None:
    charges = charged(made, tmp_path)
    WholeRun(made, tmp_path / "members", charges=charges).run()
    plan = client_plan(made.federation)
    assert plan is not None
    events = [parse_event(release) for _, release in charges_on(charges[VICTIM])]
    epsilon = accountant_named("rdp").epsilon(events, delta=1e-5)
    assert 0.9 * plan.target_epsilon < epsilon <= plan.epsilon <= plan.target_epsilon


def test_a_member_that_is_not_charged_sends_nothing(
    made: TestFederation, sent: Sent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken member, whose charge is left out."""
    charges = charged(made, tmp_path)
    honest = RoundCharges.begin

    def begin(self: RoundCharges, round_number: int) -> None:
        if self is not charges[VICTIM]:
            honest(self, round_number)

    monkeypatch.setattr(RoundCharges, "begin", begin)
    with pytest.raises(StateError, match="leaves without a charge"):
        WholeRun(made, tmp_path / "members", charges=charges).run()
    assert not any(member == VICTIM for member, _ in sent)


def test_a_round_that_would_exceed_the_budget_is_neither_trained_nor_charged(
    roomy: TestFederation, sent: Sent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The member sits the round out and applies the sum of the others, who have noise enough without its share."""
    trained: list[tuple[str, int]] = []
    honest = MeasuredLearner.learn

    def learn(self: MeasuredLearner, round_number: int, start: Adapter, basis: object) -> object:
        trained.append((self.member, round_number))
        return honest(self, round_number, start, basis)

    monkeypatch.setattr(MeasuredLearner, "learn", learn)
    plan = client_plan(roomy.federation)
    assert plan is not None
    small = charged(roomy, tmp_path, epsilon=plan.epsilon_of_a_round * 1.01)
    charges = charged(roomy, tmp_path) | {VICTIM: small[VICTIM]}
    run = WholeRun(roomy, tmp_path / "members", charges=charges)
    run.run()
    assert run.core.error is None
    assert [number for name, number in trained if name == VICTIM] == [1]
    assert [number for number, _ in charges_on(charges[VICTIM])] == [1]
    assert [number for name, number in sent if name == VICTIM] == [1]
    assert same_adapters(run)
