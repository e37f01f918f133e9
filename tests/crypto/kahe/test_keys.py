from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.errors import AuthenticationError, ProtocolError

N = 4096


def test_fresh_keys_differ_and_are_short() -> None:
    one, other = ShortKey.fresh(), ShortKey.fresh()
    assert not np.array_equal(one.coefficients, other.coefficients)
    assert int(np.abs(one.coefficients).max()) <= 87
    assert 5 < float(one.coefficients.std()) < 8


def test_a_key_comes_from_the_entropy_that_it_is_given() -> None:
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    assert np.array_equal(ShortKey.fresh(entropy).coefficients, ShortKey.fresh(entropy).coefficients)
    assert asked == [32, 32]


def test_neither_keys_nor_sums_show_themselves() -> None:
    key = ShortKey.fresh()
    assert repr(key) == "ShortKey(<redacted>)"
    assert repr(KeySum(key.coefficients, contributors=1)) == "KeySum(contributors=1, <redacted>)"


@pytest.mark.parametrize("form", [pickle.dumps, copy.copy, copy.deepcopy])
def test_neither_keys_nor_sums_have_a_form_in_bytes(form: object) -> None:
    key = ShortKey.fresh()
    for secret in (key, KeySum(key.coefficients, contributors=1)):
        with pytest.raises(ProtocolError, match="no form in bytes"):
            form(secret)  # type: ignore[operator]


def test_a_keys_coefficients_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ShortKey.fresh().coefficients[0] = 1


@pytest.mark.parametrize("contributors", [1, 2, 16, 100, 1000])
def test_a_sum_at_both_bounds_is_accepted_and_one_beyond_either_is_refused(contributors: int) -> None:
    largest = int((14 * 6.4) * contributors**0.5 * (1 + 1e-12))
    norm_squared = 64 * N * contributors
    accepted = np.zeros(N, np.int64)
    accepted[0] = largest
    assert KeySum(accepted, contributors=contributors).contributors == contributors
    too_large = accepted.copy()
    too_large[0] += 1
    too_long = np.full(N, int((norm_squared / N) ** 0.5) + 1, np.int64)
    for refused in (too_large, -too_large, too_long):
        with pytest.raises(AuthenticationError, match="do not add up to a sum of"):
            KeySum(refused, contributors=contributors)


@pytest.mark.parametrize("contributors", [1, 3, 16, 357, 1000])
def test_honest_sums_are_accepted(keys: list[ShortKey], contributors: int) -> None:
    total = sum((key.coefficients for key in keys[:contributors]), np.zeros(N, np.int64))
    KeySum(total, contributors=contributors)


def test_what_wrong_shares_combine_to_is_refused() -> None:
    uniform = np.random.default_rng(1).integers(-32760, 32761, N)
    with pytest.raises(AuthenticationError):
        KeySum(uniform, contributors=1000)


@pytest.mark.parametrize("contributors", [500, 700, 1000])
def test_a_sum_within_both_bounds_that_no_split_makes_exact_is_refused_like_any_other(
    contributors: int,
) -> None:
    # Reveals of c_max members, and a server that shows them with the fewest others, can combine to it.
    chosen = np.full(N, {500: 176, 700: 208, 1000: 240}[contributors], np.int64)
    with pytest.raises(AuthenticationError, match="do not add up to a sum of"):
        KeySum(chosen, contributors=contributors)


@pytest.mark.parametrize("contributors", [0, -1])
def test_a_sum_of_nobody_is_refused(contributors: int) -> None:
    with pytest.raises(AuthenticationError):
        KeySum(np.zeros(N, np.int64), contributors=contributors)


def test_a_sum_of_another_degree_is_refused() -> None:
    with pytest.raises(AuthenticationError):
        KeySum(np.zeros(2048, np.int64), contributors=2)
