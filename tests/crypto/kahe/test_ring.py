from __future__ import annotations

from collections.abc import Iterator

import mpmath
import numpy as np
import pytest
from support.references import load_reference

from securefl.crypto.kahe import ring
from securefl.crypto.kahe.modulus import Q
from securefl.errors import CapacityError, UsageError

N, LIMIT = 4096, 1 << 29
reference = load_reference("kahe")
rng = np.random.default_rng(11)


def expected(limbs: np.ndarray, short: np.ndarray) -> list[list[int]]:
    """Residues modulo 2^60 by Python's integers."""
    rows = [(low.astype(object) + (high.astype(object) << 30)).tolist() for low, high in limbs]
    return [[x % (1 << 60) for x in reference.product(row, short.tolist())] for row in rows]


def computed(limbs: np.ndarray, short: np.ndarray) -> list[list[int]]:
    return Q.reduced(ring.products(limbs.astype(np.int32), ring.spectrum_of(short), Q)).tolist()


def shorts() -> Iterator[np.ndarray]:
    """Short polynomials at the limit of the proof: even, alternating, one large coefficient, random."""
    signs = 1 - 2 * (np.arange(N) & 1)
    yield np.full(N, 9)
    yield 9 * signs
    yield ring.LARGEST_NORM * (np.arange(N) == N - 1)
    gaussian = np.rint(rng.normal(0, 9.9, N)).astype(np.int64)
    while np.dot(gaussian, gaussian) > ring.LARGEST_NORM**2:
        gaussian[np.abs(gaussian).argmax()] //= 2
    yield gaussian


def longs() -> Iterator[np.ndarray]:
    """Sums of many keys, and extreme ones of the same size."""
    yield np.rint(rng.normal(0, 6.4 * 1000**0.5, N)).astype(np.int64)
    yield np.rint(rng.normal(0, 64, N)).astype(np.int64)
    yield 150 * (1 - 2 * (np.arange(N) & 1))
    yield 2800 * (np.arange(N) % 512 == 0)


def publics() -> Iterator[np.ndarray]:
    signs = 1 - 2 * (np.arange(N) & 1)
    yield np.stack([np.full(N, -LIMIT), np.full(N, -LIMIT)])
    yield np.stack([np.where(signs > 0, LIMIT - 1, -LIMIT), np.where(signs < 0, LIMIT - 1, -LIMIT)])
    yield rng.integers(-LIMIT, LIMIT, (2, N))
    yield LIMIT * rng.choice([-1, 1], (2, N)).clip(-1, 0) + (LIMIT - 1) * rng.choice([0, 1], (2, N))


@pytest.mark.parametrize("short", [*shorts(), *longs()])
def test_products_are_those_of_pythons_integers(short: np.ndarray) -> None:
    limbs = np.stack(list(publics()))
    assert computed(limbs, short.astype(np.int64)) == expected(limbs, short)


def test_a_sum_of_keys_within_the_proof_is_one_part_and_a_longer_one_is_two() -> None:
    parts = [len(ring.spectrum_of(short.astype(np.int64)).parts) for short in (*shorts(), *longs())]
    assert parts == [1, 1, 1, 1, 2, 2, 2, 2]


def test_both_halves_of_a_long_sum_are_within_the_proof_and_add_up_to_it() -> None:
    for short in longs():
        (zero, low), (shift, high) = ring._halves(short.astype(np.int64))
        assert zero == 0
        assert np.array_equal(low + (high << shift), short)
        assert max(np.linalg.norm(low), np.linalg.norm(high)) <= ring.LARGEST_NORM


def test_a_polynomial_that_is_no_sum_of_keys_is_refused() -> None:
    with pytest.raises(CapacityError, match="too long for exact products"):
        ring.spectrum_of(np.full(N, 1 << 20))


def test_the_bound_of_the_proof_is_below_one_half_at_the_largest_norm() -> None:
    """The docstring's numbers, with all terms of higher order, in 60 digits."""
    with mpmath.workdps(60):
        u, n, root = mpmath.mpf(2) ** -53, 11, mpmath.sqrt(5)
        factor = (1 + u) ** (3 * n) * (1 + root * u) ** (3 * n + 4) * (1 + mpmath.mpf("2.5") * u) ** (
            3 * n + 3
        ) - 1
        assert factor < mpmath.mpf("205.75") * u
        assert mpmath.mpf("205.75") * u * mpmath.sqrt(N) * LIMIT * ring.LARGEST_NORM < mpmath.mpf("0.5")


def test_roots_of_unity_are_as_exact_as_the_proof_assumes() -> None:
    """The twists, and those inside numpy's transform: the spectrum of X is its roots after one level each."""
    u = 2.0**-53
    with mpmath.workdps(40):
        twists = [mpmath.expjpi(mpmath.mpf(j) / N) for j in range(0, N // 2, 37)]
        worst = max(abs(mpmath.mpc(ring._TWIST[37 * i]) - twist) for i, twist in enumerate(twists))
        unit = np.zeros(N // 2, complex)
        unit[1] = 1
        roots = np.fft.fft(unit)
        worst_inside = max(
            abs(mpmath.mpc(roots[j]) - mpmath.expjpi(mpmath.mpf(-4 * j) / N)) for j in range(0, N // 2, 37)
        )
    assert float(worst) < 2.5 * u
    assert float(worst_inside) < 2.5 * u


def test_the_self_test_refuses_a_transform_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    ring.self_test.cache_clear()
    monkeypatch.setattr(ring, "_UNTWIST", ring._UNTWIST * (1 + 1e-12))
    with pytest.raises(UsageError, match="not exact enough"):
        ring.self_test()
    monkeypatch.undo()
    ring.self_test()


def test_a_coefficient_off_the_integers_is_refused_as_it_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    spectrum = ring.spectrum_of(np.full(N, 9))
    limbs = np.full((1, 2, N), -LIMIT, np.int32)
    ring.products(limbs, spectrum, Q)
    monkeypatch.setattr(ring, "_UNTWIST", ring._UNTWIST * (1 + 1e-13))
    with pytest.raises(UsageError, match="not exact enough"):
        ring.products(limbs, spectrum, Q)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_transform_that_gives_no_number_is_refused(bad: float) -> None:
    values = np.zeros((1, 2, N // 2), complex)
    values[0, 0, 0] = bad
    with pytest.raises(UsageError, match="not exact enough"), np.errstate(invalid="ignore"):
        ring._rounded(values)


def test_a_spectrum_shows_nothing() -> None:
    assert repr(ring.spectrum_of(np.ones(N, np.int64))) == "Spectrum(<redacted>)"
