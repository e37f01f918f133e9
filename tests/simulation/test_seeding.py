"""A seeded federation against FDLoRA's rule: the start is the plain mean, and Nesterov's steps begin after it."""

from __future__ import annotations

import numpy as np
from support.federations import learners_of, make_federation

from securefl.config.outer import NesterovSection
from securefl.config.recipes.choices import Recipe
from securefl.simulation.federation import SimulatedFederation

ROUNDS = 4
MOMENTUM = 0.5
SEEDED = Recipe(name="seeded", personal="alone", seeding="personal", sync_every=3)


def test_the_state_is_that_of_the_papers_steps_on_whole_matrices() -> None:
    made = make_federation(
        rounds=ROUNDS,
        payload="dense",
        scheme="none",
        recipe=SEEDED,
        outer=NesterovSection(name="nesterov", learning_rate=1.0, momentum=MOMENTUM),
    )
    members = {member: made.aggregation(member) for member in made.federation.cohort}
    learners = learners_of(made.federation)
    SimulatedFederation(members, learners, signing_keys=made.signing_keys).run()
    weights = np.array([min(learner.samples / 100, 1.0) for learner in learners.values()])

    for name in ("encoder.0.query", "encoder.0.value"):
        means = [
            sum(
                weight * learner.updates[number].weights[name].product()
                for weight, learner in zip(weights, learners.values(), strict=True)
            )
            / weights.sum()
            for number in range(1, ROUNDS + 1)
        ]
        shared = means[0]
        velocity = np.zeros_like(shared)
        for mean in means[1:]:
            # The paper's gradient is the old adapter less the new one, and is descended: the same sum.
            velocity = MOMENTUM * velocity + mean
            shared = shared + mean + MOMENTUM * velocity
        found = members["client-1"].state.weights[name]
        assert isinstance(found, np.ndarray)
        # What remains is the grid's rounding of four rounds.
        np.testing.assert_allclose(found, shared, atol=1e-3)
        wrong = shared + MOMENTUM * means[0]
        assert np.abs(found - wrong).max() > 0.01
