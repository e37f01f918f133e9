"""Privacy loss distributions, by dp-accounting: tight for Gaussian noise, also on Poisson samples.

Discrete Gaussian noise is accounted for as the Gaussian mechanism that it is post-processing of (``concentrated``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from securefl.errors import ConfigError
from securefl.privacy.accounting.base import EXTRA_HINT, Accountant
from securefl.privacy.accounting.concentrated import AsGaussian, as_gaussian
from securefl.privacy.events import DistributedGaussian, Event, SampledGaussian


def gaussians(events: Mapping[Event, int]) -> list[tuple[AsGaussian, int]]:
    """Every event as a Gaussian mechanism, each so many times; those that are none are left out."""
    found = []
    for event, count in events.items():
        if isinstance(event, SampledGaussian | DistributedGaussian):
            gaussian = as_gaussian(event)
            if gaussian is not None:
                found.append((gaussian, count))
    return found


def is_gaussian(event: Event) -> bool:
    """True where an event is post-processing of a Gaussian mechanism."""
    return isinstance(event, SampledGaussian | DistributedGaussian) and as_gaussian(event) is not None


class PldAccountant(Accountant):
    """Privacy loss distributions on a grid, rounded against the claim.

    References: Koskela, Jaelkoe, Honkela 2020 (arXiv 1906.03049); Doroshenko et al. 2022 (arXiv 2207.04380).
    """

    name: ClassVar[str] = "pld"

    def supports(self, event: Event) -> bool:
        """True for Gaussian noise, also distributed and discrete; no such bound is known for Skellam noise."""
        return is_gaussian(event)

    def _epsilon(self, events: Mapping[Event, int], delta: float) -> float:
        accounting, found = _library(), gaussians(events)
        slack = sum(count * gaussian.kappa for gaussian, count in found)
        lowered = delta * math.exp(-slack)
        multiplier = _whole_multiplier(found)
        sampled = [(one.event, count) for one, count in found if one.event.sampling_probability < 1]
        if not sampled:
            # Without sampling all of it is one Gaussian, whose epsilon is known in closed form (Balle, Wang 2018).
            return float(accounting.get_epsilon_gaussian(multiplier, lowered)) + 2 * slack
        epsilon = float(_composed(accounting, multiplier, sampled).get_epsilon(lowered))
        return epsilon + 2 * slack if math.isfinite(epsilon) else math.inf


def advantage_of(event: SampledGaussian | DistributedGaussian, *, count: int) -> float:
    """Bound the advantage of any attacker who tells releases with a unit from those without it, from above.

    Args:
        event: A release that ``PldAccountant`` supports.
        count: How many times.

    Guarantee: the total variation distance between both is at most this: it is delta at epsilon 0.
    """
    accounting, found = _library(), gaussians({event: count})
    multiplier = _whole_multiplier(found)
    sampled = [(one.event, times) for one, times in found if one.event.sampling_probability < 1]
    slack = sum(times * gaussian.kappa for gaussian, times in found)
    distance = float(_composed(accounting, multiplier, sampled).get_delta(0.0))
    # Of probabilities within a factor exp(+-kappa) of others, each is off by at most exp(kappa) - 1 in all.
    return min(1.0, distance + 2 * math.expm1(slack))


def _composed(accounting: Any, multiplier: float, sampled: list[tuple[SampledGaussian, int]]) -> Any:
    """The library's accountant after one Gaussian, unless its noise is infinite, and sampled ones."""
    accountant = accounting.pld.PLDAccountant(accounting.NeighboringRelation.ADD_OR_REMOVE_ONE)
    if math.isfinite(multiplier):
        accountant.compose(accounting.GaussianDpEvent(multiplier))
    for event, count in sampled:
        accountant.compose(_sampled(accounting, event), event.steps * count)
    return accountant


def _whole_multiplier(found: list[tuple[AsGaussian, int]]) -> float:
    """Multiplier of the one Gaussian that all unsampled ones are together; infinite where there is none."""
    precision = sum(
        count * one.event.steps / one.event.noise_multiplier**2
        for one, count in found
        if one.event.sampling_probability == 1
    )
    return 1 / math.sqrt(precision) if precision else math.inf


def _sampled(accounting: Any, event: SampledGaussian) -> Any:
    return accounting.PoissonSampledDpEvent(
        event.sampling_probability, accounting.GaussianDpEvent(event.noise_multiplier)
    )


def _library() -> Any:
    """The library, imported where it is used: it takes seconds, and only this feature needs it."""
    try:
        import dp_accounting
        import dp_accounting.pld
    except ImportError:
        raise ConfigError("privacy accounting needs dp-accounting", hint=EXTRA_HINT) from None
    return dp_accounting
