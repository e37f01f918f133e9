"""A member whose budget is spent sits out: the others go on without it, and it applies their sums."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support.charged_members import charges_of
from support.federations import TestFederation, make_federation
from support.whole_rounds import WholeRun

pytest.importorskip("dp_accounting")

from securefl.config.privacy import ExamplePrivacySection
from securefl.errors import RunError
from securefl.privacy.events import SampledGaussian
from securefl.progress import Warned
from securefl.protocol.serving.server_phases import ServerPhase
from securefl.results.client import read_client_result
from securefl_client.data_budget import DataBudget

VICTIM = "client-2"


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash is the end of a process here, not a loss of power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def made() -> TestFederation:
    return make_federation((2, 2, 2, 2), scheme="kahe", payload="sketch", sketch_rank=2, rounds=3)


def private(made: TestFederation) -> TestFederation:
    """The same federation with a promise of privacy in its file."""
    section = ExamplePrivacySection(unit="example", target_epsilon=8.0)
    terms = made.federation.terms.model_copy(update={"privacy": section})
    return replace(made, federation=replace(made.federation, terms=terms))


def finished(made: TestFederation, folder: Path, affords: Mapping[str, int]) -> WholeRun:
    run = WholeRun(made, folder / "members", charges=charges_of(made, folder, affords=affords))
    run.run()
    return run


def charged(run: WholeRun, member: str) -> tuple[int, ...]:
    budget = run.members[member].charges.budget
    assert budget is not None
    return budget.spending().rounds


def warnings(run: WholeRun, member: str) -> list[str]:
    return [event.message for event in run.members[member].events if isinstance(event, Warned)]


def test_its_result_says_what_was_charged_what_is_left_and_which_rounds_it_sat_out(
    made: TestFederation, tmp_path: Path
) -> None:
    made = private(made)
    run = finished(made, tmp_path, {VICTIM: 1})
    result = read_client_result(run.members[VICTIM].folder / "result.json")
    privacy = result.privacy
    assert privacy is not None
    assert (privacy.rounds_charged, privacy.rounds_sat_out, privacy.trainings) == ((1,), (2, 3), 1)
    assert (privacy.target_epsilon, privacy.unit, privacy.delta) == (8.0, "example", 1e-5)
    assert float(result.epsilon) == privacy.epsilon == pytest.approx(privacy.budget_epsilon)
    assert privacy.left == pytest.approx(0)
    assert privacy.affordable_rounds == 0
    other = read_client_result(run.members["client-1"].folder / "result.json").privacy
    assert other is not None
    assert (other.rounds_charged, other.rounds_sat_out) == ((1, 2, 3), ())


def test_a_copy_of_the_ledger_lies_beside_the_result(made: TestFederation, tmp_path: Path) -> None:
    run = finished(made, tmp_path, {})
    budget = run.members[VICTIM].charges.budget
    assert budget is not None
    copy = run.members[VICTIM].folder / "budget.jsonl"
    assert copy.read_bytes() == budget.place.ledger.read_bytes()
    assert copy.stat().st_mode & 0o077 == 0


def test_a_person_hears_at_the_start_how_far_the_budget_goes(made: TestFederation, tmp_path: Path) -> None:
    charges = charges_of(made, tmp_path, affords={VICTIM: 1})
    assert charges["client-1"].warning(0) is None
    said = charges[VICTIM].warning(0)
    assert said is not None
    assert "allows 1 of the 3 rounds that are left: the last affordable round is 1" in said


@pytest.mark.parametrize("rounds", [0, 1, 2])
def test_a_member_stays_away_from_the_round_on_that_its_budget_does_not_allow(
    made: TestFederation, tmp_path: Path, rounds: int
) -> None:
    run = finished(made, tmp_path, {VICTIM: rounds})
    assert run.core.error is None
    sums = run.members["client-1"].session.state.sums
    assert [VICTIM in each.cohort for each in sums] == [number <= rounds for number in (1, 2, 3)]
    assert charged(run, VICTIM) == tuple(range(1, rounds + 1))
    assert charged(run, "client-1") == (1, 2, 3)


def test_it_applies_the_sums_of_the_others(made: TestFederation, tmp_path: Path) -> None:
    run = finished(made, tmp_path, {VICTIM: 1})
    states = {name: member.session.state for name, member in run.members.items()}
    assert states[VICTIM].applied == 3
    assert states[VICTIM].finished
    digests = {name: [each.sums.sha256 for each in state.sums] for name, state in states.items()}
    assert digests[VICTIM] == digests["client-1"]
    assert (run.members[VICTIM].folder / "result.json").exists()


def test_nobody_waits_for_it(made: TestFederation, tmp_path: Path) -> None:
    run = finished(made, tmp_path, {VICTIM: 1})
    # Time passes on this clock only where the server waits for a deadline.
    assert run.time == 0


def test_a_person_hears_once_a_round_which_was_the_last(made: TestFederation, tmp_path: Path) -> None:
    run = finished(made, tmp_path, {VICTIM: 1})
    told = [each for each in warnings(run, VICTIM) if "sits this round out" in each]
    assert len(told) == 2
    assert "round 2 of 3 would exceed this client's budget" in told[0]
    assert "the last affordable round is 1" in told[0]
    assert not any("sits this round out" in each for each in warnings(run, "client-1"))


def test_too_few_that_can_go_on_end_the_run_at_once_and_are_named(
    made: TestFederation, tmp_path: Path
) -> None:
    run = WholeRun(
        made, tmp_path / "m", charges=charges_of(made, tmp_path, affords={VICTIM: 1, "client-3": 1})
    )
    with pytest.raises(RunError):
        run.run()
    error = run.core.error
    assert error is not None
    assert run.core.state.phase is ServerPhase.FAILED
    assert "2 members are left for round 2, and it needs 3" in str(error)
    assert "client-2, client-3 sit out" in str(error)
    assert run.time == 0


def test_a_budget_that_another_federation_spends_meanwhile_costs_this_round_alone(
    made: TestFederation, tmp_path: Path
) -> None:
    """The charge is refused after the advert: the member is in the cohort then, and nobody waits for its body."""
    run = WholeRun(made, tmp_path / "m", charges=charges_of(made, tmp_path, affords={VICTIM: 1}))
    budget = run.members[VICTIM].charges.budget
    assert budget is not None
    asked: list[int] = []
    whole = type(budget).require

    def late(self: DataBudget, number: int, event: SampledGaussian) -> None:
        """The ledger as it was a moment before the other federation's charge."""
        asked.append(number)
        if number != 2:
            whole(self, number, event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DataBudget, "require", late)
        run.run()
    assert 2 in asked
    assert run.core.error is None
    assert run.time == 0
    sums = run.members["client-1"].session.state.sums
    assert [VICTIM in each.survivors for each in sums] == [True, False, False]
    assert charged(run, VICTIM) == (1,)


def test_a_member_stopped_between_its_charge_and_its_update_is_charged_once(
    made: TestFederation, tmp_path: Path
) -> None:
    run = WholeRun(made, tmp_path / "m", charges=charges_of(made, tmp_path, affords={VICTIM: 2}))
    victim = run.members[VICTIM]
    budget = victim.charges.budget
    assert budget is not None
    stopped: list[str] = []

    def first_step_after_the_charge(steps: list[str]) -> bool:
        if stopped or budget.spending().rounds != (1,):
            return False
        stopped.append(steps[-1])
        return True

    victim.stop_after = first_step_after_the_charge
    run.run()
    assert run.core.error is None
    spending = budget.spending()
    assert (victim.starts, spending.trainings, spending.rounds) == (2, 2, (1, 2))
