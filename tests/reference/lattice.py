"""BFV decryption by its definition, without SEAL: the secret's coefficients, the phase, and its noise.

References: Fan, Vercauteren, 2012/144, section 4; Longa, Naehrig, 2016/504 (the order of SEAL's transform).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def ternary_secret(row: Sequence[int], prime: int) -> list[int]:
    """The secret's coefficients (-1, 0, 1) from its values modulo one prime, as SEAL keeps them.

    SEAL's transform gives the values at psi^(2 br(j) + 1), psi the smallest primitive 2N-th root of one.
    """
    degree = len(row)
    inverse = pow(_smallest_root(prime, 2 * degree), -1, prime)
    bits = degree.bit_length() - 1
    twiddles = [pow(inverse, int(format(index, f"0{bits}b")[::-1], 2), prime) for index in range(degree)]
    a = list(row)
    distance, groups = 1, degree // 2
    while groups >= 1:
        for group in range(groups):
            twiddle = twiddles[groups + group]
            start = 2 * group * distance
            for j in range(start, start + distance):
                upper, lower = a[j], a[j + distance]
                a[j], a[j + distance] = (upper + lower) % prime, (upper - lower) * twiddle % prime
        distance, groups = 2 * distance, groups // 2
    scale = pow(degree, -1, prime)
    centred = [value * scale % prime for value in a]
    return [value - prime if value > prime // 2 else value for value in centred]


def phase(c0: Sequence[int], c1: Sequence[int], secret: Sequence[int], q: int) -> list[int]:
    """c0 + c1 s mod (X^N + 1, q)."""
    degree = len(c0)
    halves = np.array([[value & (2**27 - 1) for value in c1], [value >> 27 for value in c1]], dtype=np.int64)
    doubled = np.concatenate([-halves, halves], axis=1)
    product = np.zeros_like(halves)
    for power, sign in enumerate(secret):
        if sign:
            product += sign * doubled[:, degree - power : 2 * degree - power]
    low, high = product.tolist()
    return [(a + b + c * 2**27) % q for a, b, c in zip(c0, low, high, strict=True)]


def decrypted(phases: Sequence[int], *, q: int, t: int) -> list[int]:
    """round(t phase / q) mod t."""
    return [(2 * t * value + q) // (2 * q) % t for value in phases]


def noise_times_t(phases: Sequence[int], messages: Sequence[int], *, q: int, t: int) -> list[int]:
    """t v for the noise v of phase = q m / t + v mod q: an integer, centred modulo q t."""
    distances = [(t * value - q * message) % (q * t) for value, message in zip(phases, messages, strict=True)]
    return [value - q * t if value > q * t // 2 else value for value in distances]


def _smallest_root(prime: int, order: int) -> int:
    base = 2
    while pow(pow(base, (prime - 1) // order, prime), order // 2, prime) != prime - 1:
        base += 1
    root = pow(base, (prime - 1) // order, prime)
    square = root * root % prime
    smallest = power = root
    for _ in range(order // 2 - 1):
        power = power * square % prime
        smallest = min(smallest, power)
    return smallest
