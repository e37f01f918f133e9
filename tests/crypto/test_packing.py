from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.crypto.bfv_profiles import BFV_PROFILES
from securefl.crypto.kahe.profiles import KAHE_PROFILES
from securefl.crypto.packing import pack, unpack
from securefl.crypto.profiles import Profile, exact_cohort
from securefl.crypto.schemes import profile_named
from securefl.errors import CapacityError, WireError

PROFILE = profile_named("t40-2x20-d6")
ALL = (*BFV_PROFILES, *KAHE_PROFILES)
profiles = st.sampled_from(ALL)


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
    total = sum(pack(x, profile) for x in values)
    assert np.array_equal(unpack(total, count, profile), sum(values))


@settings(max_examples=25, deadline=None)
@given(profile=profiles, bits=st.integers(2, 24), members=st.integers(1, 1000), seed=st.integers(0, 2**32))
def test_whole_cohorts_of_up_to_a_thousand_add_exactly_with_extremes_among_them(
    profile: Profile, bits: int, members: int, seed: int
) -> None:
    cohort = min(members, exact_cohort(profile, bits))
    bound = 2 ** (bits - 1) - 1
    rng = np.random.default_rng(seed)
    # Everybody at one bound, at the other, each at its own; then anything.
    sums, total = np.zeros(40, dtype=np.int64), np.zeros((1, 4096), dtype=np.int64)
    for _ in range(cohort):
        values = rng.integers(-bound, bound + 1, 40)
        values[:10], values[10:20], values[20:30] = bound, -bound, rng.choice([-bound, bound], 10)
        sums += values
        total += pack(values, profile)
    if cohort:
        assert np.array_equal(unpack(total, 40, profile), sums)


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_lanes_at_their_bounds_do_not_disturb_each_other(profile: Profile, signs: tuple[int, int]) -> None:
    values = np.full(4 * 4096, profile.lane_bound, dtype=np.int64)
    values.reshape(-1, 2, 4096)[:, 0] *= signs[0]
    values.reshape(-1, 2, 4096)[:, 1] *= signs[1]
    # In the last ciphertext a lane is some values shorter.
    values = np.concatenate([values, values[: profile.tag_slots * profile.lanes]])
    assert np.array_equal(unpack(pack(values, profile), values.size, profile), values)


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_value_beyond_its_lane_is_refused(profile: Profile, sign: int) -> None:
    values = np.array([0, sign * (profile.lane_bound + 1)], dtype=np.int64)
    with pytest.raises(CapacityError, match="does not fit its lane"):
        pack(values, profile)


def test_the_smallest_int64_is_refused() -> None:
    with pytest.raises(CapacityError):
        pack(np.array([-(2**63)], dtype=np.int64), PROFILE)


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
def test_slots_of_values_at_the_bound_are_within_the_slots_bound(profile: Profile) -> None:
    slots = pack(np.resize(np.array([profile.lane_bound, -profile.lane_bound]), 30_000), profile)
    assert slots.dtype == np.int64
    assert int(np.abs(slots).max()) <= profile.slot_bound


@pytest.mark.parametrize(
    ("count", "ciphertexts"),
    [(0, 1), (1, 1), (4096, 1), (8185, 1), (8186, 1), (8187, 2), (8192, 2), (16_378, 2), (16_379, 3)],
)
def test_ciphertexts_are_filled_before_another_is_begun(count: int, ciphertexts: int) -> None:
    assert pack(np.ones(count, dtype=np.int64), PROFILE).shape == (ciphertexts, 4096)
    assert PROFILE.ciphertexts_for(count) == ciphertexts


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
def test_around_every_full_ciphertext_the_values_come_back(profile: Profile) -> None:
    for count in range(profile.values_per_ciphertext - 12, profile.values_per_ciphertext + 7):
        values = np.arange(count, dtype=np.int64) % (2 * profile.lane_bound + 1) - profile.lane_bound
        assert np.array_equal(unpack(pack(values, profile), count, profile), values)


@pytest.mark.parametrize("count", [0, 1, 8186, 8187, 8192, 16_378])
def test_the_last_slots_hold_no_value(count: int) -> None:
    slots = pack(np.full(count, PROFILE.lane_bound, dtype=np.int64), PROFILE)
    assert slots[-1, -3:].tolist() == [0, 0, 0]
    slots[-1, -3:] = PROFILE.slot_bound
    assert set(unpack(slots, count, PROFILE).tolist()) <= {PROFILE.lane_bound}


def test_a_range_of_ciphertexts_is_a_range_of_values() -> None:
    values = np.arange(3 * 8192, dtype=np.int64) - 12_000
    assert np.array_equal(pack(values[8192 : 2 * 8192], PROFILE)[0], pack(values, PROFILE)[1])


def test_no_values_pack_into_one_ciphertext_for_the_tag() -> None:
    assert not pack(np.zeros(0, dtype=np.int64), PROFILE).any()
    assert unpack(np.zeros((1, 4096), dtype=np.int64), 0, PROFILE).size == 0


def test_a_sum_with_a_ciphertext_too_many_is_refused() -> None:
    with pytest.raises(WireError, match="fill 1 ciphertexts, not 2"):
        unpack(np.zeros((2, 4096), dtype=np.int64), 8186, PROFILE)


def test_packing_leaves_its_argument_alone() -> None:
    values = np.arange(8192, dtype=np.int64)
    pack(values, PROFILE)
    assert np.array_equal(values, np.arange(8192))


@pytest.mark.parametrize(
    "name", ["t33-2x16-d14", "t40-2x20-d6", "t30-1x30-d14", "k24-2x18-d20", "k38-1x22-d28"]
)
def test_packing_agrees_with_big_integers(name: str, reference: Callable[[str], ModuleType]) -> None:
    profile = profile_named(name)
    rng = np.random.default_rng(2)
    values = rng.integers(-profile.lane_bound, profile.lane_bound + 1, 9_000)
    integers = reference("integers")
    shape = {"lanes": profile.lanes, "lane_bits": profile.lane_bits, "kept": profile.tag_slots}
    expected = integers.pack(values.tolist(), degree=4096, **shape)
    slots = pack(values, profile)
    assert slots.tolist() == expected
    garbage = rng.integers(-profile.slot_bound, profile.slot_bound + 1, slots.shape)
    assert unpack(garbage, 9_000, profile).tolist() == integers.unpack(garbage.tolist(), 9_000, **shape)
