from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.crypto.bfv_profiles import BFV_PROFILES, DATA_PRIME
from securefl.crypto.linearform import LinearForms
from securefl.crypto.tags import TAG_PRIME

LARGEST = 2**54 - 1
MODULI = sorted({DATA_PRIME, TAG_PRIME} | {profile.plain_modulus for profile in BFV_PROFILES})


def by_big_integers(coefficients: list[list[int]], rows: np.ndarray, modulus: int) -> list[list[int]]:
    return [
        [sum(a * x for a, x in zip(form, row, strict=True)) % modulus for form in coefficients]
        for row in rows.tolist()
    ]


def drawn(modulus: int, forms: int, seed: int = 1) -> list[list[int]]:
    return np.random.default_rng(seed).integers(0, modulus, (forms, 4096)).tolist()


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("coefficient", ["largest", "limbs full", "drawn"])
@pytest.mark.parametrize("word", [LARGEST, 2**32 - 1, 2**54 - 2**32, 1])
def test_the_largest_words_under_the_largest_coefficients_are_exact(
    modulus: int, coefficient: str, word: int
) -> None:
    forms = {
        "largest": [[modulus - 1] * 4096],
        "limbs full": [[2 ** (modulus.bit_length() - 1) - 1] * 4096],
        "drawn": drawn(modulus, 2),
    }[coefficient]
    rows = np.full((2, 4096), word, dtype=np.uint64)
    assert LinearForms(forms, modulus).of(rows).tolist() == by_big_integers(forms, rows, modulus)


def test_every_limb_at_its_largest_is_exact_and_one_more_bit_would_not_be() -> None:
    # A prime just below 2^54 whose multiples by 2^32 have full limbs cannot be chosen; the matrix can.
    forms = LinearForms([[0] * 4096], DATA_PRIME)
    forms._matrix = np.full_like(forms._matrix, 2**9 - 1)
    rows = np.full((1, 4096), LARGEST, dtype=np.uint64)
    limb = 4096 * (2**9 - 1) * (2**32 - 1 + 2**22 - 1)
    expected = sum(limb << 9 * index for index in range(6)) % DATA_PRIME
    assert forms.of(rows).tolist() == [[expected]]
    assert limb < 2**53 <= 4096 * (2**10 - 1) * (2**32 - 1)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    modulus=st.sampled_from(MODULI),
    rows=st.integers(0, 40),
    forms=st.integers(1, 3),
    degree=st.sampled_from([1, 2, 8, 64]),
)
def test_forms_agree_with_big_integers(seed: int, modulus: int, rows: int, forms: int, degree: int) -> None:
    rng = np.random.default_rng(seed)
    coefficients = rng.integers(0, modulus, (forms, degree)).tolist()
    words = rng.integers(0, 2**54, (rows, degree), dtype=np.uint64)
    words[rng.random(words.shape) < 0.1] = LARGEST
    values = LinearForms(coefficients, modulus).of(words)
    assert values.shape == (rows, forms)
    assert values.tolist() == by_big_integers(coefficients, words, modulus)


@given(seed=st.integers(0, 2**32))
def test_the_form_of_a_sum_is_the_sum_of_forms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    forms = LinearForms(drawn(DATA_PRIME, 1), DATA_PRIME)
    first, second = rng.integers(0, DATA_PRIME, (2, 3, 4096), dtype=np.uint64)
    total = forms.of((first + second) % np.uint64(DATA_PRIME))
    assert np.array_equal(total, (forms.of(first) + forms.of(second)) % np.uint64(DATA_PRIME))


def test_rows_that_lie_apart_in_memory_are_read_as_they_are() -> None:
    forms = LinearForms(drawn(DATA_PRIME, 1), DATA_PRIME)
    table = np.random.default_rng(2).integers(0, DATA_PRIME, (8, 2, 4096), dtype=np.uint64)
    assert np.array_equal(forms.of(table[::2, 1]), forms.of(table[::2, 1].copy()))


def test_forms_show_nothing_of_their_coefficients() -> None:
    assert repr(LinearForms([[1, 2]], 7)) == "LinearForms(<redacted>)"
