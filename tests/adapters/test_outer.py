"""Outer steps are those of the published formulas, whatever form a mean comes in."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from securefl.adapters.frozen.basis import Side
from securefl.adapters.layout import Layout
from securefl.adapters.outer import CarriedNoise, OuterStep, outer_of
from securefl.adapters.state import GlobalState
from securefl.adapters.update import Factors, Matrix, MeanUpdate
from securefl.config.outer import AdamSection, NesterovSection, Outer, SgdSection
from securefl.errors import ConfigError

ROUNDS = 6
NESTEROV = NesterovSection(name="nesterov", learning_rate=0.7, momentum=0.6)
ADAM = AdamSection(name="adam", learning_rate=0.1, beta1=0.8, beta2=0.95, epsilon=1e-2)
SECTIONS: dict[str, Outer] = {
    "sgd": SgdSection(name="sgd", learning_rate=0.3),
    "nesterov": NESTEROV,
    "adam": ADAM,
}


def reference(section: Outer, means: list[Matrix]) -> list[Matrix]:
    """Steps on one whole matrix, as the formulas are printed."""
    steps = []
    m = v = np.zeros_like(means[0])
    second = np.full_like(means[0], ADAM.epsilon**2)
    for d in means:
        if section.name == "sgd":
            steps.append(0.3 * d)
        elif section.name == "nesterov":
            v = 0.6 * v + d
            steps.append(0.7 * (d + 0.6 * v))
        else:
            m = 0.8 * m + 0.2 * d
            second = 0.95 * second + 0.05 * d**2
            steps.append(0.1 * m / (np.sqrt(second) + 1e-2))
    return steps


def whole(value: Matrix | Factors) -> Matrix:
    return value.product() if isinstance(value, Factors) else value


def taken(outer: OuterStep, means: list[MeanUpdate], **how: object) -> list[MeanUpdate]:
    steps = []
    for mean in means:
        step, outer = outer.step(mean, **how)
        steps.append(step)
    return steps


def means_of(make: Callable[[np.random.Generator], Matrix | Factors]) -> list[MeanUpdate]:
    rng = np.random.default_rng(3)
    return [
        MeanUpdate(weights={"w": make(rng)}, heads={"h": rng.normal(size=(4, 2))}, noise_std=1e-4)
        for _ in range(ROUNDS)
    ]


def matrix(rng: np.random.Generator) -> Matrix:
    return rng.normal(0, 0.1, (7, 5))


def factors(rng: np.random.Generator) -> Factors:
    return Factors(rng.normal(size=(12, 2)), rng.normal(size=(2, 9)))


@pytest.mark.parametrize("name", SECTIONS)
def test_steps_of_whole_matrices_and_heads_are_the_formulas(name: str) -> None:
    means = means_of(matrix)
    steps = taken(outer_of(SECTIONS[name], kept_rank=None), means)
    for found, wanted in zip(
        steps, reference(SECTIONS[name], [whole(mean.weights["w"]) for mean in means]), strict=True
    ):
        np.testing.assert_allclose(found.weights["w"], wanted, rtol=1e-12)
    for found, wanted in zip(
        steps, reference(SECTIONS[name], [mean.heads["h"] for mean in means]), strict=True
    ):
        np.testing.assert_allclose(found.heads["h"], wanted, rtol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "nesterov"])
def test_steps_of_products_are_those_of_the_multiplied_out_matrices(name: str) -> None:
    means = means_of(factors)
    steps = taken(outer_of(SECTIONS[name], kept_rank=None), means)
    for found, wanted in zip(
        steps, reference(SECTIONS[name], [whole(mean.weights["w"]) for mean in means]), strict=True
    ):
        assert isinstance(found.weights["w"], Factors)
        np.testing.assert_allclose(whole(found.weights["w"]), wanted, atol=1e-12)


def test_the_momentum_of_a_product_keeps_no_more_directions_than_it_may() -> None:
    steps = taken(outer_of(NESTEROV, kept_rank=4), means_of(factors))
    # The round's own two, and those of the momentum.
    assert [step.weights["w"].left.shape[1] for step in steps] == [4, 6, 6, 6, 6, 6]


def test_a_momentum_that_is_cut_is_off_by_no_more_than_what_was_cut() -> None:
    means = means_of(factors)
    exact = reference(NESTEROV, [whole(mean.weights["w"]) for mean in means])
    cut = taken(outer_of(NESTEROV, kept_rank=8), means)
    # Four rounds of rank 2 fit whole.
    for found, wanted in zip(cut[:4], exact[:4], strict=True):
        np.testing.assert_allclose(whole(found.weights["w"]), wanted, atol=1e-12)
    for found, wanted in zip(cut[4:], exact[4:], strict=True):
        assert np.linalg.norm(whole(found.weights["w"]) - wanted) < np.linalg.norm(wanted)


@pytest.mark.parametrize("name", SECTIONS)
def test_each_side_of_a_learned_adapter_has_a_momentum_of_its_own(name: str) -> None:
    rng = np.random.default_rng(5)
    frozen = {Side.LEFT: rng.normal(size=(3, 9)), Side.RIGHT: rng.normal(size=(12, 3))}
    trained = {side: [] for side in Side}
    found = {side: [] for side in Side}
    outer = outer_of(SECTIONS[name], kept_rank=None)
    for number in range(ROUNDS):
        side = Side.LEFT if number % 2 == 0 else Side.RIGHT
        fresh = rng.normal(size=(12, 3) if side is Side.LEFT else (3, 9))
        pair = Factors(fresh, frozen[side]) if side is Side.LEFT else Factors(frozen[side], fresh)
        step, outer = outer.step(MeanUpdate(weights={"w": pair}, heads={}), learned=side)
        moved, still = (step.weights["w"].left, step.weights["w"].right)
        if side is Side.RIGHT:
            moved, still = still, moved
        assert np.array_equal(still, frozen[side])
        trained[side].append(fresh)
        found[side].append(moved)
    for side in Side:
        np.testing.assert_allclose(found[side], reference(SECTIONS[name], trained[side]), rtol=1e-12)


def test_plain_averaging_leaves_the_mean_as_it_is() -> None:
    mean = means_of(factors)[0]
    step, _ = outer_of(SgdSection(name="sgd"), kept_rank=None).step(mean)
    assert step is mean


@pytest.mark.parametrize("name", SECTIONS)
def test_a_step_leaves_the_mean_and_the_rule_before_it_as_they_were(name: str) -> None:
    mean = means_of(matrix)[0]
    kept = mean.weights["w"].copy(), mean.heads["h"].copy()
    outer = outer_of(SECTIONS[name], kept_rank=None)
    first, after = outer.step(mean)
    after.step(mean)
    again, _ = outer.step(mean)
    np.testing.assert_array_equal(first.weights["w"], again.weights["w"])
    assert np.array_equal(mean.weights["w"], kept[0])
    assert np.array_equal(mean.heads["h"], kept[1])


def test_adam_on_a_product_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs coordinates"):
        outer_of(ADAM, kept_rank=None).step(means_of(factors)[0])


def states_noise(section: Outer, layout: Layout, stds: list[float]) -> float:
    state, outer = GlobalState.start(layout, seed=1), outer_of(section, kept_rank=None)
    for std in stds:
        step, outer = outer.step(
            MeanUpdate(
                weights={tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in layout.adapted},
                heads={tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in layout.heads},
                noise_std=std,
            )
        )
        state = state.advanced(step)
    return state.noise_std


@pytest.mark.parametrize("name", ["sgd", "nesterov"])
def test_the_states_noise_is_that_of_all_means_as_they_entered_it(layout: Layout, name: str) -> None:
    stds = [1e-4, 3e-4, 2e-4, 5e-4]
    # What a mean of 1 in one round, and of 0 in all others, has moved the state by in the end.
    weights = [
        sum(
            float(step[0, 0])
            for step in reference(SECTIONS[name], [np.full((1, 1), float(i == j)) for j in range(4)])
        )
        for i in range(4)
    ]
    wanted = math.hypot(*(weight * std for weight, std in zip(weights, stds, strict=True)))
    assert states_noise(SECTIONS[name], layout, stds) == pytest.approx(wanted)


def test_under_adam_the_states_noise_is_at_least_what_small_means_leave_and_not_much_more(
    layout: Layout,
) -> None:
    rng = np.random.default_rng(2)
    std = ADAM.epsilon / 100
    means = [rng.normal(0, std, (300, 100)) for _ in range(8)]
    left = float(np.std(sum(reference(ADAM, means))))
    said = states_noise(ADAM, layout, [std] * 8)
    assert left <= said < 3 * left


def test_a_side_that_rests_adds_no_noise() -> None:
    noise = CarriedNoise(gain=2.0, ratio=0.5, lead=2)
    alone = [noise.after(1.0, Side.LEFT)[0]]
    _, both = noise.after(1.0, Side.RIGHT)
    assert both.after(1.0, Side.LEFT)[0] == alone[0]


def test_a_seeding_mean_is_taken_as_it_is_and_no_momentum_remembers_it() -> None:
    means = means_of(factors)
    plain, seeded = (outer_of(NESTEROV, kept_rank=None, seeded=seeds) for seeds in (False, True))
    start, seeded = seeded.step(means[0])
    assert start is means[0]
    for found, wanted in zip(taken(seeded, means[1:]), taken(plain, means[1:]), strict=True):
        np.testing.assert_array_equal(whole(found.weights["w"]), whole(wanted.weights["w"]))
