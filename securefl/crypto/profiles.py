"""Named BFV parameter sets, and the proof that a sum under one of them is exact.

The rule kept here: a profile is looked up by its name or chosen for a cohort, never built from bytes, and a
cohort whose sum could come out wrong by one is refused before anything is encrypted.

Terms: a *slot* is one coefficient of the plaintext polynomial, an integer modulo t. A *lane* is a range of
bits of a slot that holds one value. q is the data prime, t the plain modulus, N the degree.

Security: every profile has N = 4096, a ternary secret and log2(q * special) = 109 bits, which the
homomorphic encryption standard (Albrecht et al., 2018, table 1) puts at 128 bits; SEAL refuses to build a
context otherwise. t and the number of dropped bits enter the correctness only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from securefl.errors import CapacityError

DEGREE = 4096
"""N: coefficients, and so slots, of one ciphertext."""
DATA_PRIME = 18014398509309953
"""q, 54 bits: what ciphertexts are reduced by; ``CoeffModulus.Create(4096, [54, 55])`` of SEAL."""
SPECIAL_PRIME = 36028797018652673
"""55 bits, the second of that chain: SEAL's key-switching prime, which only the secret key carries here."""
MAX_ERROR = 21
"""Largest error of one coefficient of a fresh symmetric encryption: SEAL 4 draws a centred binomial of 2 x 21
bits (``sample_poly_cbd``); its other sampler, a normal clipped at 6 x 3.2, stays below."""
TAG_SLOTS = 2
"""The last slots of a section's last ciphertext, which hold its tags (``tags``) and no values."""
TAG_BITS = 54
"""Width of a section's tag (``tags``)."""
TAG_DIGIT_BITS = 18
"""Width of a digit of the tag, one a slot, wherever sums of so many digits fit a slot."""
MAX_CONTRIBUTIONS = 1000
"""Largest cohort: that many residues below 2^54 add up within 64 bits before anything is reduced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(ABC):
    """One parameter set, as packing and tags need it: lanes of signed slots.

    Attributes:
        name: Unique among all schemes.
        lanes: Values in one slot.
        lane_bits: Distance of two lanes, in bits.
        dropped_bits: Low bits of each residue that are rounded away before it is sent.
        poly_modulus_degree: N.
    """

    name: str
    lanes: int
    lane_bits: int
    dropped_bits: int
    poly_modulus_degree: int = DEGREE

    @property
    @abstractmethod
    def slot_bound(self) -> int:
        """Largest magnitude of a signed slot, of one contribution or of a sum."""

    @property
    @abstractmethod
    def max_cohort(self) -> int:
        """Most contributions whose noise decrypts exactly at any precision."""

    @property
    def lane_bound(self) -> int:
        """Largest magnitude all lanes may reach at once, so that lanes and slots hold their sums."""
        ones = sum(1 << (index * self.lane_bits) for index in range(self.lanes))
        return min((1 << (self.lane_bits - 1)) - 1, self.slot_bound // ones)

    @property
    def digit_bits(self) -> int:
        """Width of a tag's digit: 18 bits, or fewer where sums of so many digits would not fit a slot."""
        return min(TAG_DIGIT_BITS, (self.slot_bound // self.max_cohort + 1).bit_length() - 1)

    @property
    def tag_slots(self) -> int:
        """Slots of a section's last ciphertext that hold its tag (``tags``) and no values."""
        return -(-TAG_BITS // self.digit_bits)

    @property
    def values_per_ciphertext(self) -> int:
        """Values that a ciphertext holds which no tag is in: any but the last."""
        return self.lanes * self.poly_modulus_degree

    def ciphertexts_for(self, values: int) -> int:
        """Ciphertexts that hold so many values and the tag; the last one may be partly empty."""
        slots = -(-values // self.lanes) + self.tag_slots
        return -(-slots // self.poly_modulus_degree)


@dataclass(frozen=True, slots=True, kw_only=True)
class BfvProfile(Profile):
    """One parameter set of BFV; its name has t's bits, lanes x bits of a lane, dropped bits: ``t40-2x20-d6``.

    Attributes:
        plain_modulus: t, a prime = 1 mod 2N.
        data_prime: q.
        special_prime: The prime that only the key carries.
    """

    plain_modulus: int
    data_prime: int = DATA_PRIME
    special_prime: int = SPECIAL_PRIME

    @property
    def tag_slots(self) -> int:
        """Slots of a section's last ciphertext that hold its tags (``tags``) and no values."""
        return TAG_SLOTS

    @property
    def slot_bound(self) -> int:
        """Largest magnitude of a signed slot: t is odd, so what is below t / 2 is at most (t - 1) / 2."""
        return (self.plain_modulus - 1) // 2

    @property
    def max_cohort(self) -> int:
        """Most contributions whose noise decrypts exactly at any precision: the third condition of ``exact_cohort``."""
        truncation = 1 << self.dropped_bits if self.dropped_bits else 0
        room = self.data_prime // self.plain_modulus - 2
        return min(room // (2 * MAX_ERROR + 1 + truncation), MAX_CONTRIBUTIONS)


def _row(plain_modulus: int, lanes: int, lane_bits: int, dropped_bits: int) -> BfvProfile:
    name = f"t{plain_modulus.bit_length()}-{lanes}x{lane_bits}-d{dropped_bits}"
    return BfvProfile(
        name=name, plain_modulus=plain_modulus, lanes=lanes, lane_bits=lane_bits, dropped_bits=dropped_bits
    )


PROFILES: tuple[BfvProfile, ...] = (
    # Bytes up for one value: 2.5
    _row(8589852673, 2, 16, 14),
    _row(17179754497, 2, 17, 14),
    _row(68719403009, 2, 18, 14),
    _row(274877816833, 2, 19, 14),
    # 3.0
    _row(68719403009, 2, 18, 6),
    _row(274877816833, 2, 19, 6),
    _row(1099511480321, 2, 20, 6),
    _row(4398046486529, 2, 21, 6),
    _row(17592186028033, 2, 22, 6),
    # 3.5
    _row(274877816833, 2, 19, 0),
    _row(1099511480321, 2, 20, 0),
    _row(4398046486529, 2, 21, 0),
    _row(17592186028033, 2, 22, 0),
    _row(70368743669761, 2, 23, 0),
    # 5.0: one lane, for high precision in large cohorts
    _row(1073692673, 1, 30, 14),
    _row(8589852673, 1, 33, 14),
    # 6.0
    _row(68719403009, 1, 36, 6),
)
"""All profiles, cheapest upload first. Each t is the largest prime of its bit length that is 1 mod 8192."""


def exact_cohort(profile: Profile, precision_bits: int, *, noise_tail: int = 0) -> int:
    """Most contributions of so many bits a value whose decrypted sum equals the sum of integers; 0 if none.

    A contribution's values are integers x with |x| <= M = 2^(precision_bits - 1) - 1. Write n for the number
    of contributions, b for the dropped bits, L for the distance of lanes. Three things must hold.

    *A lane holds its sum.* Unpacking with borrow gives back every lane s with -2^(L-1) <= s < 2^(L-1):

        n M < 2^(L-1).

    *A slot holds its lanes.* The packed sum, at most n M (1 + 2^L + ...), must be the centred residue mod t:

        n M (1 + 2^L + ...) < t / 2.

    *The noise stays below half a step.* SEAL encrypts m as (c0, a), c0 = round(q m / t) - a s - e mod q,
    where |e| <= E = 21 (``MAX_ERROR``) and the rounding errs by at most 1/2; a is sent as a seed, exactly.
    Rounding b bits of c0 away moves it by at most 2^(b-1) (nothing for b = 0). So the sum of n contributions
    has the phase

        C0 + A s = q (sum m) / t + v mod q,    |v| <= n (E + 1/2 + 2^(b-1)),

    where multiples of t in sum m are multiples of q and vanish. Decryption takes round(t phase / q) mod t,
    which is right for |v| < q / (2t). SEAL computes it with an auxiliary modulus gamma of about 2^61
    (Bajard, Eynard, Hasan, Zucca, SAC 2016, lemma 1), which with one data prime costs q / (t gamma) < 1 of
    that room. One unit is kept for it:

        n (2E + 1 + 2^b) + 2 <= q / t    (2^b is 0 for b = 0).

    Everything is computed in Python's integers.

    Guarantee: with at most so many contributions, each packed from values within M and encrypted by ``bfv``,
    the unpacked sum equals the sum of the integers bit for bit: in the worst case, not with some
    probability. Assumes SEAL's sampler as cited (SEAL 4, ``native/src/seal/util/rlwe.cpp``), and members who
    contribute what the layout says.

    Args:
        profile: The parameters.
        precision_bits: Bits of one value, sign included; at least 2.
        noise_tail: Largest magnitude, in grid steps, of what noise adds to the sum of one value; it is taken off the
            lane's room.

    Raises:
        CapacityError: if ``precision_bits`` is below 2.
    """
    if precision_bits < 2:
        raise CapacityError(f"{precision_bits} bits hold no value", hint="set precision_bits to 2 or more")
    bound = (1 << (precision_bits - 1)) - 1
    return min(max(0, profile.lane_bound - noise_tail) // bound, profile.max_cohort)


def profile_for(cohort: int, precision_bits: int) -> Profile:
    """The profile with the smallest upload under which a sum of ``cohort`` contributions is exact.

    Raises:
        CapacityError: if there is none; the hint names the largest precision for this cohort and the largest
            cohort for this precision.
    """
    if not 1 <= cohort <= MAX_CONTRIBUTIONS:
        raise CapacityError(
            f"a cohort of {cohort} has no exact sum", hint=f"a cohort has 1 to {MAX_CONTRIBUTIONS} members"
        )
    for profile in PROFILES:
        if exact_cohort(profile, precision_bits) >= cohort:
            return profile
    bits = precision_bits
    while not any(exact_cohort(profile, bits) >= cohort for profile in PROFILES):
        bits -= 1
    members = max(exact_cohort(profile, precision_bits) for profile in PROFILES)
    fewer = f", or at most {members} members at {precision_bits} bits" if members else ""
    raise CapacityError(
        f"no profile adds {cohort} contributions of {precision_bits} bits exactly",
        where="grid.precision_bits",
        hint=f"precision_bits = {bits} works for this cohort{fewer}",
    )


def profile_named(name: str) -> Profile:
    """The profile of that name.

    Raises:
        CapacityError: if this version has none of that name.
    """
    for profile in PROFILES:
        if profile.name == name:
            return profile
    raise CapacityError(
        f"there is no profile {name!r}",
        hint=f"this version knows {', '.join(profile.name for profile in PROFILES)}",
    )
