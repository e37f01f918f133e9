"""Scales of two heads: the objective's gradient is right, the fit only gains, and a closed class stays closed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.training.scales import (
    CLOSED_BIAS,
    CLOSED_FROM,
    PENALTY,
    Head,
    HeadPair,
    HeadScales,
    Objective,
    log_label_shares,
)

ROWS, CLASSES, WIDTH = 40, 5, 7
SEEDS = st.integers(0, 2**31)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def pair_of(rng: np.random.Generator, *, loudness: float = 1.0) -> HeadPair:
    shared, own = (
        Head(loudness * rng.normal(size=(CLASSES, WIDTH)), rng.normal(size=CLASSES)) for _ in range(2)
    )
    return HeadPair(shared, own, log_label_shares(rng.integers(0, 30, size=CLASSES)))


def rows_of(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(ROWS, WIDTH)), rng.integers(0, CLASSES, size=ROWS)


def cross_entropy(head: Head, features: np.ndarray, classes: np.ndarray) -> float:
    """Row by row, as the formula reads."""
    losses = []
    for row, number in zip(features, classes, strict=True):
        z = [float(row @ head.weight[c] + head.bias[c]) for c in range(len(head.bias))]
        losses.append(np.logaddexp.reduce(z) - z[number])
    return float(np.mean(losses))


def penalised(pair: HeadPair, scales: HeadScales, start: tuple[float, float], rows: tuple) -> float:
    change = (scales.h_global - start[0]) ** 2 + (scales.h_personal - start[1]) ** 2 + scales.tau**2
    return cross_entropy(pair.scaled(scales), *rows) + 0.5 / len(rows[1]) * change


@given(seed=SEEDS, loudness=st.sampled_from([0.1, 1.0, 30.0]))
@settings(max_examples=40, deadline=None)
def test_the_gradient_is_that_of_finite_differences(seed: int, loudness: float) -> None:
    rng = np.random.default_rng(seed)
    objective = Objective(
        parts=loudness * rng.normal(size=(3, ROWS, CLASSES)),
        classes=rng.integers(0, CLASSES, size=ROWS),
        origin=rng.normal(size=3),
    )
    at, step = rng.normal(size=3), 1e-6
    _, gradient = objective.value_and_gradient(at)
    differences = [
        (
            objective.value_and_gradient(at + step * axis)[0]
            - objective.value_and_gradient(at - step * axis)[0]
        )
        / (2 * step)
        for axis in np.eye(3)
    ]
    np.testing.assert_allclose(gradient, differences, rtol=1e-4, atol=1e-5 * loudness)


def test_the_objective_is_the_formula_of_the_scaled_head(rng: np.random.Generator) -> None:
    pair, rows = pair_of(rng), rows_of(rng)
    start, scales = (0.75, 0.5), HeadScales(0.4, 1.3, -0.6)
    objective = pair.objective(*rows, np.array([*start, 0.0]))
    value, _ = objective.value_and_gradient(np.array([0.4, 1.3, -0.6]))
    assert value == pytest.approx(penalised(pair, scales, start, rows), rel=1e-12)
    assert PENALTY == 0.5


@given(seed=SEEDS, start=st.sampled_from([(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.75, 0.5)]))
@settings(max_examples=40, deadline=None)
def test_a_fit_never_ends_above_its_start_nor_above_points_around_its_end(
    seed: int, start: tuple[float, float]
) -> None:
    rng = np.random.default_rng(seed)
    pair, rows = pair_of(rng), rows_of(rng)
    found = pair.fitted(*rows, start=start)
    end = penalised(pair, found, start, rows)
    assert end <= penalised(pair, HeadScales(*start, 0.0), start, rows) + 1e-12
    for change in 0.05 * rng.normal(size=(10, 3)):
        near = HeadScales(found.h_global + change[0], found.h_personal + change[1], found.tau + change[2])
        assert end <= penalised(pair, near, start, rows) + 1e-6


def test_label_shares_are_smoothed_logs() -> None:
    np.testing.assert_allclose(
        log_label_shares(np.array([0, 3, 6])), np.log(np.array([0.5, 3.5, 6.5]) / 10.5)
    )


def test_a_prior_that_the_heads_do_not_know_is_found(rng: np.random.Generator) -> None:
    nothing = Head(np.zeros((2, WIDTH)), np.zeros(2))
    pair = HeadPair(nothing, nothing, log_label_shares(np.array([30, 90])))
    classes = np.array([0] * 25 + [1] * 75)
    found = pair.fitted(rng.normal(size=(100, WIDTH)), classes, start=(0.5, 0.5))
    assert found.tau == pytest.approx(1.0, abs=0.05)
    assert (found.h_global, found.h_personal) == (0.5, 0.5)


@pytest.mark.parametrize("closed_in", ["shared", "own", "both"])
def test_a_class_that_one_head_has_closed_stays_closed_whatever_the_scales(
    rng: np.random.Generator, closed_in: str
) -> None:
    pair = pair_of(rng)
    for name, head in (("shared", pair.shared), ("own", pair.own)):
        if closed_in in (name, "both"):
            head.bias[2] = CLOSED_BIAS
    features, _ = rows_of(rng)
    for scales in (HeadScales(-1.0, -0.5, 3.0), HeadScales(0.0, 0.0, 0.0), HeadScales(2.0, 2.0, -1.0)):
        head = pair.scaled(scales)
        assert head.bias[2] == CLOSED_BIAS
        assert not (head.logits(features).argmax(axis=1) == 2).any()


def test_a_closed_class_moves_no_scale(rng: np.random.Generator) -> None:
    features, classes = rows_of(rng)
    classes[classes == 2] = 0
    pair = pair_of(rng)
    pair.shared.bias[2] = pair.own.bias[2] = CLOSED_BIAS
    kept = [0, 1, 3, 4]
    without = HeadPair(
        *(Head(head.weight[kept], head.bias[kept]) for head in (pair.shared, pair.own)),
        pair.log_shares[kept],
    )
    numbers = np.array([0, 1, -1, 2, 3])[classes]
    found, expected = (
        pair.fitted(features, classes, start=(0.5, 0.5)),
        without.fitted(features, numbers, start=(0.5, 0.5)),
    )
    assert found == expected


def test_rows_of_a_closed_class_have_no_part_in_the_fit(rng: np.random.Generator) -> None:
    features, classes = rows_of(rng)
    pair = pair_of(rng)
    pair.shared.bias[2] = CLOSED_BIAS
    others = classes != 2
    assert 0 < others.sum() < ROWS
    assert pair.fitted(features, classes, start=(1.0, 0.5)) == pair.fitted(
        features[others], classes[others], start=(1.0, 0.5)
    )


def test_rows_of_closed_classes_alone_leave_the_start(rng: np.random.Generator) -> None:
    pair = pair_of(rng)
    pair.own.bias[2] = CLOSED_FROM
    features = rng.normal(size=(4, WIDTH))
    assert pair.fitted(features, np.full(4, 2), start=(0.25, 0.75)) == HeadScales(0.25, 0.75, 0.0)
