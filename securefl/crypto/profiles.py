"""Parameter sets as packing, tags and plans need them: lanes, bounds, and the largest cohort that is added exactly.

The rule kept here: a cohort whose sum could come out wrong by one is refused before anything is encrypted. Numbers and
proofs are those of a scheme: ``bfv_profiles`` and ``kahe.profiles``; ``schemes`` chooses among them.

Terms: a *slot* is one coefficient of the plaintext polynomial, a signed integer. A *lane* is a range of bits of a slot
that holds one value. N is the degree.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from securefl.errors import CapacityError

DEGREE = 4096
"""N: coefficients, and so slots, of one ciphertext."""
TAG_BITS = 54
"""Width of a section's tag (``tags``)."""
TAG_DIGIT_BITS = 18
"""Width of a digit of the tag, one a slot, wherever sums of so many digits fit a slot."""
MAX_CONTRIBUTIONS = 1000
"""Largest cohort: that many words add up within 64 bits, or modulo a power of two, before anything is reduced."""


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
    def title(self) -> str:
        """The scheme and its numbers, in one line for people."""

    @property
    @abstractmethod
    def numbers(self) -> Mapping[str, int]:
        """The scheme's own numbers, by name."""

    @property
    @abstractmethod
    def slot_bound(self) -> int:
        """Largest magnitude of a signed slot, of one contribution or of a sum."""

    @property
    @abstractmethod
    def word_bytes(self) -> int:
        """Width of one uploaded word, a ciphertext having N of them."""

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


def value_bound(precision_bits: int) -> int:
    """Largest magnitude of a value of so many bits, sign included.

    Raises:
        CapacityError: if ``precision_bits`` is below 2.
    """
    if precision_bits < 2:
        raise CapacityError(f"{precision_bits} bits hold no value", hint="set precision_bits to 2 or more")
    return (1 << (precision_bits - 1)) - 1


def exact_cohort(profile: Profile, precision_bits: int, *, noise_tail: int = 0) -> int:
    """Most contributions of so many bits a value whose decrypted sum equals the sum of integers; 0 if none.

    A contribution's values are integers x with |x| <= M = 2^(precision_bits - 1) - 1. Three things must hold for n of
    them: a lane holds its sum and what noise adds to it, n M + tail <= ``lane_bound``; the cipher's noise stays below
    half a step, n <= ``max_cohort``; and a slot holds the sum of n digits of the tag, which ``digit_bits`` sees to for
    every n up to ``max_cohort``. The schemes prove their bounds: ``BfvProfile`` and ``KaheProfile``.

    Guarantee: with at most so many contributions, each packed from values within M and encrypted under this profile,
    the unpacked sum equals the sum of the integers bit for bit: in the worst case, not with some probability. Assumes
    members who contribute what the layout says.

    Args:
        profile: The parameters.
        precision_bits: Bits of one value, sign included; at least 2.
        noise_tail: Largest magnitude, in grid steps, of what noise adds to the sum of one value.

    Raises:
        CapacityError: if ``precision_bits`` is below 2.
    """
    return min(max(0, profile.lane_bound - noise_tail) // value_bound(precision_bits), profile.max_cohort)
