"""Integers of the openings and what follows from their sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.heads import CLASSES, COUNTS, SHARED

from securefl.adapters.head_statistics import SCATTER_BOUND, HeadStatistics
from securefl.aggregation.class_weighting import ClassWeights
from securefl.aggregation.opening_sums import (
    LOSS_BOUND,
    HolderSums,
    StatisticsCodec,
    holder_integers,
    least_loss,
    loss_integers,
)
from securefl.errors import ProtocolError, TrainingError

LIMIT = 32_767


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


losses = st.lists(st.floats(0, 1e6), min_size=2, max_size=4).map(np.array)


def test_a_class_is_shared_from_c_max_and_two_holders_on() -> None:
    sums = sum(holder_integers(np.array(counts), 0) for counts in COUNTS)
    found = HolderSums.of(sums, members=4, least_holders=3)
    assert found.holders.tolist() == [4, 3, 1, 4, 1]
    assert found.shared.tolist() == SHARED.tolist()


@pytest.mark.parametrize(("exponents", "mean"), [((2, 2, 3), 2), ((-3, -2, -2), -2), ((16, 16, 16), 16)])
def test_the_cohorts_exponent_is_the_rounded_mean(exponents: tuple[int, ...], mean: int) -> None:
    sums = sum(holder_integers(np.ones(2, dtype=int), exponent) for exponent in exponents)
    assert HolderSums.of(sums, members=3, least_holders=3).exponent == mean


@pytest.mark.parametrize(("place", "value"), [(0, -1), (1, 4), (2, 49), (2, -49)])
def test_sums_that_no_bits_can_have_are_refused(place: int, value: int) -> None:
    sums = np.array([2, 3, 0])
    sums[place] = value
    with pytest.raises(ProtocolError, match="holder bits"):
        HolderSums.of(sums, members=3, least_holders=3)


def test_an_exponent_out_of_its_range_is_refused() -> None:
    with pytest.raises(TrainingError, match="exponent"):
        holder_integers(np.ones(2, dtype=int), 17)


@given(values=losses)
def test_losses_stay_on_the_grid_and_keep_their_order(values: np.ndarray) -> None:
    integers = loss_integers(values, limit=LIMIT)
    assert 0 <= integers.min() <= integers.max() <= LIMIT
    assert (np.diff(integers[np.argsort(values)]) >= 0).all()


def test_losses_beyond_the_bound_are_brought_within_it_by_one_factor() -> None:
    integers = loss_integers(np.array([4 * LOSS_BOUND, LOSS_BOUND]), limit=LIMIT)
    assert integers.tolist() == [LIMIT, round(LIMIT / 4)]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.1])
def test_a_loss_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(TrainingError, match="validation loss"):
        loss_integers(np.array([1.0, wrong]), limit=LIMIT)


def test_of_equal_sums_the_first_candidate_is_chosen() -> None:
    assert [least_loss(np.array(sums)) for sums in ([5, 5], [6, 5], [4, 5])] == [0, 1, 0]


def statistics(rng: np.random.Generator, size: float = 1.0) -> tuple[HeadStatistics, ClassWeights]:
    labels = np.repeat(np.arange(CLASSES), COUNTS[0])
    features = size * rng.normal(size=(len(labels), 6))
    weights = ClassWeights.of(np.array(COUNTS[0]), SHARED, samples_cap=100, limit=LIMIT)
    return HeadStatistics.of(features, labels, shared=SHARED, samples_cap=100), weights


def test_a_sum_of_statistics_is_decoded_to_the_grids_step(rng: np.random.Generator) -> None:
    codec = StatisticsCodec(CLASSES, 6, 16)
    sent, weights = statistics(rng)
    integers = codec.encode(sent, weights, rng=rng).integers
    assert integers[:CLASSES].tolist() == weights.steps.tolist()
    read = codec.decode(integers[CLASSES:], weights)
    assert np.allclose(read.class_means, sent.class_means, atol=1e-3)
    assert np.allclose(read.scatter, sent.scatter, atol=1e-3)
    assert read.weight == float(weights.whole)


def test_means_of_classes_that_are_not_shared_are_zeros_in_the_integers(rng: np.random.Generator) -> None:
    integers = StatisticsCodec(CLASSES, 6, 16).encode(*statistics(rng), rng=rng).integers
    means = integers[CLASSES : CLASSES + CLASSES * 6].reshape(CLASSES, 6)
    assert not means[~SHARED].any()
    assert means[SHARED].any(axis=1).all()


def test_clipped_statistics_are_counted(rng: np.random.Generator) -> None:
    codec = StatisticsCodec(CLASSES, 6, 16)
    sent, weights = statistics(rng, size=30.0)
    encoded = codec.encode(sent, weights, rng=rng)
    beyond = int(np.count_nonzero(np.abs(sent.scatter) > SCATTER_BOUND))
    assert beyond > 0
    assert encoded.integers.max() <= LIMIT
    assert encoded.saturated["statistics"] >= beyond


def test_a_head_of_zeros_asks_for_weights_alone(rng: np.random.Generator) -> None:
    codec = StatisticsCodec(CLASSES, 0, 16)
    _, weights = statistics(rng)
    assert codec.encode(None, weights, rng=rng).integers.tolist() == weights.steps.tolist()
    assert codec.decode(np.zeros(0, dtype=np.int64), weights).class_means.shape == (CLASSES, 0)


def test_statistics_of_another_width_are_refused(rng: np.random.Generator) -> None:
    sent, weights = statistics(rng)
    with pytest.raises(ProtocolError, match="statistics are"):
        StatisticsCodec(CLASSES, 7, 16).encode(sent, weights, rng=rng)
