"""Row 12 of the attacks under unit ``client``: was a whole member's update in the sum? Under the plan it is at chance.

The attacker is given more than anybody has: the sum of a round, the updates of all other members, the rotation, and the
canary's update, which fills the clip. All that is in its way are the shares of the honest members, as few as the plan
counts on. That a member is absent means an update of nothing, as the promise says.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from support.federations import make_federation

pytest.importorskip("dp_accounting")

from securefl.config.aggregation import AggregationSection
from securefl.config.privacy import ClientPrivacySection
from securefl.privacy.mechanism import LEAST_VARIANCE, ClientMechanism
from securefl.protocol.client_noise import client_plan

TRIALS, ROUNDS = 400, 10
ROTATION = bytes(range(32))


@pytest.fixture(scope="module", params=["discrete-gaussian", "skellam"])
def mechanism(request: pytest.FixtureRequest) -> ClientMechanism:
    """What members run under a promise of epsilon 1 in ten rounds."""
    promise = ClientPrivacySection(
        unit="client", target_epsilon=1, accountant="rdp", mechanism=request.param, force=True
    )
    made = make_federation(
        (4,) * 4,
        payload="head-only",
        scheme="kahe",
        rounds=ROUNDS,
        aggregation=AggregationSection(weights="equal"),
        promise=promise,
    )
    plan = client_plan(made.federation)
    assert plan is not None
    assert isinstance(plan.release, ClientMechanism)
    return plan.release


def canary_of(mechanism: ClientMechanism) -> np.ndarray:
    """An update as long as the clip, in all coordinates."""
    drawn = np.random.default_rng(3).normal(size=mechanism.dimension)
    return mechanism.clip * drawn / np.linalg.norm(drawn)


def scores(mechanism: ClientMechanism, *, canary: bool) -> np.ndarray:
    """The attacker's score of every trial: the part of the sum that points along the canary."""
    own, nothing = canary_of(mechanism), np.zeros(mechanism.dimension)
    # The other honest members' updates are known and taken off; their noise is not.
    updates = [own if canary else nothing] + [nothing] * (mechanism.honest - 1)
    found = np.zeros(TRIALS)
    for trial in range(TRIALS):
        total = sum(mechanism.encode(update, rotation_seed=ROTATION) for update in updates)
        found[trial] = mechanism.decode(total, rotation_seed=ROTATION) @ own
    return found


def advantage(mechanism: ClientMechanism) -> float:
    """Largest difference of the rates of "it was there" over all thresholds, both ways."""
    present, absent = (scores(mechanism, canary=there) for there in (True, False))
    cuts = np.sort(np.concatenate([present, absent]))
    return max(abs(float((present > cut).mean() - (absent > cut).mean())) for cut in cuts)


def test_a_thousandth_of_the_planned_variance_shows_the_member(mechanism: ClientMechanism) -> None:
    """The attack is strong enough to see broken noise."""
    less = max(LEAST_VARIANCE, mechanism.share_variance / 1000)
    assert less < mechanism.share_variance / 100
    assert advantage(replace(mechanism, share_variance=Fraction(less))) > 0.5


def test_under_the_plan_a_whole_member_is_at_chance(mechanism: ClientMechanism) -> None:
    # Two samples of 400 without any difference are further apart in one run of 10^9, and one round of ten at epsilon 1
    # moves them by 0.03.
    assert advantage(mechanism) < 3.3 * math.sqrt(2 / TRIALS)
