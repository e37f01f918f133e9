"""Parameter sets of key-additive encryption, and the proof that a sum under one of them is exact.

The rule kept here: a profile is looked up by its name or chosen for a cohort, never built from bytes; all numbers are
Python's integers.

Terms: q = 2^60. A slot m enters a ciphertext as m 2^k (k: ``scale_bits``), and a word is a residue without its d lowest
bits (``dropped_bits``), (60 - d) / 8 bytes. Words add with wrap-around, so a sum is as wide as an upload.

Security: N, q and the standard deviation are the same in all; k, d and the lanes enter the correctness only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from securefl.crypto.kahe.parameters import Q_BITS, TAIL
from securefl.crypto.profiles import MAX_CONTRIBUTIONS, Profile

LARGEST_LANES: Final = 2
_WORDS: Final = (4, 5, 6, 7)
"""Widths of a word, bytes: d is 28, 20, 12 or 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KaheProfile(Profile):
    """One parameter set; its name has k, lanes x bits of a lane, and d: ``k20-2x20-d12``.

    A sum of n contributions, each of slots from values within B (``exact_cohort``) and encrypted by ``scheme``, is
    exact when three things hold; write L for the bits of a lane.

    *(i) The noise stays below half a step.* A word stands for the residue c0 = m 2^k + e - a s, |e| <= 87, moved by at
    most 2^(d-1) when d bits are rounded away. So the total's phase is

        total 2^d + a S = (sum m) 2^k + v mod q,    |v| <= n (87 + 2^(d-1)),

    and rounding the centred phase to the next multiple of 2^k gives sum m if n (87 + 2^(d-1)) < 2^(k-1). The product
    a S is an exact integer (``ring``).

    *(ii) A lane holds its sum.* n B + tail < 2^(L-1), tail being what noise may add to the sum of one value. Then the
    packed sum is at most (2^(L-1) - 1)(1 + 2^L) < 2^(2L-1) = 2^(59-k) for two lanes, since k = 60 - 2L, and likewise
    for one: it is its own centred residue modulo 2^(60-k).

    *(iii) A slot holds the tag's digits.* n (2^w - 1) < 2^(59-k) for digits of w bits: w is 18, or as many as fit for
    the most contributions that (i) admits (``digit_bits``).

    Attributes:
        scale_bits: k.
    """

    scale_bits: int

    @property
    def title(self) -> str:
        """The scheme and its numbers, in one line for people."""
        degree = self.poly_modulus_degree
        return f"key-additive encryption, N = {degree}, q = 2^{Q_BITS}, values times 2^{self.scale_bits}"

    @property
    def numbers(self) -> Mapping[str, int]:
        """The bits of q, and k."""
        return {"modulus_bits": Q_BITS, "scale_bits": self.scale_bits}

    @property
    def word_bytes(self) -> int:
        """Width of a word, the same up and down."""
        return (Q_BITS - self.dropped_bits) // 8

    @property
    def slot_bound(self) -> int:
        """Largest magnitude of a signed slot, of one contribution or of a sum: below 2^(59-k)."""
        return (1 << (Q_BITS - 1 - self.scale_bits)) - 1

    @property
    def max_cohort(self) -> int:
        """Most contributions that condition (i) admits."""
        one = TAIL + (1 << self.dropped_bits >> 1)
        return min(((1 << (self.scale_bits - 1)) - 1) // one, MAX_CONTRIBUTIONS)


def _rows(word_bytes: int, lanes: int) -> tuple[KaheProfile, ...]:
    """The profiles of a width: the widest lanes for each cohort, so that none holds less than another and adds less."""
    dropped = Q_BITS - 8 * word_bytes
    rows: dict[int, KaheProfile] = {}
    for lane_bits in range(8, Q_BITS // lanes):
        scale = Q_BITS - lanes * lane_bits
        name = f"k{scale}-{lanes}x{lane_bits}-d{dropped}"
        row = KaheProfile(name=name, lanes=lanes, lane_bits=lane_bits, dropped_bits=dropped, scale_bits=scale)
        if row.max_cohort > 1:
            rows[row.max_cohort] = row
    return tuple(rows.values())


KAHE_PROFILES: Final[tuple[KaheProfile, ...]] = tuple(
    row
    for word_bytes, lanes in sorted(
        ((word_bytes, lanes) for word_bytes in _WORDS for lanes in range(1, LARGEST_LANES + 1)),
        key=lambda pair: (pair[0] / pair[1], pair[1]),
    )
    for row in _rows(word_bytes, lanes)
)
"""All profiles, cheapest upload first, and of one width those of the largest cohorts first."""
