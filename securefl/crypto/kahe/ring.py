"""Exact products of public and short polynomials in Z[X]/(X^N + 1), N = 4096, by floating-point transforms.

The rule kept here: a product is the integer polynomial and nothing near it. The proof below bounds the error of every
coefficient by less than 1/2, so that rounding gives the integer; the bound on the short factor is checked before a
transform, and the distance to the nearest integer after it.

*The transform.* A polynomial x of degree below N, read as the N/2 complex numbers z_j = x_j + i x_(j + N/2), is its
image modulo X^(N/2) - i. With w = exp(i pi / N), so that w^(N/2) = i, the twist z_j w^j turns products modulo
X^(N/2) - i into cyclic products of length M = N/2 = 2^11, which a complex fast Fourier transform of length M computes.

*The error.* Write u = 2^-53 for the unit round-off of float64, n = 11, |.| for the Euclidean norm. A complex addition
has a relative error of at most u, a complex multiplication of at most sqrt(5) u (Brent, Percival, Zimmermann, Math.
Comp. 76, 2007, theorem 1), a root of unity of at most beta = 2.5 u (numpy computes its roots to less; ``self_test`` and
``tests/crypto/kahe/test_ring.py`` look at both). A product is three transforms (two forward, one back) of n levels with
one addition and one multiplication a level, one multiplication of spectra, and the three twists, which are one more
multiplication by a root each. With theorem 5.1 of Percival (Math. Comp. 72, 2003; corrected in the paper above),

    largest error of a coefficient <= |a| |s| ((1 + u)^(3n) (1 + sqrt(5) u)^(3n + 4) (1 + beta)^(3n + 3) - 1)
                                   <= 205.75 u |a| |s| <= 206 u |a| |s|,

since 33 + 37 sqrt(5) + 36 * 2.5 = 205.735 and the terms of second order are below 2^-80. The radix-4 and radix-8 steps
of numpy's transform do fewer operations on a path than the radix-2 steps counted here.

*Exact.* A limb of a public coefficient is at most 2^29 in magnitude, so |a| <= sqrt(4096) 2^29 = 2^35. For |s| <= 637

    205.75 * 2^-53 * 2^35 * 637 = 0.49997 < 1/2,

and a sum of keys with a larger norm is split in two, S = L + 2^j H, each half within 637. A coefficient is at most
|a| |s| < 2^45 (Cauchy, Schwarz), far below the 2^51 that ``_ROUNDER`` rounds.

In practice the error is near 10^-3 and never was above 0.02; ``|x - rint x| < 1/4`` is checked for every coefficient,
so that a transform outside these assumptions raises instead of giving a wrong integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from securefl.crypto.kahe.modulus import LIMB_BITS, Integers, Modulus
from securefl.crypto.profiles import DEGREE
from securefl.crypto.words import Words
from securefl.errors import CapacityError, UsageError

LARGEST_NORM: Final = 637
"""Largest Euclidean norm of a short polynomial whose products are proven exact."""
LARGEST_LIMB: Final = 1 << (LIMB_BITS - 1)
"""Largest magnitude of a limb of a public coefficient: 2^29."""
_HALF: Final = DEGREE // 2
_LARGEST_SHIFT: Final = 12
_ROUNDER: Final = 1.5 * 2.0**52
"""Added to a number below 2^51, it rounds it to an integer, which then stands in the low bits of the float."""
_ROUNDER_BITS: Final = int(np.float64(_ROUNDER).view(np.int64))
_TWIST: Final = np.exp(1j * np.pi / DEGREE * np.arange(_HALF))
_UNTWIST: Final = np.conj(_TWIST)

Limbs = NDArray[np.int32]
"""(k, 2, N) int32: of k public polynomials the low limbs and the high ones, each in [-2^29, 2^29)."""
Complexes = NDArray[np.complex128]
Word = TypeVar("Word", np.int64, np.uint64)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Spectrum:
    """A short polynomial, transformed once for all products with it; ``repr`` shows nothing of it.

    Attributes:
        parts: Pairs (j, spectrum of P) whose 2^j P add up to it: one, or two where its norm asks for them.
    """

    parts: tuple[tuple[int, Complexes], ...]

    def __repr__(self) -> str:
        return "Spectrum(<redacted>)"


def spectrum_of(short: Integers) -> Spectrum:
    """Transform a short polynomial.

    Args:
        short: (N,) int64: a key, or a sum of keys.

    Raises:
        CapacityError: if its norm is above what two halves within ``LARGEST_NORM`` can hold.
        UsageError: if this machine's transform is not exact (``self_test``), once a process at first use.
    """
    self_test()
    return Spectrum(tuple((shift, _forward(part)) for shift, part in _halves(short)))


def products(limbs: Limbs, spectrum: Spectrum, modulus: Modulus) -> Words:
    """Multiply public polynomials by a short one.

    Args:
        limbs: (k, 2, N) int32, the public polynomials.
        spectrum: The short polynomial's.
        modulus: q.

    Returns:
        (k, N) words modulo q, exact.

    Raises:
        UsageError: if a coefficient lies 1/4 or more from an integer: this machine does not compute as proven.
    """
    transformed = _forward(limbs)
    (shift, one), *others = spectrum.parts
    total = _product(transformed * one if others else np.multiply(transformed, one, out=transformed), modulus)
    total <<= np.uint64(shift)
    for shift, one in others:
        product = _product(np.multiply(transformed, one, out=transformed), modulus)
        product <<= np.uint64(shift)
        total += product
    return total


@cache
def self_test() -> None:
    """Multiply extreme vectors whose products are known, once a process.

    The product of the constant polynomials a and s has the coefficients a s (2 j + 2 - N), and that of alternating
    ones the same with alternating signs; a monomial moves coefficients. All are at the limits of the proof.

    Raises:
        UsageError: if one product is another.
    """
    signs = 1 - 2 * (np.arange(DEGREE) & 1)
    ramp = 2 * np.arange(DEGREE) + 2 - DEGREE
    for low, short, expected in (
        (np.full(DEGREE, -LARGEST_LIMB), np.full(DEGREE, 9), -9 * LARGEST_LIMB * ramp),
        (-LARGEST_LIMB * signs, 9 * signs, -9 * LARGEST_LIMB * ramp * signs),
        (-LARGEST_LIMB * signs, LARGEST_NORM * (np.arange(DEGREE) == 1), _moved(-LARGEST_LIMB * signs)),
    ):
        spectrum = Spectrum(((0, _forward(short.astype(np.int64))),))
        values = _rounded(_forward(low.astype(np.int32)) * spectrum.parts[0][1])
        if not np.array_equal(_coefficients(values), expected):
            raise _inexact()


def _moved(polynomial: Integers) -> Integers:
    """The polynomial times ``LARGEST_NORM`` X."""
    moved = np.roll(polynomial, 1)
    moved[0] = -moved[0]
    return LARGEST_NORM * moved


def _halves(short: Integers) -> tuple[tuple[int, Integers], ...]:
    """Pairs (j, P) whose 2^j P add up to the polynomial, each P within ``LARGEST_NORM``."""
    if _is_proven(short):
        return ((0, short),)
    for shift in range(1, _LARGEST_SHIFT):
        high = (short + (1 << shift >> 1)) >> shift
        low = short - (high << shift)
        if _is_proven(low) and _is_proven(high):
            return (0, low), (shift, high)
    raise CapacityError("a polynomial is too long for exact products", hint="this is no sum of short keys")


def _is_proven(short: Integers) -> bool:
    return int(np.abs(short).max()) <= LARGEST_NORM and int(np.dot(short, short)) <= LARGEST_NORM**2


def _forward(polynomials: Limbs | Integers) -> Complexes:
    """(..., N) integers to (..., N/2) spectra."""
    values = np.empty((*polynomials.shape[:-1], _HALF), dtype=np.complex128)
    values.real = polynomials[..., :_HALF]
    values.imag = polynomials[..., _HALF:]
    values *= _TWIST
    return np.fft.fft(values, axis=-1, out=values)


def _product(spectra: Complexes, modulus: Modulus) -> Words:
    """(k, 2, N/2) spectra of the products of both limbs, which are consumed, to (k, N) words."""
    limbs = _rounded(spectra)
    return _coefficients(modulus.joined(limbs[:, 0], limbs[:, 1]))


def _rounded(spectra: Complexes) -> Integers:
    """(..., N/2) spectra, which are consumed, to (..., N) integers, real and imaginary parts in turn.

    Raises:
        UsageError: if one lies 1/4 or more from an integer.
    """
    values = np.fft.ifft(spectra, axis=-1, out=spectra)
    values *= _UNTWIST
    reals = values.view(np.float64)
    shifted = reals + _ROUNDER
    reals -= shifted - _ROUNDER
    # A comparison with a NaN is false, so this refuses NaN too.
    if not (float(reals.max()) < 0.25 and float(reals.min()) > -0.25):
        raise _inexact()
    integers = shifted.view(np.int64)
    integers -= _ROUNDER_BITS
    return integers


def _coefficients(values: NDArray[Word]) -> NDArray[Word]:
    """Real and imaginary parts in turn, to coefficients in order."""
    ordered = np.empty_like(values)
    ordered[..., :_HALF] = values[..., 0::2]
    ordered[..., _HALF:] = values[..., 1::2]
    return ordered


def _inexact() -> UsageError:
    return UsageError(
        "this machine's Fourier transform is not exact enough for encryption",
        hint="install the numpy wheel of constraints.txt, and check the machine's memory if that is installed already",
    )
