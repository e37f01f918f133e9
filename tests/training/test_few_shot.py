"""FDLoRA's own search of two weights: its candidates, its penalty and its bounds."""

from __future__ import annotations

import pytest

from securefl.training.few_shot import BOUND, PENALTY, few_shot_search
from securefl.training.trials import Weights

NEVERGRAD = [(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.918, 0.775), (0.28, 0.619), (0.519, 0.377)]
"""The first candidates of NGOpt of nevergrad 1.0.12 on ``bowl`` with its penalty, budget 12."""


def bowl(weights: Weights) -> float:
    return (weights[0] - 0.7) ** 2 + 2 * (weights[1] - 0.4) ** 2


def tried(loss_of, *, budget: int) -> tuple[list[Weights], object]:
    seen: list[Weights] = []

    def watched(weights: Weights) -> float:
        seen.append(weights)
        return loss_of(weights)

    return seen, few_shot_search(watched, budget=budget)


def test_candidates_are_those_of_the_papers_optimiser() -> None:
    seen, _ = tried(bowl, budget=12)
    for ours, theirs in zip(seen, NEVERGRAD, strict=False):
        assert ours == pytest.approx(theirs, abs=1e-3)


@pytest.mark.parametrize("budget", [5, 12, 40])
def test_no_more_candidates_are_measured_than_the_budget(budget: int) -> None:
    seen, found = tried(bowl, budget=budget)
    assert len(seen) == found.candidates <= budget


def test_the_minimum_is_found() -> None:
    found = few_shot_search(bowl, budget=40)
    # Each weight is a little smaller than without the penalty.
    assert found.weights == pytest.approx((0.7 - PENALTY / 4, 0.4 - PENALTY / 8), abs=1e-2)
    assert found.loss == pytest.approx(bowl(found.weights))


def test_what_is_used_is_the_best_that_was_seen_and_not_the_last() -> None:
    seen, found = tried(bowl, budget=5)
    costs = [bowl(each) + PENALTY * (abs(each[0]) + abs(each[1])) / 2 for each in seen]
    assert found.weights == seen[costs.index(min(costs))]


def test_weights_that_change_nothing_stay_at_zero() -> None:
    assert few_shot_search(lambda weights: 1.0, budget=40).weights == (0.0, 0.0)


def test_no_weight_leaves_the_bounds() -> None:
    seen, found = tried(lambda weights: -5 * weights[0] + 5 * weights[1], budget=40)
    assert max(abs(weight) for each in seen for weight in each) <= BOUND
    assert found.weights == pytest.approx((BOUND, -BOUND))
