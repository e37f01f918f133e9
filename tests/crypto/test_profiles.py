from __future__ import annotations

from fractions import Fraction

import pytest
from tenseal import sealapi

from securefl.crypto.bfv_profiles import BFV_PROFILES, DATA_PRIME, MAX_ERROR, SPECIAL_PRIME
from securefl.crypto.kahe.profiles import KAHE_PROFILES, KaheProfile
from securefl.crypto.profiles import Profile, exact_cohort
from securefl.crypto.schemes import Scheme, profile_for, profile_named
from securefl.crypto.wireform import wire_form
from securefl.errors import CapacityError


def test_the_primes_are_those_that_seal_creates_for_54_and_55_bits() -> None:
    assert [prime.value() for prime in sealapi.CoeffModulus.Create(4096, [54, 55])] == [
        DATA_PRIME,
        SPECIAL_PRIME,
    ]


@pytest.mark.parametrize("profile", BFV_PROFILES, ids=lambda profile: profile.name)
def test_every_plain_modulus_is_the_batching_prime_of_its_bit_length(profile: Profile) -> None:
    bits = profile.plain_modulus.bit_length()
    assert sealapi.PlainModulus.Batching(4096, bits).value() == profile.plain_modulus


def test_names_are_distinct() -> None:
    assert len({profile.name for profile in BFV_PROFILES}) == len(BFV_PROFILES)


def test_profiles_stand_in_order_of_their_upload() -> None:
    costs = [Fraction(wire_form("bfv", row).upload_residue_bytes, row.lanes) for row in BFV_PROFILES]
    assert costs == sorted(costs)


def test_every_profile_fills_the_words_it_sends() -> None:
    for profile in BFV_PROFILES:
        form = wire_form("bfv", profile)
        assert form.upload_limit <= 2 ** (8 * form.upload_residue_bytes)
        assert form.upload_limit > 2 ** (8 * form.upload_residue_bytes - 3)


@pytest.mark.parametrize("profile", BFV_PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("bits", [8, 12, 16, 24])
def test_the_exact_cohort_is_the_largest_that_meets_all_three_conditions(profile: Profile, bits: int) -> None:
    def meets(n: int) -> bool:
        bound = 2 ** (bits - 1) - 1
        packed = n * bound * sum(2 ** (lane * profile.lane_bits) for lane in range(profile.lanes))
        truncation = Fraction(2 ** (profile.dropped_bits - 1)) if profile.dropped_bits else Fraction(0)
        noise = n * (MAX_ERROR + Fraction(1, 2) + truncation) + 1
        return (
            n * bound < 2 ** (profile.lane_bits - 1)
            and packed < Fraction(profile.plain_modulus, 2)
            and noise <= Fraction(DATA_PRIME // profile.plain_modulus, 2)
            and n <= 1000
        )

    largest = exact_cohort(profile, bits)
    assert largest == 0 or meets(largest)
    assert not meets(largest + 1)


@pytest.mark.parametrize(
    ("cohort", "bits", "bytes_a_value"),
    [
        (4, 16, 2.5),
        (16, 16, 3.0),
        (32, 16, 3.0),
        (16, 12, 2.5),
        (64, 14, 3.0),
        (1000, 8, 3.0),
        (1000, 16, 5.0),
    ],
)
def test_the_cheapest_profile_costs_what_the_design_says(
    cohort: int, bits: int, bytes_a_value: float
) -> None:
    profile = profile_for(cohort, bits, scheme="bfv")
    assert wire_form("bfv", profile).upload_residue_bytes / profile.lanes == bytes_a_value


@pytest.mark.parametrize("cohort", [3, 4, 16, 100, 1000])
@pytest.mark.parametrize("bits", range(8, 25))
@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
def test_every_cohort_and_precision_of_a_federation_file_has_a_profile(
    scheme: Scheme, cohort: int, bits: int
) -> None:
    assert exact_cohort(profile_for(cohort, bits, scheme=scheme), bits) >= cohort


@pytest.mark.parametrize("cohort", [3, 4, 8, 16, 32, 64, 86, 100, 1000])
@pytest.mark.parametrize("bits", [8, 12, 16, 20, 24])
def test_one_time_keys_never_cost_more_than_bfv_in_either_direction(cohort: int, bits: int) -> None:
    ours, theirs = (profile_for(cohort, bits, scheme=scheme) for scheme in ("kahe", "bfv"))
    up = Fraction(theirs.word_bytes, theirs.lanes)
    assert Fraction(ours.word_bytes, ours.lanes) <= up


@pytest.mark.parametrize("profile", KAHE_PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("bits", [8, 12, 16, 24])
@pytest.mark.parametrize("tail", [0, 1, 1000])
def test_the_exact_cohort_of_one_time_keys_is_the_largest_that_meets_all_conditions(
    profile: KaheProfile, bits: int, tail: int
) -> None:
    def meets(n: int) -> bool:
        truncation = Fraction(2**profile.dropped_bits, 2)
        return (
            n * (87 + truncation) < 2 ** (profile.scale_bits - 1)
            and n * (2 ** (bits - 1) - 1) + tail < 2 ** (profile.lane_bits - 1)
            and n * (2**profile.digit_bits - 1) < 2 ** (59 - profile.scale_bits)
            and n <= 1000
        )

    largest = exact_cohort(profile, bits, noise_tail=tail)
    assert largest == 0 or meets(largest)
    assert not meets(largest + 1)


@pytest.mark.parametrize(
    ("cohort", "bits", "bytes_a_value"),
    [(4, 16, 2.5), (8, 16, 3.0), (16, 16, 3.0), (32, 16, 3.0), (64, 16, 3.5), (86, 16, 3.5), (1000, 16, 5.0)],
)
def test_one_time_keys_cost_what_the_design_says(cohort: int, bits: int, bytes_a_value: float) -> None:
    profile = profile_for(cohort, bits, scheme="kahe")
    assert profile.word_bytes / profile.lanes == bytes_a_value


def test_noise_asks_for_wider_lanes() -> None:
    narrow, wide = (profile_for(16, 16, scheme="kahe", noise_tail=tail) for tail in (0, 1000))
    assert (narrow.lane_bits, wide.lane_bits) == (20, 21)


def test_too_high_a_precision_is_refused_with_the_one_that_works() -> None:
    with pytest.raises(CapacityError, match="precision_bits = 26 works for this cohort") as caught:
        profile_for(1000, 30, scheme="bfv")
    assert "at most 63 members at 30 bits" in caught.value.hint
    assert exact_cohort(profile_for(1000, 26, scheme="bfv"), 26) >= 1000
    assert exact_cohort(profile_for(63, 30, scheme="bfv"), 30) >= 63


def test_a_cohort_beyond_what_adds_up_in_64_bits_is_refused() -> None:
    with pytest.raises(CapacityError, match="1001"):
        profile_for(1001, 8, scheme="bfv")


def test_precision_without_a_value_bit_is_refused() -> None:
    with pytest.raises(CapacityError, match="1 bits hold no value"):
        profile_for(4, 1, scheme="bfv")


def test_a_profile_is_found_by_its_name() -> None:
    every = (*BFV_PROFILES, *KAHE_PROFILES)
    assert all(profile_named(profile.name) is profile for profile in every)
    assert len({profile.name for profile in every}) == len(every)


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CapacityError, match=r"such as k38-2x11-d28.*t33-2x16-d14"):
        profile_named("t48-2x24-d0")
