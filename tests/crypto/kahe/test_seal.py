"""SEAL judges this code: with its prime in the place of 2^60, its decryptor opens our sums with S as its key.

The linear encoding m 2^k is what SEAL decrypts under the plain modulus floor(q / 2^k).
"""

from __future__ import annotations

import numpy as np
import pytest
from support.seal_oracle import PrimePolynomials, SealOracle, SealPrime

from securefl.crypto.bfv_profiles import DATA_PRIME
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.kahe.profiles import KaheProfile
from securefl.crypto.kahe.scheme import Decryptor, Encryptor

PRIME = SealPrime()
rng = np.random.default_rng(9)


def profile_of(scale_bits: int, dropped_bits: int) -> KaheProfile:
    return KaheProfile(name="seal", lanes=1, lane_bits=20, dropped_bits=dropped_bits, scale_bits=scale_bits)


@pytest.mark.parametrize("kind", ["random", "top", "bottom"])
@pytest.mark.parametrize(
    ("scale_bits", "dropped_bits", "cohort"),
    [(22, 14, 2), (20, 14, 4), (14, 6, 16), (14, 0, 64), (14, 4, 86), (16, 6, 100)],
)
def test_seal_opens_our_sums_as_we_do(
    scale_bits: int, dropped_bits: int, cohort: int, kind: str, keys: list[ShortKey]
) -> None:
    profile, public = profile_of(scale_bits, dropped_bits), PrimePolynomials(cohort, 1)
    plain_modulus = DATA_PRIME >> scale_bits
    largest = (plain_modulus // 2 - 1) // cohort
    slots = {
        "random": rng.integers(-largest, largest + 1, (cohort, 1, 4096)),
        "top": np.full((cohort, 1, 4096), largest),
        "bottom": np.full((cohort, 1, 4096), -largest),
    }[kind]
    words = np.zeros((1, 4096), np.uint64)
    for key, one in zip(keys, slots, strict=False):
        words += Encryptor(profile, key=key, public=public, modulus=PRIME).encrypt(one, first=0)
    secret = sum((key.coefficients for key in keys[:cohort]), np.zeros(4096, np.int64))
    ours = Decryptor(profile, key=KeySum(secret, contributors=cohort), public=public, modulus=PRIME).decrypt(
        words, first=0
    )
    total = PRIME.reduced(words << np.uint64(dropped_bits))[0]
    seals = SealOracle(secret, plain_modulus=plain_modulus).open(total, public.residues[0])
    assert np.array_equal(seals, slots.sum(axis=0)[0])
    assert np.array_equal(ours[0], seals)
