"""Rounds that begin from factors which were found and not drawn: all members from the same ones, or no sum at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from support.federations import LAYOUT, DrawnLearner, TestFederation, learners_of, make_federation

from securefl.adapters.leading import leading_pair
from securefl.adapters.update import LoraFactors
from securefl.config.payload import CorePayload, Payload, StatePayload
from securefl.errors import ModelError, ProtocolError
from securefl.simulation.federation import SimulatedFederation

PRINCIPAL: tuple[Payload, ...] = (
    StatePayload(name="state", side="left", frozen_from="principal"),
    CorePayload(name="core", heads=2, frozen_from="principal"),
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
