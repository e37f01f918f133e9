"""The tag in the plaintext: sums of packed slots pass, and anything else does not."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.crypto.authentication import check_equal
from securefl.crypto.bfv_profiles import BFV_PROFILES
from securefl.crypto.contributor import Contributor
from securefl.crypto.integer_twin import IntegerTwin
from securefl.crypto.kahe.profiles import KAHE_PROFILES
from securefl.crypto.packing import pack, unpack
from securefl.crypto.profiles import Profile
from securefl.crypto.schemes import profile_for, profile_named
from securefl.crypto.tags import TAG_PRIME, SectionTag
from securefl.errors import ForgeryError

KEY = bytes(range(32))
CONTEXT = b"epoch 1, round 1"
MEMBERS = tuple(Contributor(f"client-{number}", bytes([number]) * 32) for number in (1, 2, 3))
PROFILE = profile_named("k20-2x20-d12")
BOUND = PROFILE.slot_bound
KEPT = PROFILE.tag_slots


def tag_of(profile: Profile = PROFILE, *, ciphertexts: int = 2, context: bytes = CONTEXT) -> SectionTag:
    return SectionTag(KEY, profile, context=context, ciphertexts=ciphertexts)


def slots_of(
    member: Contributor, profile: Profile = PROFILE, *, ciphertexts: int = 2, cohort: int = 3
) -> np.ndarray:
    rng = np.random.default_rng(list(member.member.encode()))
    bound = profile.slot_bound // cohort
    return rng.integers(-bound, bound + 1, (ciphertexts, 4096))


def summed(tag: SectionTag, profile: Profile = PROFILE, *, ciphertexts: int = 2) -> np.ndarray:
    return sum(
        tag.attach(slots_of(member, profile, ciphertexts=ciphertexts), contributor=member)
        for member in MEMBERS
    )


TAG = tag_of()
SUMS = summed(TAG)


@pytest.mark.parametrize("profile", [*BFV_PROFILES, *KAHE_PROFILES], ids=lambda profile: profile.name)
@pytest.mark.parametrize("ciphertexts", [1, 17])
def test_the_sum_of_all_contributions_passes(profile: Profile, ciphertexts: int) -> None:
    members = MEMBERS[: profile.max_cohort]
    tag = tag_of(profile, ciphertexts=ciphertexts)
    parts = [
        tag.attach(slots_of(member, profile, ciphertexts=ciphertexts), contributor=member)
        for member in members
    ]
    assert max(int(np.abs(part).max()) for part in parts) <= profile.slot_bound
    tag.check(sum(parts), members)


@pytest.mark.parametrize("profile", [*BFV_PROFILES, *KAHE_PROFILES], ids=lambda profile: profile.name)
def test_digits_hold_the_whole_tag_and_their_largest_sum_fits_a_slot(profile: Profile) -> None:
    assert profile.digit_bits * profile.tag_slots >= 54
    assert profile.max_cohort * ((1 << profile.digit_bits) - 1) <= profile.slot_bound


def test_the_prime_is_the_largest_below_54_bits() -> None:
    def is_prime(number: int) -> bool:
        """Miller and Rabin with bases that decide below 3.3e24."""
        odd, twos = number - 1, 0
        while odd % 2 == 0:
            odd, twos = odd // 2, twos + 1
        for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41):
            power = pow(base, odd, number)
            if power not in (1, number - 1) and all(
                pow(base, odd << turn, number) != number - 1 for turn in range(1, twos)
            ):
                return False
        return True

    assert is_prime(TAG_PRIME)
    assert not any(is_prime(number) for number in range(TAG_PRIME + 2, 1 << 54, 2))


def test_tagged_values_unpack_to_their_sum() -> None:
    profile = profile_for(3, 16, scheme="kahe")
    values = [np.random.default_rng(i).integers(-32_767, 32_768, 9_000) for i in range(3)]
    tag = tag_of(profile)
    sums = sum(tag.attach(pack(x, profile), contributor=m) for x, m in zip(values, MEMBERS, strict=True))
    tag.check(sums, MEMBERS)
    assert np.array_equal(unpack(sums, 9_000, profile), sum(values))


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    profile=st.sampled_from([PROFILE, KAHE_PROFILES[0], BFV_PROFILES[0], BFV_PROFILES[-2]]),
)
def test_tags_agree_with_big_integers(
    seed: int, profile: Profile, reference: Callable[[str], ModuleType]
) -> None:
    slow = reference("authentication").Tag(KEY, CONTEXT, degree=4096, ciphertexts=2, digits=profile.tag_slots)
    bound = profile.slot_bound
    slots = np.random.default_rng(seed).integers(-bound, bound + 1, (2, 4096))
    slots[0, :2] = -bound, bound
    tagged = tag_of(profile).attach(slots, contributor=MEMBERS[0])
    expected = slow.tag(slots.tolist(), [(MEMBERS[0].member, MEMBERS[0].salt)])
    digits = tagged[-1, -profile.tag_slots :].tolist()
    assert sum(digit << profile.digit_bits * index for index, digit in enumerate(digits)) == expected


def test_attaching_leaves_its_argument_and_all_other_slots_alone() -> None:
    slots = slots_of(MEMBERS[0])
    before = slots.copy()
    tagged = TAG.attach(slots, contributor=MEMBERS[0])
    assert np.array_equal(slots, before)
    assert np.array_equal(tagged.reshape(-1)[:-KEPT], before.reshape(-1)[:-KEPT])


@settings(max_examples=100)
@given(row=st.integers(0, 1), slot=st.integers(0, 4095), change=st.integers(1, 2 * BOUND), up=st.booleans())
def test_a_sum_altered_in_one_slot_is_refused(row: int, slot: int, change: int, up: bool) -> None:
    sums = SUMS.copy()
    sums[row, slot] += change if up else -change
    with pytest.raises(ForgeryError):
        TAG.check(sums, MEMBERS)


@pytest.mark.parametrize("slot", range(-KEPT, 0))
def test_each_digit_is_checked(slot: int) -> None:
    sums = SUMS.copy()
    sums[-1, slot] += 1
    with pytest.raises(ForgeryError):
        TAG.check(sums, MEMBERS)


def test_rows_in_another_order_are_refused() -> None:
    sums = SUMS.copy()
    sums[[0, 1], :-KEPT] = sums[[1, 0], :-KEPT]
    with pytest.raises(ForgeryError):
        TAG.check(sums, MEMBERS)


def test_two_slots_exchanged_are_refused() -> None:
    sums = SUMS.copy()
    sums[0, [5, 6]] = sums[0, [6, 5]]
    with pytest.raises(ForgeryError):
        TAG.check(sums, MEMBERS)


@pytest.mark.parametrize("factor", [0, 2, -1])
def test_a_multiple_of_the_sum_is_refused(factor: int) -> None:
    with pytest.raises(ForgeryError):
        TAG.check(SUMS * factor, MEMBERS)


ANOTHER = Contributor("client-4", bytes(32))


@pytest.mark.parametrize(
    "members", [MEMBERS[:2], (*MEMBERS, ANOTHER), (*MEMBERS[:2], MEMBERS[1]), (ANOTHER, *MEMBERS[1:]), ()]
)
def test_a_sum_of_other_members_is_refused(members: tuple[Contributor, ...]) -> None:
    with pytest.raises(ForgeryError):
        TAG.check(SUMS, members)


def test_a_sum_under_another_salt_is_refused() -> None:
    with pytest.raises(ForgeryError):
        TAG.check(SUMS, (Contributor("client-1", bytes(32)), *MEMBERS[1:]))


def test_a_sum_of_another_attempt_is_refused() -> None:
    with pytest.raises(ForgeryError):
        tag_of(context=b"epoch 1, round 2").check(SUMS, MEMBERS)


def test_the_verdict_is_the_macs_word_for_word_but_for_what_to_do() -> None:
    with pytest.raises(ForgeryError) as of_tags:
        TAG.check(SUMS, MEMBERS[:2])
    with pytest.raises(ForgeryError) as of_macs:
        check_equal(np.zeros(2, dtype=np.uint64), np.ones(2, dtype=np.uint64), refuses_keys=True)
    assert of_tags.value.what == of_macs.value.what
    assert (of_tags.value.refuses_keys, of_macs.value.refuses_keys) == (False, True)


def test_a_tag_shows_nothing_of_its_key() -> None:
    assert repr(TAG) == "SectionTag(<redacted>)"


# --- the prime itself, added where words are wider than it


@pytest.mark.parametrize("profiles", [KAHE_PROFILES, BFV_PROFILES], ids=["kahe", "bfv"])
@pytest.mark.parametrize("added", [TAG_PRIME, -TAG_PRIME])
@pytest.mark.parametrize("place", [(0, 7), (1, 7)])
def test_a_plain_sum_to_which_the_server_adds_the_prime_is_refused(
    profiles: tuple[Profile, ...], added: int, place: tuple[int, int]
) -> None:
    profile = next(profile for profile in profiles if profile.word_bytes == 7)
    tag, twin = tag_of(profile), IntegerTwin(profile)
    sums = summed(tag, profile)

    def read() -> None:
        words = twin.form.encode_residues(sums.view(np.uint64))
        tag.check(twin.decrypt(words, first=0), MEMBERS)

    read()
    sums[place] += added
    with pytest.raises(ForgeryError) as refused:
        read()
    assert not refused.value.refuses_keys


@pytest.mark.parametrize("profile", [*BFV_PROFILES, *KAHE_PROFILES], ids=lambda profile: profile.name)
def test_no_two_sums_within_a_profiles_bound_differ_by_the_prime(profile: Profile) -> None:
    assert 2 * profile.slot_bound < TAG_PRIME
