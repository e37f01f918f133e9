"""Bounds of one-run audits: the values of their papers' code, their caps, and never more than the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from securefl.errors import ConfigError
from securefl.privacy.one_run import (
    SIGNIFICANCE,
    Guesses,
    advantage_bound,
    epsilon_bound,
    epsilon_of,
    gaussian_bound,
)

DELTA = 1e-6
SIDE = 10_000


def corners(shift: float) -> list[tuple[int, int]]:
    """True and false positives of evenly spread normal scores, at the thresholds of their convex ROC curve."""
    evenly = stats.norm.ppf((np.arange(SIDE) + 0.5) / SIDE)
    cuts = np.unique(np.concatenate([evenly, evenly + shift]))
    below = [np.append(np.searchsorted(side, cuts, side="left"), SIDE) for side in (evenly + shift, evenly)]
    hull: list[tuple[int, int]] = []
    for point in zip(*(counts.tolist() for counts in below), strict=True):
        while len(hull) > 1 and _turn(hull[-2], hull[-1], point) <= 0:
            hull.pop()
        hull.append(point)
    return [(SIDE - missed, SIDE - spared) for missed, spared in hull]


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return (b[1] - a[1]) * (c[0] - b[0]) - (c[1] - b[1]) * (b[0] - a[0])


def best(shift: float, bound: object) -> float:
    """Best bound of "in above a threshold", with the significance shared between all thresholds."""
    points = corners(shift)
    significance = SIGNIFICANCE / len(points)

    def at(place: int) -> float:
        right, wrong = points[place]
        if right + wrong == 0:
            return 0.0
        guesses = Guesses(canaries=2 * SIDE, made=right + wrong, right=right)
        if bound is epsilon_bound:
            return epsilon_bound(guesses, delta=DELTA, significance=significance)
        return epsilon_of(gaussian_bound(guesses, significance=significance), delta=DELTA)

    stride = max(1, len(points) // 40)
    rough = max(range(0, len(points), stride), key=at)
    near = range(max(0, rough - stride), min(len(points), rough + stride + 1))
    return max(map(at, near))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shift", "steinke", "gaussian"),
    [(1.0, 1.13346, 2.164749), (2.0, 2.311945, 4.7218075), (4.0, 4.395568, 9.133752)],
)
def test_the_known_values_of_both_methods_are_found(shift: float, steinke: float, gaussian: float) -> None:
    assert best(shift, epsilon_bound) == pytest.approx(steinke, rel=1e-4)
    assert best(shift, gaussian_bound) == pytest.approx(gaussian, rel=1e-4)


@pytest.mark.parametrize(("guesses", "cap"), [(100, 3.49), (1000, 5.81)])
def test_guesses_that_are_all_right_prove_no_more_than_their_number_can(guesses: int, cap: float) -> None:
    proved = epsilon_bound(Guesses(canaries=guesses, made=guesses, right=guesses), delta=0.0)
    q = SIGNIFICANCE ** (1 / guesses)
    assert proved == pytest.approx(math.log(q / (1 - q)), rel=1e-6)
    assert proved == pytest.approx(cap, abs=0.01)


def test_guesses_at_chance_prove_nothing() -> None:
    chance = Guesses(canaries=1000, made=1000, right=500)
    assert epsilon_bound(chance, delta=1e-5) == 0
    assert gaussian_bound(chance) == 0


def test_a_larger_delta_proves_less() -> None:
    guesses = Guesses(canaries=1000, made=200, right=190)
    proved = [epsilon_bound(guesses, delta=delta) for delta in (0.0, 1e-5, 1e-3)]
    assert proved[0] >= proved[1] > proved[2]


@pytest.mark.parametrize(
    ("mu", "delta", "epsilon"), [(1.0, 1e-6, 4.8866), (2.0, 1e-6, 10.9972), (0.5, 1e-5, 1.9931)]
)
def test_the_epsilon_of_a_gaussian_is_exact(mu: float, delta: float, epsilon: float) -> None:
    found = epsilon_of(mu, delta=delta)
    assert found == pytest.approx(epsilon, abs=0.02)
    back = stats.norm.cdf(mu / 2 - found / mu) - math.exp(found) * stats.norm.cdf(-mu / 2 - found / mu)
    assert back == pytest.approx(delta, rel=1e-6)


def drawn(
    mu: float, rng: np.random.Generator, canaries: int = 2000
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    included = rng.random(canaries) < 0.5
    return rng.standard_normal(canaries) + mu * included, included


def test_no_bound_is_above_the_truth_and_all_see_a_shift() -> None:
    rng = np.random.default_rng(3)
    for mu in (0.5, 1.0, 2.0):
        scores, included = drawn(mu, rng)
        guesses = Guesses.of(scores=scores, included=included, guesses=200)
        truth = epsilon_of(mu, delta=1e-5)
        assert 0 < epsilon_bound(guesses, delta=1e-5) < truth
        assert 0 < gaussian_bound(guesses) < mu
        distance = 2 * stats.norm.cdf(mu / 2) - 1
        assert 0 < advantage_bound(scores, included, significance=SIGNIFICANCE) < distance


def test_bounds_of_scores_without_a_shift_are_rarely_above_nothing() -> None:
    rng = np.random.default_rng(4)
    proved = []
    for _ in range(40):
        scores, included = drawn(0.0, rng, canaries=400)
        guesses = Guesses.of(scores=scores, included=included, guesses=100)
        proved.append((epsilon_bound(guesses, delta=1e-5) > 0, gaussian_bound(guesses) > 0))
        assert advantage_bound(scores, included, significance=1e-6) == 0
    # Each is above 0 with a chance of 5 %; seven of forty have one of 0.2 %.
    assert max(sum(column) for column in zip(*proved, strict=True)) < 7


def test_the_highest_are_guessed_in_and_the_lowest_out() -> None:
    scores, included = [5.0, 4.0, 3.0, 2.0, 1.0, 0.0], [True, False, True, True, False, True]
    assert Guesses.of(scores=scores, included=included, guesses=4) == Guesses(canaries=6, made=4, right=2)


@pytest.mark.parametrize(("made", "right"), [(0, 0), (5, 6), (11, 1), (4, -1)])
def test_guesses_that_cannot_be_are_refused(made: int, right: int) -> None:
    with pytest.raises(ConfigError, match="guesses right"):
        Guesses(canaries=10, made=made, right=right)
