"""Named BFV parameter sets, and the proof that a sum under one of them is exact.

The rule kept here: a profile is looked up by its name or chosen for a cohort, never built from bytes.

Terms: q is the data prime, t the plain modulus; a slot is an integer modulo t, read as signed.

Security: every profile has N = 4096, a ternary secret and log2(q * special) = 109 bits, which the
homomorphic encryption standard (Albrecht et al., 2018, table 1) puts at 128 bits; SEAL refuses to build a
context otherwise. t and the number of dropped bits enter the correctness only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from securefl.crypto.profiles import MAX_CONTRIBUTIONS, Profile

DATA_PRIME = 18014398509309953
"""q, 54 bits: what ciphertexts are reduced by; ``CoeffModulus.Create(4096, [54, 55])`` of SEAL."""
SPECIAL_PRIME = 36028797018652673
"""55 bits, the second of that chain: SEAL's key-switching prime, which only the secret key carries here."""
MAX_ERROR = 21
"""Largest error of one coefficient of a fresh symmetric encryption: SEAL 4 draws a centred binomial of 2 x 21
bits (``sample_poly_cbd``); its other sampler, a normal clipped at 6 x 3.2, stays below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BfvProfile(Profile):
    """One parameter set of BFV; its name has t's bits, lanes x bits of a lane, dropped bits: ``t40-2x20-d6``.

    A sum of n contributions, of values within M (``profiles.exact_cohort``), is exact when three things hold; write b
    for the dropped bits, L for the distance of lanes.

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

    Everything is computed in Python's integers. Assumes SEAL's sampler as cited (SEAL 4,
    ``native/src/seal/util/rlwe.cpp``).

    Attributes:
        plain_modulus: t, a prime = 1 mod 2N.
        data_prime: q.
        special_prime: The prime that only the key carries.
    """

    plain_modulus: int
    data_prime: int = DATA_PRIME
    special_prime: int = SPECIAL_PRIME

    @property
    def title(self) -> str:
        """The scheme and its numbers, in one line for people."""
        return f"BFV, N = {self.poly_modulus_degree}, q = {self.data_prime}, t = {self.plain_modulus}"

    @property
    def numbers(self) -> Mapping[str, int]:
        """Both moduli, t and q."""
        return {"plain_modulus": self.plain_modulus, "data_prime": self.data_prime}

    @property
    def word_bytes(self) -> int:
        """Width of one uploaded residue."""
        largest = (self.data_prime - 1 + (1 << self.dropped_bits >> 1)) >> self.dropped_bits
        return -(-largest.bit_length() // 8)

    @property
    def slot_bound(self) -> int:
        """Largest magnitude of a signed slot: t is odd, so what is below t / 2 is at most (t - 1) / 2."""
        return (self.plain_modulus - 1) // 2

    @property
    def max_cohort(self) -> int:
        """Most contributions whose noise decrypts exactly at any precision: the third condition."""
        truncation = 1 << self.dropped_bits if self.dropped_bits else 0
        room = self.data_prime // self.plain_modulus - 2
        return min(room // (2 * MAX_ERROR + 1 + truncation), MAX_CONTRIBUTIONS)


def _row(plain_modulus: int, lanes: int, lane_bits: int, dropped_bits: int) -> BfvProfile:
    name = f"t{plain_modulus.bit_length()}-{lanes}x{lane_bits}-d{dropped_bits}"
    return BfvProfile(
        name=name, plain_modulus=plain_modulus, lanes=lanes, lane_bits=lane_bits, dropped_bits=dropped_bits
    )


BFV_PROFILES: tuple[BfvProfile, ...] = (
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
