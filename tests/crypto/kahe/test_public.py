from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from securefl.crypto.kahe.public import MAX_ROWS, PublicPolynomials
from securefl.errors import CapacityError

PUBLIC = PublicPolynomials(bytes(32), section=0)


def test_a_row_is_the_same_wherever_a_window_begins() -> None:
    rows = PUBLIC.limbs(0, 6)
    assert np.array_equal(PUBLIC.limbs(2, 3), rows[2:5])
    assert np.array_equal(PUBLIC.limbs(5, 1), rows[5:])


@pytest.mark.parametrize(
    "other", [PublicPolynomials(bytes(31) + b"\x01", section=0), PublicPolynomials(bytes(32), section=1)]
)
def test_another_attempt_or_section_has_other_polynomials(other: PublicPolynomials) -> None:
    assert np.mean(other.limbs(0, 1) == PUBLIC.limbs(0, 1)) < 0.01


def test_limbs_are_uniform_over_all_30_bits() -> None:
    limbs = PUBLIC.limbs(0, 64).astype(np.int64)
    assert (limbs.min(), limbs.max()) >= (-(1 << 29), -(1 << 29))
    assert limbs.max() < 1 << 29
    shifted = limbs + (1 << 29)
    for values in (shifted >> 22, shifted & 255):
        assert chisquare(np.bincount(values.reshape(-1), minlength=256)).pvalue > 1e-4


def test_the_largest_section_ends_before_the_counter_does() -> None:
    assert PUBLIC.limbs(MAX_ROWS - 1, 1).shape == (1, 2, 4096)
    with pytest.raises(CapacityError, match="too many ciphertexts"):
        PUBLIC.limbs(MAX_ROWS - 1, 2)
