"""Sampling and noise of DP-SGD: what they are distributed as, and that integers alone make them."""

from __future__ import annotations

import math
from itertools import count

import numpy as np
import pytest
from scipy import stats

from securefl.privacy.noise_stream import NoiseStream
from securefl.training.dp_sgd.fine_noise import VARIANCE, FineNoise, drawn
from securefl.training.dp_sgd.sampling import poisson_rows


@pytest.fixture
def stream() -> NoiseStream:
    """A stream that is the same in every run."""
    keys = count(1)
    return NoiseStream(lambda size: next(keys).to_bytes(size, "little"))


def test_every_row_is_drawn_with_the_same_probability_and_alone(stream) -> None:
    drawn_rows = np.zeros((4000, 50), dtype=np.int64)
    for step in range(len(drawn_rows)):
        drawn_rows[step, poisson_rows(50, 0.3, stream)] = 1
    assert stats.chisquare(drawn_rows.sum(axis=0), np.full(50, drawn_rows.sum() / 50)).pvalue > 1e-4
    assert abs(drawn_rows.mean() - 0.3) < 4 * math.sqrt(0.21 / drawn_rows.size)
    # Batches of one size, as shuffling makes them, would have no variance.
    assert drawn_rows.sum(axis=1).var() == pytest.approx(50 * 0.21, rel=0.1)
    neighbours = np.corrcoef(drawn_rows[:, 0], drawn_rows[:, 1])[0, 1]
    assert abs(neighbours) < 4 / math.sqrt(len(drawn_rows))


def test_probabilities_of_zero_and_one_draw_nothing_and_everything(stream) -> None:
    assert len(poisson_rows(100, 0.0, stream)) == 0
    np.testing.assert_array_equal(poisson_rows(100, 1.0, stream), np.arange(100))


def test_noise_has_the_normal_distribution_of_its_deviation(stream) -> None:
    noise = FineNoise(0.75).added(np.zeros(200_000), stream)
    assert stats.kstest(noise / 0.75, "norm").pvalue > 1e-4
    assert noise.std() == pytest.approx(0.75, rel=0.01)


def test_the_low_bits_of_samples_are_uniform(stream) -> None:
    bits = drawn(200_000, stream) & 1023
    assert stats.chisquare(np.bincount(bits, minlength=1024)).pvalue > 1e-4
    assert np.sqrt(float(VARIANCE)) == pytest.approx(2.0**24, rel=1e-6)


def test_what_comes_out_are_multiples_of_the_step_around_the_rounded_sum(stream) -> None:
    noise = FineNoise(2.0)
    found = noise.added(np.array([0.0, 1.0, -300.0]), stream) / noise.step
    np.testing.assert_allclose(found, np.rint(found), atol=1e-6)
    assert abs(found[2] + 300.0 / noise.step) < 10 * 2**24


def test_two_streams_of_the_operating_system_share_no_noise() -> None:
    one, other = (drawn(1000, NoiseStream()) for _ in range(2))
    # Two samples are equal with probability 2^-26; two pairs of a thousand are so once in 10^9 runs.
    assert np.count_nonzero(one == other) < 2
