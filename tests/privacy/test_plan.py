"""Plans keep their targets after all rounding, and say what noise leaves of the signal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from typing import Any

import pytest

from securefl.errors import BudgetError, CapacityError, ConfigError
from securefl.privacy.accounting.accountants import accountant_named
from securefl.privacy.accounting.rdp import RdpAccountant
from securefl.privacy.budget import Budget, events_of, unit_of
from securefl.privacy.events import Event, NonPrivate, SampledGaussian
from securefl.privacy.least_noise import fit_grid, plan_clients, plan_examples
from securefl.privacy.mechanism import ClientMechanism
from securefl.privacy.plan import PrivacyPlan, predicted_cosine
from securefl.privacy.sampled_training import SampledTraining

EXAMPLES: dict[str, Any] = {
    "target_epsilon": 8.0,
    "delta": 1e-5,
    "accountant": "rdp",
    "clip": 1.0,
    "clipping": "flat",
    "rows": 1000,
    "batch_size": 50,
    "steps": 20,
    "rounds": 5,
}
CLIENTS: dict[str, Any] = {
    "target_epsilon": 8.0,
    "delta": 1e-5,
    "accountant": "rdp",
    "clip": 1.0,
    "noise": "discrete-gaussian",
    "dimension": 1500,
    "honest": 14,
    "limit": 32767,
    "rounds": 10,
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"target_epsilon": 1.0},
        {"rounds": 1, "target_epsilon": 20.0},
        {"noise": "skellam"},
        {"accountant": "pld"},
        {"dimension": 147_000},
        {"limit": 2047},
        {"dimension": 1, "honest": 1},
    ],
)
def test_a_client_plan_keeps_its_target_with_the_noise_it_states(change: dict) -> None:
    plan = plan_clients(**{**CLIENTS, **change})
    release = plan.release
    assert isinstance(release, ClientMechanism)
    assert 0.9 * plan.target_epsilon < plan.epsilon <= plan.target_epsilon
    assert release.largest_integer <= {**CLIENTS, **change}["limit"]
    independent = accountant_named(plan.accountant).epsilon([release.event] * plan.rounds, delta=plan.delta)
    assert independent == plan.epsilon


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"target_epsilon": 1.0},
        pytest.param({"accountant": "pld", "rounds": 2}, marks=pytest.mark.slow),
    ],
)
def test_an_example_plan_keeps_its_target(change: dict) -> None:
    plan = plan_examples(**{**EXAMPLES, **change})
    assert 0.99 * plan.target_epsilon < plan.epsilon <= plan.target_epsilon
    event = plan.event
    assert isinstance(event, SampledGaussian)
    assert (event.sampling_probability, event.steps) == (0.05, 20)


def test_known_settings_have_their_known_noise_and_cosine() -> None:
    # privacy.md: z near 2 is epsilon 8 over 10 rounds, and a cosine of 0.2 for 16 clients at 1,500 values.
    plan = plan_clients(**CLIENTS)
    assert plan.noise_multiplier == pytest.approx(2.0, rel=0.03)
    assert plan.cosine(16) == pytest.approx(0.20, abs=0.02)


def test_the_predicted_cosine_is_its_formula() -> None:
    assert predicted_cosine(contributors=16, multiplier=2.0, dimension=1500) == pytest.approx(
        16 / (256 + 4 * 1500) ** 0.5
    )


def test_noise_that_drowns_the_signal_is_refused_unless_forced() -> None:
    plan = plan_clients(**CLIENTS)
    with pytest.raises(ConfigError, match=r"a predicted cosine of 0.19 .* 16 clients") as caught:
        plan.require_useful(16, force=False)
    assert "1,500 values" in str(caught.value)
    plan.require_useful(16, force=True)
    plan.require_useful(500, force=False)


def test_rows_are_never_refused_for_a_cosine() -> None:
    plan = plan_examples(**EXAMPLES)
    assert plan.cosine(4) is None
    plan.require_useful(4, force=False)


def test_a_plan_says_how_many_rounds_its_target_allows() -> None:
    plan = plan_clients(**CLIENTS)
    assert plan.affordable_rounds == 10
    longer = replace(plan, rounds=11)
    with pytest.raises(ConfigError, match="the last affordable round is 10"):
        longer.require_kept()
    plan.require_kept()


def test_one_round_costs_less_than_all_and_more_than_its_share() -> None:
    plan = plan_clients(**CLIENTS)
    assert plan.epsilon / plan.rounds < plan.epsilon_of_a_round < plan.epsilon


def test_what_is_charged_cannot_be_set_apart_from_what_runs() -> None:
    plan = plan_clients(**CLIENTS)
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        plan.event = NonPrivate()  # type: ignore[misc, assignment]
    assert isinstance(plan.release, ClientMechanism)
    quieter = replace(plan, release=replace(plan.release, share_variance=plan.release.share_variance / 2))
    assert quieter.epsilon > plan.epsilon


def test_a_grid_without_room_for_the_noise_is_refused() -> None:
    with pytest.raises(CapacityError, match="integers up to 127 have no room"):
        plan_clients(**{**CLIENTS, "limit": 127})


def test_the_finest_grid_that_fits_is_taken() -> None:
    common: dict[str, Any] = {"noise": "skellam", "dimension": 1000, "clip": 2.0, "honest": 8}
    wide, narrow = (fit_grid(2.0, limit=limit, **common) for limit in (32767, 1023))
    assert narrow.clip_steps < wide.clip_steps
    assert narrow.largest_integer <= 1023
    assert wide.step < narrow.step


def test_a_delta_that_gives_a_row_away_is_refused() -> None:
    with pytest.raises(ConfigError, match="it could publish a row and keep it"):
        plan_examples(**{**EXAMPLES, "delta": 2e-3})


def test_persons_with_many_rows_cost_more_than_rows() -> None:
    release = SampledTraining(
        noise_multiplier=2.0, clip=1.0, clipping="flat", sampling_probability=0.01, steps=10
    )
    person = replace(release, group_size=4).event
    assert (person.noise_multiplier, person.sampling_probability) == (0.5, 0.04)
    rdp = accountant_named("rdp")
    assert rdp.epsilon([person], delta=1e-5) > rdp.epsilon([release.event], delta=1e-5)


def test_the_charge_of_a_person_is_never_below_the_mixture_that_its_rows_make() -> None:
    from dp_accounting.pld import privacy_loss_distribution as pld

    m, q, z = 4, 0.02, 2.0
    event = SampledTraining(
        noise_multiplier=z, clip=1.0, clipping="flat", sampling_probability=q, steps=1, group_size=m
    ).event
    chances = [math.comb(m, j) * q**j * (1 - q) ** (m - j) for j in range(m + 1)]
    mixture = pld.from_mixture_gaussian_mechanism(z, list(range(m + 1)), chances)
    for delta in (1e-3, 1e-5):
        charged = accountant_named("pld").epsilon([event], delta=delta)
        assert charged >= mixture.get_epsilon_for_delta(delta) * 0.999


@pytest.mark.parametrize(
    "change", [{"rounds": 0}, {"target_epsilon": 0.0}, {"target_epsilon": float("inf")}, {"delta": 0.0}]
)
def test_a_plan_that_promises_nothing_is_refused(change: dict) -> None:
    with pytest.raises(ConfigError, match="a plan of"):
        replace(plan_clients(**CLIENTS), **change)


BUDGET = Budget(unit="client", epsilon=8.0, delta=1e-5, accountant="rdp")


def test_a_round_beyond_the_budget_is_refused_with_the_last_affordable_one() -> None:
    plan = plan_clients(**CLIENTS)
    for number in range(1, 11):
        BUDGET.require([plan.event] * (number - 1), plan.event, round_number=number, rounds=20)
    with pytest.raises(BudgetError, match="the last affordable round is 10") as caught:
        BUDGET.require([plan.event] * 10, plan.event, round_number=11, rounds=20)
    assert "round 11 of 20" in str(caught.value)
    assert caught.value.code == "budget"


def test_what_another_federation_spent_on_the_data_counts() -> None:
    event = plan_clients(**CLIENTS).event
    assert BUDGET.affordable([event] * 4, event, most=50) == 6
    assert BUDGET.affordable([event] * 10, event, most=50) == 0
    with pytest.raises(BudgetError, match="it allows no round"):
        BUDGET.require([event] * 10, event, round_number=1, rounds=3)


def test_units_are_charged_apart() -> None:
    event = plan_clients(**CLIENTS).event
    rows = SampledGaussian(noise_multiplier=0.1, sampling_probability=1.0, steps=100)
    assert BUDGET.spent([event, rows]) == BUDGET.spent([event])
    assert replace(BUDGET, unit="example").spent([event]) == 0
    assert unit_of(rows) == "example"


@pytest.mark.parametrize("unit", ["client", "example"])
def test_a_release_without_noise_ends_every_budget(unit: Any) -> None:
    budget = replace(BUDGET, unit=unit)
    assert budget.spent([NonPrivate()]) == float("inf")
    with pytest.raises(BudgetError):
        budget.require([], NonPrivate(), round_number=1, rounds=1)


def test_a_budget_of_mixed_noise_is_computed_by_the_accountant_that_knows_all_of_it() -> None:
    gaussian = plan_clients(**CLIENTS).event
    skellam = plan_clients(**{**CLIENTS, "noise": "skellam"}).event
    tight = replace(BUDGET, accountant="pld")
    assert tight.spent([gaussian, skellam]) == BUDGET.spent([gaussian, skellam])
    assert tight.spent([gaussian]) < BUDGET.spent([gaussian])


def test_epsilon_follows_from_the_texts_of_a_ledger_alone() -> None:
    plan = plan_clients(**CLIENTS)
    assert BUDGET.spent(events_of([plan.event.text] * 10)) == plan.epsilon


def test_mechanisms_with_shares_sized_for_all_members_break_the_target() -> None:
    plan = plan_clients(**CLIENTS)
    assert isinstance(plan.release, ClientMechanism)
    # Shares as if all 16 and not 14 members were honest, charged for the 14 that are.
    thin = replace(plan.release, share_variance=plan.release.share_variance * Fraction(14, 16))
    assert (
        PrivacyPlan(release=thin, rounds=10, delta=1e-5, target_epsilon=8.0, accountant="rdp").epsilon > 8.0
    )


def test_the_same_question_is_computed_once_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Event, ...]] = []
    compute = RdpAccountant._epsilon

    def counted(self: RdpAccountant, events: Mapping[Event, int], delta: float) -> float:
        asked.append(tuple(Counter(events).elements()))
        return compute(self, events, delta)

    monkeypatch.setattr(RdpAccountant, "_epsilon", counted)
    first, second = (plan_examples(**EXAMPLES) for _ in range(2))
    assert first.epsilon == second.epsilon
    assert first.affordable_rounds == second.affordable_rounds
    assert len(asked) == len(set(asked))
    monkeypatch.setattr(
        RdpAccountant, "_epsilon", lambda self, events, delta: 2 * compute(self, events, delta)
    )
    assert first.epsilon == 2 * compute(RdpAccountant(), {first.event: 5}, first.delta)
