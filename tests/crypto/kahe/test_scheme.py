from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chisquare

from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.kahe.profiles import KAHE_PROFILES, KaheProfile
from securefl.crypto.kahe.public import PublicPolynomials
from securefl.crypto.kahe.scheme import Decryptor, Encryptor
from securefl.crypto.profiles import exact_cohort
from securefl.errors import CapacityError, ProtocolError

from .conftest import ATTEMPT, profile_named

PROFILE = profile_named("k20-2x20-d12")
PUBLIC = PublicPolynomials(ATTEMPT, section=0)
rng = np.random.default_rng(5)


def encrypted(slots: np.ndarray, *, key: ShortKey, profile: KaheProfile = PROFILE) -> np.ndarray:
    return Encryptor(profile, key=key, public=PUBLIC).encrypt(slots, first=0)


def kinds(largest: int, cohort: int) -> dict[str, list[np.ndarray]]:
    """Contributions whose sums reach what a profile holds."""
    equal = [np.full((1, 4096), largest) for _ in range(cohort)]
    return {
        "random": [rng.integers(-largest, largest + 1, (1, 4096)) for _ in range(cohort)],
        "top": equal,
        "bottom": [-slots for slots in equal],
        "alternating": [slots * (1 - 2 * (np.arange(4096) & 1)) for slots in equal],
    }


SMALL = [profile for profile in KAHE_PROFILES if profile.max_cohort <= 128]
LARGE = [profile for profile in KAHE_PROFILES if profile.max_cohort > 128]


@pytest.mark.parametrize("kind", ["random", "top", "bottom", "alternating"])
@pytest.mark.parametrize("profile", SMALL, ids=lambda profile: profile.name)
def test_sums_of_the_largest_cohort_are_exact(
    profile: KaheProfile, kind: str, opened_sum: Callable[..., np.ndarray]
) -> None:
    cohort = profile.max_cohort
    contributions = kinds(profile.slot_bound // cohort, cohort)[kind]
    assert np.array_equal(opened_sum(contributions, profile), sum(contributions))


@pytest.mark.slow
@pytest.mark.parametrize("profile", LARGE, ids=lambda profile: profile.name)
def test_sums_of_hundreds_are_exact(profile: KaheProfile, opened_sum: Callable[..., np.ndarray]) -> None:
    cohort = profile.max_cohort
    for contributions in kinds(profile.slot_bound // cohort, cohort).values():
        assert np.array_equal(opened_sum(contributions, profile), sum(contributions))


def test_the_noise_of_one_contribution_more_than_the_proof_admits_can_reach_half_a_step() -> None:
    """The proof is tight: extremes of noise and rounding one beyond the cohort pass 2^(k-1)."""
    for profile in KAHE_PROFILES:
        if profile.max_cohort < 1000:
            worst = 87 + (1 << profile.dropped_bits >> 1)
            assert profile.max_cohort * worst < 1 << (profile.scale_bits - 1)
            assert (profile.max_cohort + 1) * worst >= 1 << (profile.scale_bits - 1)


def test_the_profiles_of_sixteen_bits_are_those_of_the_design() -> None:
    best = {}
    for profile in KAHE_PROFILES:
        best.setdefault((profile.lanes, profile.lane_bits, profile.dropped_bits), exact_cohort(profile, 16))
    expected = {(2, 18, 20): 4, (2, 19, 12): 8, (2, 20, 12): 16, (2, 21, 12): 32}
    expected |= {(2, 22, 4): 64, (2, 23, 4): 86, (1, 30, 20): 1000}
    assert {key: best[key] for key in expected} == expected


def test_windows_are_encrypted_as_one(keys: list[ShortKey]) -> None:
    slots = rng.integers(-1000, 1000, (11, 4096))
    encryptor = Encryptor(PROFILE, key=keys[0], public=PUBLIC)
    words = np.concatenate([encryptor.encrypt(slots[:6], first=0), encryptor.encrypt(slots[6:], first=6)])
    decryptor = Decryptor(PROFILE, key=KeySum(keys[0].coefficients, contributors=1), public=PUBLIC)
    assert np.array_equal(decryptor.decrypt(words, first=0), slots)
    assert np.array_equal(decryptor.decrypt(words[3:9], first=3), slots[3:9])


def test_words_are_as_wide_as_the_profile_says(keys: list[ShortKey]) -> None:
    for profile in KAHE_PROFILES:
        words = encrypted(np.zeros((1, 4096), np.int64), key=keys[0], profile=profile)
        assert int(words.max()) >> (8 * profile.word_bytes - 4) > 0
        assert int(words.max()) < 1 << (8 * profile.word_bytes)


def test_a_slot_beyond_the_profile_is_refused(keys: list[ShortKey]) -> None:
    for slot in (PROFILE.slot_bound + 1, -PROFILE.slot_bound - 1):
        with pytest.raises(CapacityError, match="a slot does not fit"):
            encrypted(np.full((1, 4096), slot), key=keys[0])


def test_a_sum_of_more_than_the_profile_adds_is_refused(keys: list[ShortKey]) -> None:
    profile = profile_named("k24-2x18-d20")
    total = sum((key.coefficients for key in keys[:16]), np.zeros(4096, np.int64))
    with pytest.raises(CapacityError, match="16 contributions have no exact sum"):
        Decryptor(profile, key=KeySum(total, contributors=16), public=PUBLIC)


def is_uniform(words: np.ndarray, bits: int) -> bool:
    # Keys are the operating system's: the four looks of this file find one uniform body in 10^8 runs uneven.
    ends = [(words >> np.uint64(shift)).reshape(-1) & np.uint64(255) for shift in (0, bits - 8)]
    return all(chisquare(np.bincount(end, minlength=256)).pvalue > 2e-9 for end in ends)


def test_a_contribution_is_uniform_to_who_lacks_its_key() -> None:
    words = encrypted(np.zeros((32, 4096), np.int64), key=ShortKey.fresh())
    assert is_uniform(words, 8 * PROFILE.word_bytes)


def test_another_key_opens_to_noise(keys: list[ShortKey]) -> None:
    words = encrypted(np.zeros((16, 4096), np.int64), key=ShortKey.fresh())
    other = Decryptor(PROFILE, key=KeySum(keys[0].coefficients, contributors=1), public=PUBLIC)
    slots = other.decrypt(words, first=0) + (1 << (59 - PROFILE.scale_bits))
    assert is_uniform(slots.astype(np.uint64), 60 - PROFILE.scale_bits)


def test_a_key_used_for_two_bodies_is_told_at_once() -> None:
    """The control: the difference of two bodies under one key is that of their slots, and no others'."""
    one, two = rng.integers(-1000, 1000, (2, 8, 4096))
    key = ShortKey.fresh()
    same = encrypted(one, key=key) - encrypted(two, key=key)
    fresh = encrypted(one, key=key) - encrypted(two, key=ShortKey.fresh())
    width = 8 * PROFILE.word_bytes

    def read(difference: np.ndarray) -> np.ndarray:
        signed = (difference << np.uint64(64 - width)).view(np.int64) >> (64 - width)
        step = PROFILE.scale_bits - PROFILE.dropped_bits
        return (signed + (1 << step >> 1)) >> step

    assert np.array_equal(read(same), one - two)
    assert np.mean(read(fresh) == one - two) < 0.01


def test_two_encryptions_of_the_same_slots_differ() -> None:
    slots, key = np.zeros((1, 4096), np.int64), ShortKey.fresh()
    assert not np.array_equal(encrypted(slots, key=key), encrypted(slots, key=ShortKey.fresh()))
    assert not np.array_equal(encrypted(slots, key=key), encrypted(slots, key=key))


def test_no_ciphertext_is_encrypted_twice_under_one_key(keys: list[ShortKey]) -> None:
    encryptor = Encryptor(PROFILE, key=keys[0], public=PUBLIC)
    encryptor.encrypt(np.zeros((2, 4096), np.int64), first=0)
    for first in (0, 1):
        with pytest.raises(ProtocolError, match="once under one key"):
            encryptor.encrypt(np.zeros((1, 4096), np.int64), first=first)
    encryptor.encrypt(np.zeros((1, 4096), np.int64), first=2)


def test_an_encryptor_shows_nothing(keys: list[ShortKey]) -> None:
    assert repr(Encryptor(PROFILE, key=keys[0], public=PUBLIC)) == "Encryptor(k20-2x20-d12, <redacted>)"
