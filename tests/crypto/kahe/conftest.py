"""Short keys, totals and public polynomials, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.kahe.profiles import KAHE_PROFILES, KaheProfile
from securefl.crypto.kahe.public import PublicPolynomials
from securefl.crypto.kahe.scheme import Decryptor, Encryptor

ATTEMPT = bytes(range(32))


@pytest.fixture(scope="session")
def keys() -> list[ShortKey]:
    """Enough keys for any cohort; tests only add with them, so that one key serves several sums."""
    return [ShortKey.fresh() for _ in range(1000)]


@pytest.fixture
def opened_sum(keys: list[ShortKey]) -> Callable[..., np.ndarray]:
    """What the sum of contributions opens to, each (k, N) slots."""

    def opened_sum(contributions: Sequence[np.ndarray], profile: KaheProfile) -> np.ndarray:
        public = PublicPolynomials(ATTEMPT, section=0)
        mask = np.uint64((1 << (8 * profile.word_bytes)) - 1)
        total = np.zeros(contributions[0].shape, dtype=np.uint64)
        for key, slots in zip(keys, contributions, strict=False):
            total += Encryptor(profile, key=key, public=public).encrypt(slots, first=0)
        used = keys[: len(contributions)]
        key_sum = KeySum(
            sum((key.coefficients for key in used), np.zeros(4096, np.int64)), contributors=len(used)
        )
        return Decryptor(profile, key=key_sum, public=public).decrypt(total & mask, first=0)

    return opened_sum


def profile_named(name: str) -> KaheProfile:
    return next(profile for profile in KAHE_PROFILES if profile.name == name)
