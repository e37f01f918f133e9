from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.crypto.packing import pack, unpack
from securefl.crypto.profiles import PROFILES, Profile, exact_cohort, profile_named
from securefl.errors import CapacityError, WireError

PROFILE = profile_named("t40-2x20-d6")
profiles = st.sampled_from(PROFILES)


@settings(max_examples=60, deadline=None)
@given(profile=profiles, count=st.integers(1, 20_000), bits=st.integers(2, 24), seed=st.integers(0, 2**32))
def test_a_sum_of_packs_unpacks_to_the_sum(profile: Profile, count: int, bits: int, seed: int) -> None:
    cohort = exact_cohort(profile, bits)
    members = min(cohort, 5)
    if members == 0:
        return
    rng = np.random.default_rng(seed)
    bound = 2 ** (bits - 1) - 1
    values = [rng.choice([-bound, bound, rng.integers(-bound, bound + 1)], count) for _ in range(members)]
    total = sum(pack(x, profile) for x in values) % np.uint64(profile.plain_modulus)
    assert np.array_equal(unpack(total, count, profile), sum(values))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_lanes_at_their_bounds_do_not_disturb_each_other(profile: Profile, signs: tuple[int, int]) -> None:
    values = np.full(2 * profile.values_per_ciphertext, profile.lane_bound, dtype=np.int64)
    values.reshape(-1, 2, 4096)[:, 0] *= signs[0]
    values.reshape(-1, 2, 4096)[:, 1] *= signs[1]
    assert np.array_equal(unpack(pack(values, profile), values.size, profile), values)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_value_beyond_its_lane_is_refused(profile: Profile, sign: int) -> None:
    values = np.array([0, sign * (profile.lane_bound + 1)], dtype=np.int64)
    with pytest.raises(CapacityError, match="does not fit its lane"):
        pack(values, profile)


def test_the_smallest_int64_is_refused() -> None:
    with pytest.raises(CapacityError):
        pack(np.array([-(2**63)], dtype=np.int64), PROFILE)


def test_slots_are_below_the_plain_modulus() -> None:
    rng = np.random.default_rng(1)
    slots = pack(rng.integers(-PROFILE.lane_bound, PROFILE.lane_bound + 1, 30_000), PROFILE)
    assert slots.dtype == np.uint64
    assert int(slots.max()) < PROFILE.plain_modulus


@pytest.mark.parametrize("count", [1, 4096, 4097, 8191, 8192, 8193, 24_576])
def test_ciphertexts_are_filled_before_another_is_begun(count: int) -> None:
    assert pack(np.ones(count, dtype=np.int64), PROFILE).shape == (-(-count // 8192), 4096)


def test_a_range_of_ciphertexts_is_a_range_of_values() -> None:
    values = np.arange(3 * 8192, dtype=np.int64) - 12_000
    assert np.array_equal(pack(values[8192 : 2 * 8192], PROFILE)[0], pack(values, PROFILE)[1])


def test_nothing_packs_into_no_ciphertexts() -> None:
    assert pack(np.zeros(0, dtype=np.int64), PROFILE).shape == (0, 4096)
    assert unpack(np.zeros((0, 4096), dtype=np.uint64), 0, PROFILE).size == 0


def test_a_sum_with_a_ciphertext_too_many_is_refused() -> None:
    with pytest.raises(WireError, match="fill 1 ciphertexts, not 2"):
        unpack(np.zeros((2, 4096), dtype=np.uint64), 8192, PROFILE)


def test_packing_leaves_its_argument_alone() -> None:
    values = np.arange(8192, dtype=np.int64)
    pack(values, PROFILE)
    assert np.array_equal(values, np.arange(8192))


@pytest.mark.parametrize("name", ["t33-2x16-d14", "t40-2x20-d6", "t30-1x30-d14"])
def test_packing_agrees_with_big_integers(name: str, reference: Callable[[str], ModuleType]) -> None:
    profile = profile_named(name)
    rng = np.random.default_rng(2)
    values = rng.integers(-profile.lane_bound, profile.lane_bound + 1, 9_000)
    integers = reference("integers")
    shape = {"lanes": profile.lanes, "lane_bits": profile.lane_bits, "modulus": profile.plain_modulus}
    expected = integers.pack(values.tolist(), degree=4096, **shape)
    slots = pack(values, profile)
    assert slots.tolist() == expected
    garbage = rng.integers(0, profile.plain_modulus, slots.shape, dtype=np.uint64)
    assert unpack(garbage, 9_000, profile).tolist() == integers.unpack(garbage.tolist(), 9_000, **shape)
