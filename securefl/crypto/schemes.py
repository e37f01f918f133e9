"""Schemes by name, and the choice of a profile for a cohort.

    kahe   key-additive encryption with one-time keys: the default
    bfv    BFV of TenSEAL under one key of all members: the server with one member reads every update
    none   no cipher: the integer twin of either of them, for comparison

The rule kept here: the cheapest upload whose sums are exact, and no other, so that whoever has the terms knows the
profile.
"""

from __future__ import annotations

from typing import Final, Literal

from securefl.crypto.bfv_profiles import BFV_PROFILES
from securefl.crypto.kahe.profiles import KAHE_PROFILES
from securefl.crypto.profiles import MAX_CONTRIBUTIONS, Profile, exact_cohort
from securefl.errors import CapacityError

Scheme = Literal["kahe", "bfv", "none"]
_SHOWN: Final = 4


def profiles_of(scheme: Scheme) -> tuple[Profile, ...]:
    """All profiles of a scheme, cheapest upload first; those of ``none`` are those of ``kahe``, whose twin it is."""
    return BFV_PROFILES if scheme == "bfv" else KAHE_PROFILES


def profile_for(cohort: int, precision_bits: int, *, scheme: Scheme, noise_tail: int = 0) -> Profile:
    """The profile with the smallest upload under which a sum of ``cohort`` contributions is exact.

    Args:
        cohort: Contributions that the sum may have.
        precision_bits: Bits of one value, sign included.
        scheme: The cipher.
        noise_tail: Largest magnitude, in grid steps, of what noise adds to the sum of one value.

    Raises:
        CapacityError: if there is none; the hint names the largest precision for this cohort and the largest
            cohort for this precision.
    """
    if not 1 <= cohort <= MAX_CONTRIBUTIONS:
        raise CapacityError(
            f"a cohort of {cohort} has no exact sum", hint=f"a cohort has 1 to {MAX_CONTRIBUTIONS} members"
        )
    profiles = profiles_of(scheme)
    for profile in profiles:
        if exact_cohort(profile, precision_bits, noise_tail=noise_tail) >= cohort:
            return profile
    members = max(exact_cohort(profile, precision_bits, noise_tail=noise_tail) for profile in profiles)
    fewer = f", or at most {members} members at {precision_bits} bits" if members else ""
    raise CapacityError(
        f"no profile adds {cohort} contributions of {precision_bits} bits exactly",
        where="grid.precision_bits",
        hint=f"{_lower_precision(cohort, precision_bits, profiles, noise_tail)} for this cohort{fewer}",
    )


def _lower_precision(cohort: int, bits: int, profiles: tuple[Profile, ...], noise_tail: int) -> str:
    """The largest precision below that works, in words."""
    for fewer in range(bits - 1, 1, -1):
        if any(exact_cohort(profile, fewer, noise_tail=noise_tail) >= cohort for profile in profiles):
            return f"precision_bits = {fewer} works"
    return "no precision works"


def profile_named(name: str) -> Profile:
    """The profile of that name, of any scheme.

    Raises:
        CapacityError: if this version has none of that name.
    """
    known = (*KAHE_PROFILES, *BFV_PROFILES)
    for profile in known:
        if profile.name == name:
            return profile
    some = ", ".join(profile.name for profile in (*KAHE_PROFILES[:_SHOWN], *BFV_PROFILES[:_SHOWN]))
    raise CapacityError(
        f"there is no profile {name!r}", hint=f"this version knows {len(known)}, such as {some}"
    )
