"""Proof that a cohort's sum is exact: the conditions of ``profiles.exact_cohort`` with this federation's numbers.

The rule kept here: nothing is decided here. ``crypto.profiles`` decides which cohorts are exact and proves it; a proof
shows the same integers side by side, so that a reader can check them with a pocket calculator.

Terms: n contributions, M the largest magnitude of a value on the grid, L the distance of two lanes in bits, T the
largest magnitude of a slot; under BFV t the plain modulus, q the data prime, b the dropped bits, E the largest error of
a fresh encryption; under key-additive encryption k the bits that a slot is shifted by, d the dropped bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from securefl.crypto.bfv_profiles import MAX_ERROR, BfvProfile
from securefl.crypto.kahe.parameters import TAIL
from securefl.crypto.kahe.profiles import KaheProfile
from securefl.crypto.profiles import MAX_CONTRIBUTIONS, Profile, exact_cohort, value_bound
from securefl.crypto.schemes import Scheme, profiles_of
from securefl.errors import CapacityError

MOST_BITS = 24
"""The largest ``precision_bits`` that a config may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One inequality between integers, which must hold for the sum to be exact.

    Attributes:
        name: What it says, in words.
        formula: The same in letters.
        left: Its left side for this cohort.
        right: Its right side; the left one may not exceed it.
        largest_cohort: The most contributions for which it holds.
    """

    name: str
    formula: str
    left: int
    right: int
    largest_cohort: int

    @property
    def holds(self) -> bool:
        """True where it holds for this cohort."""
        return self.left <= self.right


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """All conditions for one cohort, and what margin they leave.

    Attributes:
        cohort: n.
        precision_bits: Width of a value on the grid, sign included.
        profile: The parameters.
        conditions: Of lanes, of the scheme, of the tag's digits, and of the sum.
        largest_cohort: The most contributions of this precision that this profile adds exactly.
        largest_cohort_of_any: The same over all profiles: a larger cohort may need a dearer one.
        most_bits: The highest precision at which this profile adds this cohort exactly: what more precision costs
            nothing.
        most_bits_of_any: The same over all profiles.
    """

    cohort: int
    precision_bits: int
    profile: Profile
    conditions: tuple[Condition, ...]
    largest_cohort: int
    largest_cohort_of_any: int
    most_bits: int
    most_bits_of_any: int

    @property
    def holds(self) -> bool:
        """True where every condition does."""
        return all(condition.holds for condition in self.conditions)


def prove(profile: Profile, *, scheme: Scheme, precision_bits: int, cohort: int) -> Proof:
    """The conditions for a cohort of this precision under a profile, whether they hold or not.

    Args:
        profile: The parameters.
        scheme: The cipher, whose other profiles they are compared with.
        precision_bits: Width of a value on the grid, sign included.
        cohort: n.
    """
    others = profiles_of(scheme)
    return Proof(
        cohort=cohort,
        precision_bits=precision_bits,
        profile=profile,
        conditions=(
            _lane(profile, precision_bits, cohort),
            *_cipher(profile, precision_bits, cohort),
            _digits(profile, cohort),
            _words(cohort),
        ),
        largest_cohort=exact_cohort(profile, precision_bits),
        largest_cohort_of_any=max(exact_cohort(other, precision_bits) for other in others),
        most_bits=_most_bits(lambda bits: exact_cohort(profile, bits) >= cohort),
        most_bits_of_any=_most_bits(
            lambda bits: any(exact_cohort(other, bits) >= cohort for other in others)
        ),
    )


def _lane(profile: Profile, bits: int, cohort: int) -> Condition:
    right = (1 << (profile.lane_bits - 1)) - 1
    return Condition(
        name="lane holds its sum",
        formula="n M < 2^(L-1)",
        left=cohort * value_bound(bits),
        right=right,
        largest_cohort=right // value_bound(bits),
    )


def _cipher(profile: Profile, bits: int, cohort: int) -> tuple[Condition, ...]:
    """The conditions of the scheme itself."""
    match profile:
        case BfvProfile():
            return _bfv_slot(profile, bits, cohort), _bfv_noise(profile, cohort)
        case KaheProfile():
            return (_kahe_noise(profile, cohort),)
        case _:
            raise CapacityError(f"no proof is known for profile {profile.name}")


def _bfv_slot(profile: BfvProfile, bits: int, cohort: int) -> Condition:
    ones = sum(1 << (index * profile.lane_bits) for index in range(profile.lanes))
    right = profile.slot_bound
    return Condition(
        name="slot holds its lanes",
        formula="n M (1+2^L) < t/2" if profile.lanes == 2 else "n M < t/2",
        left=cohort * value_bound(bits) * ones,
        right=right,
        largest_cohort=right // (value_bound(bits) * ones),
    )


def _bfv_noise(profile: BfvProfile, cohort: int) -> Condition:
    one = 2 * MAX_ERROR + 1 + (1 << profile.dropped_bits if profile.dropped_bits else 0)
    right = profile.data_prime // profile.plain_modulus
    return Condition(
        name="noise below 1/2 step",
        formula="n(2E+1+2^b) + 2 <= q/t" if profile.dropped_bits else "n(2E+1) + 2 <= q/t",
        left=cohort * one + 2,
        right=right,
        largest_cohort=(right - 2) // one,
    )


def _kahe_noise(profile: KaheProfile, cohort: int) -> Condition:
    one = TAIL + (1 << profile.dropped_bits >> 1)
    right = (1 << (profile.scale_bits - 1)) - 1
    return Condition(
        name="noise below 1/2 step",
        formula=f"n({TAIL}+2^(d-1)) < 2^(k-1)",
        left=cohort * one,
        right=right,
        largest_cohort=right // one,
    )


def _digits(profile: Profile, cohort: int) -> Condition:
    one = (1 << profile.digit_bits) - 1
    return Condition(
        name="slot holds tag digits",
        formula=f"n (2^{profile.digit_bits}-1) <= T",
        left=cohort * one,
        right=profile.slot_bound,
        largest_cohort=profile.slot_bound // one,
    )


def _words(cohort: int) -> Condition:
    """The most words that are added (``crypto.addition``)."""
    return Condition(
        name="largest cohort",
        formula=f"n <= {MAX_CONTRIBUTIONS}",
        left=cohort,
        right=MAX_CONTRIBUTIONS,
        largest_cohort=MAX_CONTRIBUTIONS,
    )


def _most_bits(exact: Callable[[int], bool]) -> int:
    return max((bits for bits in range(2, MOST_BITS + 1) if exact(bits)), default=0)
