"""A proof shows the integers that decide, and decides nothing else than the profiles do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from securefl.config.encryption import GridSection
from securefl.crypto.bfv_profiles import BFV_PROFILES
from securefl.crypto.kahe.profiles import KAHE_PROFILES
from securefl.crypto.profiles import Profile, exact_cohort
from securefl.crypto.schemes import Scheme, profile_for
from securefl.errors import CapacityError
from securefl.planning.exactness import MOST_BITS, prove

CASES = [("bfv", profile) for profile in BFV_PROFILES] + [("kahe", profile) for profile in KAHE_PROFILES]
cases = st.sampled_from(CASES)
precisions = st.integers(8, MOST_BITS)


@given(cases, precisions, st.integers(1, 1100))
def test_the_conditions_hold_exactly_for_the_cohorts_that_are_exact(
    case: tuple[Scheme, Profile], bits: int, cohort: int
) -> None:
    scheme, profile = case
    proof = prove(profile, scheme=scheme, precision_bits=bits, cohort=cohort)
    assert proof.holds == (cohort <= exact_cohort(profile, bits))


@given(cases, precisions)
def test_one_client_more_than_a_condition_allows_breaks_it(case: tuple[Scheme, Profile], bits: int) -> None:
    scheme, profile = case
    allowed = prove(profile, scheme=scheme, precision_bits=bits, cohort=1).conditions
    for place, condition in enumerate(allowed):
        within, beyond = (
            prove(
                profile, scheme=scheme, precision_bits=bits, cohort=condition.largest_cohort + more
            ).conditions[place]
            for more in (0, 1)
        )
        assert within.holds
        assert not beyond.holds


def test_the_numbers_are_those_of_a_pocket_calculator() -> None:
    # t40-2x20-d6 with 16 clients of 16 bits.
    profile = next(profile for profile in BFV_PROFILES if profile.name == "t40-2x20-d6")
    proof = prove(profile, scheme="bfv", precision_bits=16, cohort=16)
    lane, slot, noise, digits, words = proof.conditions
    assert (lane.left, lane.right) == (16 * 32767, 2**19 - 1)
    assert (slot.left, slot.right) == (16 * 32767 * (1 + 2**20), (1099511480321 - 1) // 2)
    assert (noise.left, noise.right) == (16 * (43 + 64) + 2, 18014398509309953 // 1099511480321)
    assert (digits.left, digits.right) == (16 * (2**18 - 1), (1099511480321 - 1) // 2)
    assert (words.left, words.right) == (16, 1000)


def test_the_numbers_of_one_time_keys_are_those_of_a_pocket_calculator() -> None:
    profile = profile_for(16, 16, scheme="kahe")
    assert profile.name == "k20-2x20-d12"
    lane, noise, digits, words = prove(profile, scheme="kahe", precision_bits=16, cohort=16).conditions
    assert (lane.left, lane.right) == (16 * 32767, 2**19 - 1)
    assert (noise.left, noise.right) == (16 * (87 + 2**11), 2**19 - 1)
    assert (digits.left, digits.right) == (16 * (2**18 - 1), 2**39 - 1)
    assert (words.left, words.right) == (16, 1000)


@pytest.mark.parametrize(("cohort", "bits"), [(4, 16), (16, 16), (5, 12), (100, 24)])
@pytest.mark.parametrize("scheme", ["kahe", "bfv"])
def test_the_margin_is_the_last_that_works(scheme: Scheme, cohort: int, bits: int) -> None:
    proof = prove(profile_for(cohort, bits, scheme=scheme), scheme=scheme, precision_bits=bits, cohort=cohort)
    assert proof.holds
    assert exact_cohort(proof.profile, bits) == proof.largest_cohort
    assert exact_cohort(proof.profile, proof.most_bits) >= cohort
    assert exact_cohort(proof.profile, proof.most_bits + 1) < cohort or proof.most_bits == MOST_BITS
    assert profile_for(proof.largest_cohort_of_any, bits, scheme=scheme)
    assert profile_for(cohort, proof.most_bits_of_any, scheme=scheme)
    if proof.largest_cohort_of_any < 1000:
        with pytest.raises(CapacityError):
            profile_for(proof.largest_cohort_of_any + 1, bits, scheme=scheme)


def test_no_configuration_can_ask_for_more_bits_than_are_looked_at() -> None:
    assert GridSection(precision_bits=MOST_BITS)
    with pytest.raises(ValidationError):
        GridSection(precision_bits=MOST_BITS + 1)
