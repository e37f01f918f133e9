"""A member's weight leaves it once, and what its sum says is held and used in every later round."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from support.attempts import whole_outcome
from support.federations import TestFederation, learners_of, make_federation

from securefl.adapters import state as state_module
from securefl.adapters.linalg import Decomposition
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.outcome import Outcome
from securefl.aggregation.weighting import weight_steps
from securefl.config.aggregation import AggregationSection
from securefl.errors import DataError, ProtocolError
from securefl.simulation.federation import SimulatedFederation

ROUNDS = 3
LIMIT = 32_767


def run(made: TestFederation) -> tuple[dict[str, MemberAggregation], dict]:
    aggregations = {member: made.aggregation(member) for member in made.federation.cohort}
    learners = learners_of(made.federation)
    SimulatedFederation(aggregations, learners, signing_keys=made.signing_keys).run()
    return aggregations, learners


@pytest.mark.parametrize("payload", ["dense", "sketch", "basis", "state", "core", "factors", "head-only"])
def test_every_member_holds_the_exact_sum_of_the_first_rounds_weights(payload: str) -> None:
    aggregations, learners = run(make_federation(payload=payload, scheme="none", rounds=ROUNDS))
    steps = sum(weight_steps(learner.samples, cap=100, limit=LIMIT) for learner in learners.values())
    for aggregation in aggregations.values():
        held = aggregation.weight_sum
        assert held is not None
        assert (held.steps, held.contributors) == (steps, 4)


def test_the_state_of_several_rounds_is_the_sum_of_the_weighted_means() -> None:
    aggregations, learners = run(make_federation(payload="dense", scheme="none", rounds=ROUNDS))
    weights = {member: learner.samples / 100 for member, learner in learners.items()}
    for name, state in aggregations["client-1"].state.weights.items():
        true = sum(
            weights[member] * learner.updates[number].weights[name].product() / sum(weights.values())
            for member, learner in learners.items()
            for number in range(1, ROUNDS + 1)
        )
        assert np.abs(state - true).max() < ROUNDS * 4 / LIMIT / sum(weights.values())


def test_a_member_whose_sample_count_changes_between_rounds_contributes_nothing_more() -> None:
    made = make_federation(payload="dense", scheme="none")
    aggregation, learner = made.aggregation("client-1"), learners_of(made.federation)["client-1"]
    update = learner.learn(1, aggregation.start(), None)
    aggregation.encode(update, round_number=1, samples=30)
    aggregation.encode(update, round_number=2, samples=30)
    with pytest.raises(DataError, match="number of samples has changed") as caught:
        aggregation.encode(update, round_number=2, samples=31)
    assert "31" not in str(caught.value)
    assert "30" not in str(caught.value)


def contributing(made: TestFederation, number: int, aggregation: MemberAggregation) -> None:
    learner = learners_of(made.federation)[aggregation.member]
    aggregation.prepare(learner, round_number=number)


@pytest.mark.parametrize("share", [Fraction(0), Fraction(-1), Fraction(1, LIMIT), Fraction(5)])
def test_a_first_sum_that_is_no_sum_of_weights_is_not_applied(share: Fraction) -> None:
    made = make_federation(payload="basis", scheme="none")
    aggregation = made.aggregation("client-1")
    contributing(made, 1, aggregation)
    sums = np.zeros(made.federation.plan.length(1), dtype=np.int64)
    sums[-1] = int(share * LIMIT)
    with pytest.raises(ProtocolError, match="none of 4 members' weights"):
        aggregation.apply(sums, whole_outcome(made.federation, 1))
    assert aggregation.state.round_number == 0
    assert aggregation.weight_sum is None


@pytest.mark.parametrize("rest", [2, 3 * LIMIT + 1])
def test_a_sum_of_weights_that_leaves_the_others_what_they_cannot_have_is_not_applied(rest: int) -> None:
    """With the own weight added, both are sums that four weights can have."""
    made = make_federation(payload="basis", scheme="none")
    aggregation = made.aggregation("client-1")
    contributing(made, 1, aggregation)
    samples = learners_of(made.federation)["client-1"].samples
    sums = np.zeros(made.federation.plan.length(1), dtype=np.int64)
    sums[-1] = weight_steps(samples, cap=100, limit=LIMIT) + rest
    assert 4 <= sums[-1] <= 4 * LIMIT
    with pytest.raises(ProtocolError, match="the sum of weights is none that 3 others can have"):
        aggregation.apply(sums, whole_outcome(made.federation, 1))
    assert aggregation.state.round_number == 0
    assert aggregation.weight_sum is None


@pytest.mark.parametrize("total", [3, 4 * LIMIT + 1])
def test_a_member_that_is_in_no_sum_of_weights_refuses_one_that_four_members_cannot_have(total: int) -> None:
    made = make_federation((2, 4, 8, 16, 16), payload="basis", scheme="none")
    sums = np.zeros(made.federation.plan.length(1), dtype=np.int64)
    sums[-1] = total
    cohort = made.federation.cohort
    with pytest.raises(ProtocolError, match="none of 4 members' weights"):
        made.aggregation("client-1").apply(sums, Outcome(1, cohort[1:], cohort[1:], bytes(32)))


NORMS = AggregationSection(weights="norm")


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("rest", [2, 3 * LIMIT + 1])
def test_a_sum_of_norms_that_leaves_the_others_what_they_cannot_have_is_not_applied(
    number: int, rest: int
) -> None:
    """In every round anew: norms weigh by what the round has made."""
    made = make_federation((4, 4, 4, 4), payload="factors", scheme="none", aggregation=NORMS)
    aggregation = made.aggregation("client-1")
    learner = learners_of(made.federation)["client-1"]
    for before in range(1, number):
        encoded = aggregation.prepare(learner, round_number=before)
        aggregation.apply(4 * encoded.integers, whole_outcome(made.federation, before))
    encoded = aggregation.prepare(learner, round_number=number)
    sums = 4 * encoded.integers
    sums[-1] = encoded.integers[-1] + rest
    assert 4 <= sums[-1] <= 4 * LIMIT
    with pytest.raises(ProtocolError, match="the sum of weights is none that 3 others can have"):
        aggregation.apply(sums, whole_outcome(made.federation, number))
    assert aggregation.state.round_number == number - 1


@pytest.mark.parametrize("payload", ["dense", "basis"])
def test_a_start_is_made_once_a_round(payload: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_federation(payload=payload, scheme="none")
    aggregation = made.aggregation("client-1")
    calls = []
    real = state_module.redistribute
    monkeypatch.setattr(state_module, "redistribute", lambda *a, **k: calls.append(a) or real(*a, **k))
    for number in (1, 2):
        for _ in range(3):
            aggregation.start()
        assert len(calls) == number * len(made.federation.layout.adapted)
        contributing(made, number, aggregation)
        sums = np.full(made.federation.plan.length(number), LIMIT, dtype=np.int64)
        aggregation.apply(sums, whole_outcome(made.federation, number))


def test_what_a_learner_writes_into_its_start_is_in_no_later_one() -> None:
    aggregation = make_federation(payload="dense", scheme="none").aggregation("client-1")
    first, second = aggregation.start(), aggregation.start()
    first.weights["encoder.0.query"].A[...] = 0.0
    first.heads["classifier.weight"][...] = 1.0
    third = aggregation.start()
    for name, pair in second.weights.items():
        np.testing.assert_array_equal(third.weights[name].A, pair.A)
    assert not third.heads["classifier.weight"].any()


def test_a_members_state_keeps_no_more_directions_than_the_plan_says() -> None:
    made = make_federation(ranks=(1, 1, 1), payload="sketch", sketch_rank=2, scheme="none", rounds=6)
    assert made.federation.plan.kept_rank == 8
    aggregations, _ = run(made)
    for weight in aggregations["client-1"].state.weights.values():
        assert isinstance(weight, Decomposition)
        assert weight.rank == 8
