"""The client-level mechanism: what a member's update can change, and what comes back out of the sum."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from securefl.errors import ConfigError, ProtocolError, TrainingError
from securefl.privacy.clipping import clip_norm
from securefl.privacy.events import DistributedGaussian, DistributedSkellam
from securefl.privacy.mechanism import ClientMechanism, NoiseName
from securefl.privacy.noise_stream import NoiseStream
from securefl.privacy.rotation import Rotation
from securefl.privacy.rounding import squared_norm

SEED = bytes(range(32))
NOISES: tuple[NoiseName, ...] = ("discrete-gaussian", "skellam")
MECHANISM = ClientMechanism(
    noise="skellam", dimension=300, clip=1.0, clip_steps=150, share_variance=Fraction(64), honest=4
)


def adversarial(dimension: int) -> list[np.ndarray]:
    """Updates that try to be long on the grid."""
    rng = np.random.default_rng(0)
    spike = np.zeros(dimension)
    spike[-1] = 1e6
    # One whose rotation is a spike, or lies between grid points everywhere.
    rotation = Rotation(dimension, SEED)
    return [
        np.zeros(dimension),
        spike,
        np.full(dimension, 1e-3),
        rng.standard_normal(dimension) * 1e9,
        rotation.invert(spike),
        rotation.invert(np.full(dimension, 0.5) / 150),
        np.full(dimension, np.finfo(np.float64).max / 4),
        np.full(dimension, 5e-324),
    ]


@pytest.mark.parametrize("noise", NOISES)
def test_no_update_changes_the_sum_by_more_than_the_sensitivity(noise: NoiseName) -> None:
    mechanism = replace(MECHANISM, noise=noise)
    for update in adversarial(mechanism.dimension):
        for attempt in range(5):
            stream = NoiseStream(random.Random(attempt).randbytes)
            integers = mechanism.rounded(update, rotation_seed=SEED, stream=stream)
            assert squared_norm(integers) <= mechanism.squared_sensitivity


def test_the_event_is_charged_for_the_sensitivity_that_is_enforced() -> None:
    assert MECHANISM.event.squared_sensitivity == MECHANISM.squared_sensitivity
    too_long = np.zeros(300, dtype=np.int64)
    too_long[0] = 200
    with pytest.raises(TrainingError, match="sensitivity of the plan"):
        MECHANISM.with_noise(too_long, stream=NoiseStream())


def test_noise_is_never_clipped() -> None:
    # The update fills the clip already, so whatever the noise adds goes beyond it.
    update = np.zeros(300)
    update[0] = 1.0
    integers = MECHANISM.encode(update, rotation_seed=SEED)
    assert squared_norm(integers) > MECHANISM.squared_sensitivity
    zero = np.concatenate([MECHANISM.encode(np.zeros(300), rotation_seed=SEED) for _ in range(200)])
    assert zero.var() == pytest.approx(64, rel=0.05)
    assert np.abs(zero).max() > 3 * 8


def test_noise_is_on_every_coordinate_also_where_a_member_owns_nothing() -> None:
    draws = np.array([MECHANISM.encode(np.zeros(300), rotation_seed=SEED) for _ in range(400)])
    assert (draws.var(axis=0) > 64 * 0.6).all()


def test_integers_without_noise_for_each_of_them_are_refused() -> None:
    with pytest.raises(ProtocolError, match="200 integers for noise of 300"):
        MECHANISM.with_noise(np.zeros(200, dtype=np.int64), stream=NoiseStream())
    with pytest.raises(ProtocolError, match="200 values for noise of 300"):
        MECHANISM.encode(np.zeros(200), rotation_seed=SEED)


@pytest.mark.parametrize("noise", NOISES)
def test_a_contribution_is_within_the_largest_integer(noise: NoiseName) -> None:
    mechanism = replace(MECHANISM, noise=noise)
    for update in adversarial(300):
        assert np.abs(mechanism.encode(update, rotation_seed=SEED)).max() <= mechanism.largest_integer


def test_two_contributions_of_one_update_have_different_noise() -> None:
    update = np.zeros(300)
    one, other = (MECHANISM.encode(update, rotation_seed=SEED) for _ in range(2))
    assert not np.array_equal(one, other)


def test_a_known_source_gives_the_same_contribution() -> None:
    one, other = (
        MECHANISM.encode(np.ones(300), rotation_seed=SEED, entropy=random.Random(1).randbytes)
        for _ in range(2)
    )
    assert np.array_equal(one, other)


@pytest.mark.parametrize("noise", NOISES)
def test_the_sum_opens_to_the_sum_of_the_clipped_updates_and_the_stated_noise(noise: NoiseName) -> None:
    mechanism = ClientMechanism(
        noise=noise, dimension=1000, clip=2.0, clip_steps=500, share_variance=Fraction(100), honest=6
    )
    rng, source = np.random.default_rng(1), random.Random(1).randbytes
    updates = [rng.standard_normal(1000) for _ in range(8)]
    # Noise of the operating system would miss the bounds below in one run of 10^5.
    sums = sum(mechanism.encode(update, rotation_seed=SEED, entropy=source) for update in updates)
    opened = mechanism.decode(sums, rotation_seed=SEED)
    error = opened - sum(clip_norm(update, 2.0) for update in updates)
    assert error.std() == pytest.approx(mechanism.released_multiplier(8) * 2.0, rel=0.1)
    assert abs(error.mean()) < 5 * error.std() / np.sqrt(1000)


def test_without_noise_the_sum_is_right_to_the_grid() -> None:
    stream = NoiseStream()
    update = np.linspace(-1, 1, 300)
    integers = MECHANISM.rounded(update, rotation_seed=SEED, stream=stream)
    opened = MECHANISM.decode(integers, rotation_seed=SEED)
    assert np.abs(opened - clip_norm(update, 1.0)).max() < 4 * MECHANISM.step


def test_measured_cosines_are_the_predicted_ones() -> None:
    from securefl.privacy.plan import predicted_cosine

    mechanism = replace(MECHANISM, dimension=1500, clip_steps=600, share_variance=Fraction(30_000), honest=40)
    update = np.random.default_rng(2).standard_normal(1500) * 100
    # Noise of the operating system would miss the bound below in one run of 1000.
    source = random.Random(2).randbytes
    sums = sum(mechanism.encode(update, rotation_seed=SEED, entropy=source) for _ in range(50))
    opened = mechanism.decode(sums, rotation_seed=SEED)
    measured = float(opened @ update) / float(np.linalg.norm(opened) * np.linalg.norm(update))
    predicted = predicted_cosine(
        contributors=50, multiplier=mechanism.released_multiplier(50), dimension=1500
    )
    assert measured == pytest.approx(predicted, rel=0.1)
    assert 0.4 < predicted < 0.9


def test_the_charge_counts_the_honest_shares_and_the_release_has_all() -> None:
    event = MECHANISM.event
    assert isinstance(event, DistributedSkellam)
    assert event.variance == 4 * 64
    assert MECHANISM.released_multiplier(8) > MECHANISM.noise_multiplier
    assert isinstance(replace(MECHANISM, noise="discrete-gaussian").event, DistributedGaussian)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"honest": 0}, "0 honest members"),
        ({"clip": 0.0}, "a clip of 0"),
        ({"clip": float("nan")}, "a clip of nan"),
        ({"dimension": 0}, "0 values"),
        ({"clip_steps": 8}, "rounding would drown"),
        ({"share_variance": Fraction(3)}, "below 4 squared grid steps"),
    ],
)
def test_parameters_that_hide_nothing_are_refused(change: dict, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        replace(MECHANISM, **change)


@pytest.mark.parametrize("dimension", [1, 2, 3, 64, 65, 100, 1000])
def test_a_rotation_keeps_norms_and_turns_back(dimension: int) -> None:
    values = np.random.default_rng(3).standard_normal(dimension)
    rotation = Rotation(dimension, SEED)
    turned = rotation.apply(values)
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(values))
    assert rotation.invert(turned) == pytest.approx(values)


@pytest.mark.parametrize("dimension", [1024, 1500, 2047])
def test_a_rotation_flattens_every_spike(dimension: int) -> None:
    for place in (0, dimension // 2, dimension - 1):
        spike = np.zeros(dimension)
        spike[place] = 1.0
        turned = Rotation(dimension, SEED).apply(spike)
        assert np.abs(turned).max() < 8 / np.sqrt(dimension)


def test_rotations_of_two_rounds_differ() -> None:
    values = np.ones(100)
    assert not np.allclose(Rotation(100, SEED).apply(values), Rotation(100, bytes(32)).apply(values))


def test_a_short_update_is_not_clipped_and_a_long_one_has_the_clips_length() -> None:
    assert clip_norm(np.array([0.3, 0.4]), 1.0) == pytest.approx([0.3, 0.4])
    assert np.linalg.norm(clip_norm(np.array([1e200, 1e200]), 1.0)) == pytest.approx(1.0)


def test_an_update_that_is_not_finite_is_refused() -> None:
    with pytest.raises(TrainingError, match="not finite"):
        MECHANISM.encode(np.full(300, np.nan), rotation_seed=SEED)
