"""Largest change that one member can make to the sum of integers, as exact integers.

The rule kept here: a float takes no part. The bound is a property of what ``rounding.require_norm`` accepts, not of the
clipping, so a slip of floating point before it cannot make it wrong.

Adjacency is zero-out: in the neighbouring sum the member takes part with the zero vector, and its participation is
public. Let z be the integers of that member before noise. The two sums differ by z, and z has passed

    ||z||_2^2 <= S(K, d) = min{ (K + sqrt d)^2,  K^2 + d/4 + K + sqrt(d)/2 },  rounded down,

for a clip of K steps and d coordinates. So the L2 sensitivity is sqrt(S). For integers |z_i| <= z_i^2, hence
||z||_1 <= S, and by Cauchy and Schwarz ||z||_1 <= sqrt(d S): the L1 sensitivity is the smaller of both.

S is the bound of Kairouz, Liu, Steinke (arXiv 2102.06387, equation 2) at beta = exp(-1/2), where
sqrt(2 ln(1/beta)) = 1: randomised rounding of a vector of norm K exceeds it with a probability of at most beta, so a
draw is accepted with a probability of 0.39 or more.
"""

from __future__ import annotations

from math import isqrt


def squared_l2(*, clip_steps: int, dimension: int) -> int:
    """S: the largest squared Euclidean norm of a member's integers before noise.

    Args:
        clip_steps: K, the clip in grid steps.
        dimension: d, the number of integers.
    """
    always = clip_steps**2 + dimension + isqrt(4 * clip_steps**2 * dimension)
    likely = clip_steps**2 + clip_steps + (dimension + isqrt(4 * dimension)) // 4
    return min(always, likely)


def l1(*, squared: int, dimension: int) -> int:
    """The largest sum of magnitudes of integers whose squared Euclidean norm is at most ``squared``."""
    return min(squared, isqrt(dimension * squared))
