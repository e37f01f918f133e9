"""Rounds that begin from factors which were found and not drawn: all members from the same ones, or no sum at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from support.federations import LAYOUT, DrawnLearner, TestFederation, learners_of, make_federation

from securefl.adapters.leading import leading_pair
from securefl.adapters.update import Adapter, LoraFactors, Matrix
from securefl.aggregation.gradient_opening import GradientOpening
from securefl.aggregation.outcome import Outcome
from securefl.config.payload import CorePayload, Payload, StatePayload
from securefl.errors import ModelError, ProtocolError
from securefl.protocol.openings import Opening
from securefl.simulation.federation import SimulatedFederation

PRINCIPAL: tuple[Payload, ...] = (
    StatePayload(name="state", side="left", frozen_from="principal"),
    CorePayload(name="core", heads=2, frozen_from="principal"),
)


GRADIENT: tuple[Payload, ...] = (
    StatePayload(name="state", side="left", frozen_from="gradient"),
    CorePayload(name="core", heads=2, frozen_from="gradient"),
)


@dataclass
class WithModel(DrawnLearner):
    """A learner with a base model: weights that its seed draws."""

    model: int = 1

    def principal_directions(self, rank: int) -> dict[str, LoraFactors]:
        rng = np.random.default_rng(self.model)
        return {
            tensor.name: leading_pair(rng.normal(size=(tensor.rows, tensor.columns)), rank=rank)
            for tensor in LAYOUT.adapted
        }


def with_models(made: TestFederation, **models: int) -> dict[str, DrawnLearner]:
    return {
        name.replace("_", "-"): WithModel(
            each.member, each.rank, samples=each.samples, model=models.get(name, 1)
        )
        for name, each in (
            (name.replace("-", "_"), each) for name, each in learners_of(made.federation).items()
        )
    }


def run(made: TestFederation, learners: dict[str, DrawnLearner]) -> SimulatedFederation:
    members = {name: made.aggregation(name) for name in made.federation.cohort}
    simulated = SimulatedFederation(members, learners, signing_keys=made.signing_keys)
    simulated.run()
    return simulated


@pytest.mark.parametrize("payload", PRINCIPAL, ids=["state", "core"])
def test_every_member_trains_against_the_singular_vectors_of_its_model(payload: Payload) -> None:
    made = make_federation((2, 4, 4, 4), payload=payload, scheme="kahe")
    learners = with_models(made)
    simulated = run(made, learners)
    wanted = WithModel("any", 4).principal_directions(made.federation.plan.frozen_rank)
    for member in simulated._members.values():
        for name, pair in member.state.learned.items():
            np.testing.assert_array_equal(pair.A, wanted[name].A)
    assert set(simulated.traffic) == {1, 2}


def test_a_member_with_other_vectors_sums_with_nobody() -> None:
    made = make_federation((4, 4, 4, 4), payload=PRINCIPAL[0], scheme="kahe")
    with pytest.raises(ProtocolError, match=r"stands? at (one|another) state"):
        run(made, with_models(made, client_2=5))


def test_a_learner_without_a_base_model_is_refused_by_name() -> None:
    made = make_federation((4, 4, 4, 4), payload=PRINCIPAL[0], scheme="kahe")
    with pytest.raises(ModelError, match=r"singular vectors of the base model.*frozen_from = \"seed\""):
        run(made, dict(learners_of(made.federation)))


@dataclass
class WithGradient(DrawnLearner):
    """A learner whose gradient leads in directions that all members have, but for some noise of its own."""

    asked: int = 0
    louder: float = 1.0

    def first_gradient(self, start: Adapter) -> dict[str, Matrix]:
        self.asked += 1
        assert not any(pair.B.any() for pair in start.weights.values())
        own = np.random.default_rng(self.samples)
        return {
            name: self.louder * (common + 0.01 * own.normal(size=common.shape))
            for name, common in leading().items()
        }


def leading() -> dict[str, Matrix]:
    """One direction of each weight."""
    rng = np.random.default_rng(1)
    return {
        tensor.name: np.outer(rng.normal(size=tensor.rows), rng.normal(size=tensor.columns))
        for tensor in LAYOUT.adapted
    }


def with_gradients(made: TestFederation, *, louder: float = 1.0) -> dict[str, WithGradient]:
    return {
        name: WithGradient(name, each.rank, samples=each.samples, louder=louder)
        for name, each in learners_of(made.federation).items()
    }


@pytest.mark.parametrize("payload", GRADIENT, ids=["state", "core"])
@pytest.mark.parametrize("scheme", ["kahe", "none"])
def test_rounds_begin_from_the_directions_of_the_summed_gradient(payload: Payload, scheme: str) -> None:
    made = make_federation((2, 2, 2, 2), payload=payload, scheme=scheme)
    assert made.federation.openings == (Opening.GRADIENT,)
    learners = with_gradients(made)
    simulated = run(made, dict(learners))
    assert set(simulated.traffic) == {0, 1, 2}
    assert {learner.asked for learner in learners.values()} == {1}
    for member in simulated._members.values():
        for name, pair in member.state.learned.items():
            wanted = leading()[name][0]
            assert abs(pair.A[0] @ wanted) == pytest.approx(np.linalg.norm(wanted), rel=1e-2)


def test_a_louder_gradient_counts_no_more() -> None:
    made = make_federation((2, 2, 2, 2), payload=GRADIENT[0], scheme="none")
    plain, loud = (
        next(iter(run(made, dict(with_gradients(made, louder=louder)))._members.values())).state
        for louder in (1.0, 8.0)
    )
    for name, pair in plain.learned.items():
        np.testing.assert_array_equal(pair.A, loud.learned[name].A)


def test_weights_are_still_summed_in_round_1_behind_a_sum_of_gradients() -> None:
    made = make_federation((2, 2, 2, 2), payload=GRADIENT[0], scheme="none")
    assert made.federation.kind_of(0).weights == 0
    assert made.federation.kind_of(1).weights == 1
    assert made.federation.kind_of(2).weights == 0


def test_a_learner_without_a_gradient_is_refused_by_name() -> None:
    made = make_federation((2, 2, 2, 2), payload=GRADIENT[0], scheme="kahe")
    with pytest.raises(ModelError, match=r"begins from a summed gradient.*frozen_from = \"seed\""):
        run(made, dict(learners_of(made.federation)))


def test_sums_that_leave_the_others_more_than_they_can_have_are_refused() -> None:
    made = make_federation((2, 2, 2, 2), payload=GRADIENT[0], scheme="none")
    opening = GradientOpening(made.federation, "client-1")
    learner = with_gradients(made)["client-1"]
    start = made.aggregation("client-1").start()
    own = opening.answer(learner, start).integers
    limit = (1 << (made.federation.terms.grid.precision_bits - 1)) - 1
    lie = own.copy()
    lie[0] += 3 * limit + 1
    with pytest.raises(ProtocolError, match="the sum of gradients is none that 3 others can have"):
        opening.take(lie, survivors=made.federation.cohort)
    resumed = GradientOpening(made.federation, "client-1")
    resumed.resume(own)
    with pytest.raises(ProtocolError, match="the sum of gradients"):
        resumed.take(lie, survivors=made.federation.cohort)
    found = resumed.take(4 * own, survivors=made.federation.cohort)
    assert set(found) == {tensor.name for tensor in LAYOUT.adapted}


@pytest.mark.parametrize(
    "payload", [*PRINCIPAL, *GRADIENT], ids=lambda payload: f"{payload.name}-{payload.frozen_from}"
)
def test_a_member_that_is_started_again_stands_at_the_same_state(payload: Payload) -> None:
    made = make_federation((2, 2, 2, 2), payload=payload, scheme="none")
    learners = with_models(made) if payload in PRINCIPAL else dict(with_gradients(made))
    simulated = run(made, learners)
    again = made.aggregation("client-1")
    again.follow(learners["client-1"])
    for number in sorted(simulated.traffic):
        traffic = simulated.traffic[number]
        assert traffic.head is not None
        again.replay(traffic.sums["client-1"], Outcome.of(traffic.head))
    assert again.state_digest == simulated._members["client-1"].state_digest
