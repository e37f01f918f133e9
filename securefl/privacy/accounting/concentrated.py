"""Bounds for sums of integer noise, which no library has ready.

*Sums of discrete Gaussians.* The sum of h independent N_Z(0, v) is no discrete Gaussian, but its probabilities are
within a factor exp(tau) of those of N_Z(0, h v), with tau = 10 sum_{k=1}^{h-1} exp(-2 pi^2 v k / (k + 1))
(Kairouz, Liu, Steinke 2021, arXiv 2102.06387, section 4). For d coordinates tau is taken d times.

*As a Gaussian mechanism.* Let w = h v - 2 > 0, draw c from N(0, w), and x from the discrete Gaussian of variance 2 that
is centred at c. The probability of x is

    integral of  phi_w(c) rho(x - c) / R(c) dc,   rho(y) = exp(-y^2 / 4),   R(c) = sum of rho over Z - c,

and by Poisson's summation R(c) = sqrt(4 pi) (1 + t) with |t| <= eta = 2 sum_{k>=1} exp(-4 pi^2 k^2) < 1e-16. With R
constant the integral is proportional to exp(-x^2 / (2 h v)); so x is N_Z(0, h v), up to a factor within
(1 + eta) / (1 - eta) (Peikert, CRYPTO 2010, theorem 3.1, says the same of lattices). Shifting c by an integer shifts
x by it. Hence an integer vector with noise N_Z(0, h v) on each coordinate is post-processing of the same vector with
Gaussian noise of variance w, up to exp(kappa) with kappa = d (tau + 3 eta).

If P', Q' are within exp(+-kappa) of P, Q, and (P, Q) are (e, f)-close, then P', Q' are (e + 2 kappa, f exp(kappa))-
close. So epsilon rises by 2 kappa, and delta is lowered by exp(-kappa) beforehand.

*Skellam.* Its tails are heavier than a Gaussian's, and only its Renyi divergence is bounded, at integer orders above 1:
a D2^2 / (2 v) + min{((2 a - 1) D2^2 + 6 D1) / (4 v^2), 3 D1 / (2 v)} (Agarwal, Kairouz, Liu 2021, arXiv 2110.04995).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from securefl.privacy import integer_sensitivity
from securefl.privacy.events import DistributedGaussian, DistributedSkellam, SampledGaussian

SMOOTHING_VARIANCE: Final = 2
"""Share of the variance that is given up so that the rest is a Gaussian's."""
ETA: Final = 1e-16
"""Above 2 sum exp(-4 pi^2 k^2) = 1.43e-17."""


@dataclass(frozen=True, slots=True)
class Line:
    """A bound xi + rho a of the Renyi divergence at order a."""

    rho: float
    xi: float


@dataclass(frozen=True, slots=True)
class AsGaussian:
    """Noise as a Gaussian mechanism.

    Attributes:
        event: The mechanism.
        kappa: Logarithm of the factor between the probabilities of both.
    """

    event: SampledGaussian
    kappa: float


def tau(event: DistributedGaussian) -> float:
    """Logarithm of the factor between a coordinate's noise and a discrete Gaussian of the same variance."""
    v = float(event.share_variance)
    return 10 * sum(math.exp(-2 * math.pi**2 * v * k / (k + 1)) for k in range(1, event.honest))


def as_gaussian(event: SampledGaussian | DistributedGaussian) -> AsGaussian | None:
    """The Gaussian mechanism that noise is post-processing of; None where its variance is too small for that."""
    if isinstance(event, SampledGaussian):
        return AsGaussian(event, 0.0)
    left = event.variance - SMOOTHING_VARIANCE
    if left <= 0:
        return None
    multiplier = math.sqrt(left / event.squared_sensitivity)
    return AsGaussian(
        SampledGaussian(noise_multiplier=multiplier, sampling_probability=1.0, steps=1),
        event.dimension * (tau(event) + 3 * ETA),
    )


def gaussian_line(event: DistributedGaussian) -> Line:
    """Bound of the Renyi divergence of summed discrete Gaussians, at every order above 1.

    Without tau it is a D2^2 / (2 h v). With it, the two bounds of op. cit. that are proportional to a: the smaller.
    """
    base = math.sqrt(event.squared_sensitivity / event.variance)
    slack, d = tau(event), event.dimension
    l1 = integer_sensitivity.l1(squared=event.squared_sensitivity, dimension=d)
    spread = math.sqrt(event.variance)
    squared = min(base**2 + 2 * l1 * slack / spread + slack**2 * d, (base + math.sqrt(d) * slack) ** 2)
    return Line(rho=squared / 2, xi=0.0)


def skellam_lines(event: DistributedSkellam) -> tuple[Line, Line]:
    """Two bounds of the Renyi divergence of Skellam noise, each valid at integer orders above 1."""
    v, squared = float(event.variance), event.squared_sensitivity
    l1 = integer_sensitivity.l1(squared=squared, dimension=event.dimension)
    second = Line(
        rho=squared / (2 * v) + squared / (2 * v * v), xi=max(0.0, (6 * l1 - squared) / (4 * v * v))
    )
    return second, Line(rho=squared / (2 * v), xi=3 * l1 / (2 * v))
