"""The tags in the plaintext: sums of packed slots pass, and anything else does not."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.crypto.authentication import check_equal
from securefl.crypto.bfv_profiles import BFV_PROFILES
from securefl.crypto.packing import pack, unpack
from securefl.crypto.profiles import Profile
from securefl.crypto.schemes import profile_for, profile_named
from securefl.crypto.tags import SlotTags
from securefl.errors import ForgeryError

KEY = bytes(range(32))
CONTEXT = b"epoch 1, round 1"
MEMBERS = ("client-1", "client-2", "client-3")
PROFILE = profile_named("t40-2x20-d6")
T = PROFILE.plain_modulus


def tags_of(profile: Profile = PROFILE, *, ciphertexts: int = 2, context: bytes = CONTEXT) -> SlotTags:
    return SlotTags(KEY, profile, context=context, ciphertexts=ciphertexts)


def slots_of(member: str, profile: Profile = PROFILE, *, ciphertexts: int = 2) -> np.ndarray:
    rng = np.random.default_rng(list(member.encode()))
    return rng.integers(0, profile.plain_modulus, (ciphertexts, 4096), dtype=np.uint64)


def summed(tags: SlotTags, profile: Profile = PROFILE, *, ciphertexts: int = 2) -> np.ndarray:
    parts = [
        tags.attach(slots_of(member, profile, ciphertexts=ciphertexts), member=member) for member in MEMBERS
    ]
    return sum(parts) % np.uint64(profile.plain_modulus)


TAGS = tags_of()
SUMS = summed(TAGS)


@pytest.mark.parametrize("profile", BFV_PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("ciphertexts", [1, 2, 17])
def test_the_sum_of_all_contributions_passes(profile: Profile, ciphertexts: int) -> None:
    tags = tags_of(profile, ciphertexts=ciphertexts)
    tags.check(summed(tags, profile, ciphertexts=ciphertexts), MEMBERS)


def test_tagged_values_unpack_to_their_sum() -> None:
    profile = profile_for(3, 16)
    values = [np.random.default_rng(i).integers(-32_767, 32_768, 9_000) for i in range(3)]
    tags = tags_of(profile)
    parts = [tags.attach(pack(x, profile), member=m) for x, m in zip(values, MEMBERS, strict=True)]
    sums = sum(parts) % np.uint64(profile.plain_modulus)
    tags.check(sums, MEMBERS)
    assert np.array_equal(unpack(sums, 9_000, profile), sum(values))


@pytest.mark.slow
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), profile=st.sampled_from([PROFILE, BFV_PROFILES[0], BFV_PROFILES[-2]]))
def test_tags_agree_with_big_integers(
    seed: int, profile: Profile, reference: Callable[[str], ModuleType]
) -> None:
    slow = cached_reference(reference, profile)
    slots = np.random.default_rng(seed).integers(0, profile.plain_modulus, (2, 4096), dtype=np.uint64)
    slots[0, :2] = 0, profile.plain_modulus - 1
    tagged = tags_of(profile).attach(slots, member="client-1")
    assert tagged[-1, -2:].tolist() == slow.tags(slots.tolist(), ["client-1"])


_SLOW: dict[str, Any] = {}


def cached_reference(reference: Callable[[str], ModuleType], profile: Profile) -> Any:
    if profile.name not in _SLOW:
        _SLOW[profile.name] = reference("authentication").Tags(
            KEY, CONTEXT, degree=4096, ciphertexts=2, modulus=profile.plain_modulus
        )
    return _SLOW[profile.name]


def test_attaching_leaves_its_argument_and_all_other_slots_alone() -> None:
    slots = slots_of("client-1")
    before = slots.copy()
    tagged = TAGS.attach(slots, member="client-1")
    assert np.array_equal(slots, before)
    assert np.array_equal(tagged.reshape(-1)[:-2], before.reshape(-1)[:-2])


@settings(max_examples=100)
@given(row=st.integers(0, 1), slot=st.integers(0, 4095), change=st.integers(1, T - 1))
def test_a_sum_altered_in_one_slot_is_refused(row: int, slot: int, change: int) -> None:
    sums = SUMS.copy()
    sums[row, slot] = (int(sums[row, slot]) + change) % T
    with pytest.raises(ForgeryError):
        TAGS.check(sums, MEMBERS)


@pytest.mark.parametrize("slot", [-1, -2])
def test_each_tag_is_checked(slot: int) -> None:
    sums = SUMS.copy()
    sums[-1, slot] = (int(sums[-1, slot]) + 1) % T
    with pytest.raises(ForgeryError):
        TAGS.check(sums, MEMBERS)


def test_a_mask_left_on_is_refused() -> None:
    mask = np.random.default_rng(4).integers(0, T, SUMS.shape, dtype=np.uint64)
    with pytest.raises(ForgeryError):
        TAGS.check((SUMS + mask) % np.uint64(T), MEMBERS)


def test_rows_in_another_order_are_refused() -> None:
    sums = SUMS.copy()
    sums[[0, 1], :-2] = sums[[1, 0], :-2]
    with pytest.raises(ForgeryError):
        TAGS.check(sums, MEMBERS)


def test_two_slots_exchanged_are_refused() -> None:
    sums = SUMS.copy()
    sums[0, [5, 6]] = sums[0, [6, 5]]
    with pytest.raises(ForgeryError):
        TAGS.check(sums, MEMBERS)


@pytest.mark.parametrize("factor", [0, 2, T - 1])
def test_a_multiple_of_the_sum_is_refused(factor: int) -> None:
    sums = (SUMS.astype(object) * factor % T).astype(np.uint64)
    with pytest.raises(ForgeryError):
        TAGS.check(sums, MEMBERS)


@pytest.mark.parametrize(
    "members", [MEMBERS[:2], (*MEMBERS, "client-4"), (*MEMBERS[:2], MEMBERS[1]), ("x", *MEMBERS[1:]), ()]
)
def test_a_sum_of_other_members_is_refused(members: tuple[str, ...]) -> None:
    with pytest.raises(ForgeryError):
        TAGS.check(SUMS, members)


def test_a_sum_of_another_round_is_refused() -> None:
    with pytest.raises(ForgeryError):
        tags_of(context=b"epoch 1, round 2").check(SUMS, MEMBERS)


def test_the_two_tags_are_of_different_forms() -> None:
    """Were they the same form under other pads, their differences between two contributions would agree."""
    first, second = (TAGS.attach(slots_of(name), member="client-1")[-1, -2:].astype(object) for name in "ab")
    assert len(set(((first - second) % T).tolist())) == 2


def test_the_verdict_is_the_macs_word_for_word() -> None:
    with pytest.raises(ForgeryError) as of_tags:
        TAGS.check(SUMS, MEMBERS[:2])
    with pytest.raises(ForgeryError) as of_macs:
        check_equal(np.zeros(2, dtype=np.uint64), np.ones(2, dtype=np.uint64))
    assert str(of_tags.value) == str(of_macs.value)


def test_tags_show_nothing_of_their_key() -> None:
    assert repr(TAGS) == "SlotTags(<redacted>)"
