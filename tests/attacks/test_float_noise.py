"""Row 13: the low bits of a float tell which value noise was added to; the integers of a release have no such bits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from securefl.privacy.discrete_gaussian import discrete_gaussian
from securefl.privacy.mechanism import ClientMechanism
from securefl.privacy.noise_stream import NoiseStream
from securefl.privacy.skellam import skellam

FAR = float(1 << 20)
COUNT = 1_000_000


def is_coarse(values: np.ndarray) -> np.ndarray:
    """True for values on the grid of floats just below ``FAR``, which a sum with it cannot leave."""
    return np.mod(values, 2.0**-33) == 0


def near_zero(values: np.ndarray) -> np.ndarray:
    """Releases that either secret value could have led to."""
    return values[np.abs(values) < FAR / 1024]


def test_control_the_low_bits_of_float_noise_tell_the_secret() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=FAR, size=COUNT)
    of_zero, of_far = near_zero(noise), near_zero(noise + FAR)
    assert is_coarse(of_far).all()
    assert is_coarse(of_zero).mean() < 0.01


def test_integer_noise_has_one_support_for_both_secrets() -> None:
    for table in (discrete_gaussian(Fraction(400)), skellam(Fraction(400))):
        of_zero = table.draw(COUNT, NoiseStream())
        of_five = table.draw(COUNT, NoiseStream()) + 5
        inside = set(range(-30, 31))
        assert set(np.unique(of_zero)) & inside == set(np.unique(of_five)) & inside == inside


def test_a_release_is_integers_and_opens_to_multiples_of_one_step() -> None:
    mechanism = ClientMechanism(
        noise="discrete-gaussian",
        dimension=64,
        clip=1.0,
        clip_steps=100,
        share_variance=Fraction(64),
        honest=3,
    )
    for update in (np.zeros(64), np.full(64, 1 / 3)):
        assert mechanism.encode(update, rotation_seed=bytes(32)).dtype == np.int64
