"""Row 20 of the attacks: the server with a member learns S and the noise of a sum, and reads one honest member from it.

Two ways are known, and both are shown to work on schemes that are not ours. An encoding round(q m / t) leaves its
rounding error in the noise, so two candidate updates with one sum are told from each other. Ternary keys are fixed by
the sum of two of them wherever it is 2 or -2.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from securefl.crypto.kahe.gaussian import cumulative
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.kahe.modulus import Q
from securefl.crypto.kahe.profiles import KaheProfile
from securefl.crypto.kahe.public import PublicPolynomials
from securefl.crypto.kahe.ring import products
from securefl.crypto.kahe.scheme import Encryptor

T = 1099511480321
SCALE_BITS = 20
ROWS = 48
RAW = KaheProfile(name="raw", lanes=1, lane_bits=60, dropped_bits=0, scale_bits=0)
"""Adds residues as they are, so that both encodings go through the same code."""


def linear(slots: np.ndarray) -> np.ndarray:
    """The scheme's encoding, m 2^k."""
    return slots << SCALE_BITS


def rounded(slots: np.ndarray) -> np.ndarray:
    """The other one, round(q m / t), for q = 2^60."""
    exact = slots.astype(object) * (1 << 60)
    return np.array([(2 * x + T) // (2 * T) for x in exact.reshape(-1)], dtype=np.int64).reshape(slots.shape)


def rounding_errors(slots: np.ndarray) -> np.ndarray:
    """round(q m / t) - q m / t."""
    remainders = np.array([(x << 60) % T for x in slots.reshape(-1).tolist()], dtype=np.int64)
    remainders -= T * (remainders > T // 2)
    return (-remainders / T).reshape(slots.shape)


def opened_noise(contributions: list[np.ndarray], encode: object) -> np.ndarray:
    """What two honest members' sum opens to, less the encoding of the sum."""
    public = PublicPolynomials(bytes(32), section=0)
    keys = [ShortKey.fresh() for _ in contributions]
    total = np.zeros((ROWS, 4096), np.uint64)
    for key, slots in zip(keys, contributions, strict=True):
        total += Encryptor(RAW, key=key, public=public).encrypt(encode(slots), first=0)  # type: ignore[operator]
    key_sum = KeySum(keys[0].coefficients + keys[1].coefficients, contributors=2)
    phase = total + products(public.limbs(0, ROWS), key_sum.spectrum, Q)
    return Q.centred(phase - encode(sum(contributions)).view(np.uint64))  # type: ignore[operator]


def statistic(encode: object, world: int) -> float:
    """Deviations by which the noise leans to the first pair of candidates (positive) or the second (negative)."""
    rng = np.random.default_rng(3)
    one, two, three = rng.integers(-(1 << 36), 1 << 36, (3, ROWS, 4096))
    candidates = [[one, two], [three, one + two - three]]
    noise = opened_noise(candidates[world], encode)
    signal = sum(rounding_errors(x) for x in candidates[0]) - sum(rounding_errors(x) for x in candidates[1])
    return float((noise * signal).sum() / (np.linalg.norm(signal) * noise.std()))


@pytest.mark.slow
def test_the_noise_of_rounded_encodings_tells_which_of_two_updates_was_sent() -> None:
    assert statistic(rounded, 0) > 8
    assert statistic(rounded, 1) < -8


@pytest.mark.slow
@pytest.mark.parametrize("world", [0, 1])
def test_the_noise_of_our_encoding_tells_nothing(world: int) -> None:
    assert abs(statistic(linear, world)) < 6  # deviations of a normal: fails once in 10^8 runs


def test_the_sum_of_two_ternary_keys_fixes_a_fifth_of_either() -> None:
    one, other = np.random.default_rng(1).integers(-1, 2, (2, 4096))
    assert np.mean(np.abs(one + other) == 2) > 0.2


def test_no_coefficient_of_our_keys_becomes_likely_when_their_sum_is_known() -> None:
    """The likeliest value of a coefficient given the sum of two, by the table's exact probabilities."""
    entries = (0, *cumulative(), 1 << 128)
    probability = np.array([(high - low) / 2**128 for low, high in pairwise(entries)])
    likeliest = []
    for total in np.unique(ShortKey.fresh().coefficients + ShortKey.fresh().coefficients):
        shared = np.arange(max(-87, total - 87), min(87, total + 87) + 1)
        joint = probability[shared + 87] * probability[total - shared + 87]
        likeliest.append(joint.max() / joint.sum())
    assert max(likeliest) < 0.1
