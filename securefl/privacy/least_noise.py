"""Plans from targets: the least noise for a target epsilon, and the finest grid that has room for it.

The rule kept here: the noise that a plan states is the one whose epsilon was computed, after every rounding to whole
steps and fractions.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from math import isqrt
from typing import Final

from securefl.errors import CapacityError, ConfigError
from securefl.privacy import discrete_gaussian, integer_sensitivity, skellam
from securefl.privacy.accounting.accountants import AccountantName, accountant_named
from securefl.privacy.accounting.noise_calibration import least_multiplier
from securefl.privacy.events import DistributedGaussian, DistributedSkellam
from securefl.privacy.mechanism import LEAST_VARIANCE, ClientMechanism, NoiseName
from securefl.privacy.plan import PrivacyPlan
from securefl.privacy.sampled_training import Clipping, SampledTraining

FINEST: Final = 16
"""Most grid steps of a flat vector's coordinate at the clip; finer grids would change nothing."""
_VARIANCE_UNIT: Final = 16
"""Variances are whole sixteenths of a squared step."""


def plan_examples(
    *,
    target_epsilon: float,
    delta: float,
    accountant: AccountantName,
    clip: float,
    clipping: Clipping,
    rows: int,
    batch_size: int,
    steps: int,
    rounds: int,
    group_size: int = 1,
) -> PrivacyPlan:
    """Plan one member's private training.

    Args:
        target_epsilon: For the whole federation.
        delta: For the whole federation.
        accountant: Who computes epsilon.
        clip: Largest norm of a row's gradient.
        clipping: How it is shared between tensors.
        rows: Rows that the member trains on.
        batch_size: Expected rows of a step.
        steps: Steps of a round.
        rounds: Rounds.
        group_size: Most rows of one person.

    Raises:
        ConfigError: if delta is not below 1 / rows, or no noise keeps the target.
    """
    if delta * rows > 1:
        raise ConfigError(
            f"'privacy.delta' is {delta:g}, and a client trains on {rows} rows: it could publish a row and keep it",
            hint=f"write a delta below {1 / rows:.2g}",
        )
    # Wide enough for any noise: only the multiplier is looked for.
    release = SampledTraining(
        noise_multiplier=1.0,
        clip=clip,
        clipping=clipping,
        sampling_probability=min(1.0, batch_size / rows),
        steps=steps,
        group_size=group_size,
    )
    multiplier = least_multiplier(
        lambda z: (replace(release, noise_multiplier=z).event,) * rounds,
        target_epsilon=target_epsilon,
        delta=delta,
        accountant=accountant_named(accountant),
    )
    return PrivacyPlan(
        release=replace(release, noise_multiplier=multiplier),
        rounds=rounds,
        delta=delta,
        target_epsilon=target_epsilon,
        accountant=accountant,
    )


def plan_clients(
    *,
    target_epsilon: float,
    delta: float,
    accountant: AccountantName,
    clip: float,
    noise: NoiseName,
    dimension: int,
    honest: int,
    limit: int,
    rounds: int,
) -> PrivacyPlan:
    """Plan the distributed noise of a federation.

    Args:
        target_epsilon: For the whole federation.
        delta: For the whole federation.
        accountant: Who computes epsilon.
        clip: Largest norm of an update.
        noise: Distribution of a share.
        dimension: Values of the largest payload of any round.
        honest: h, the fewest honest survivors of a round.
        limit: Largest magnitude of an integer that a member may contribute.
        rounds: Rounds.

    Raises:
        ConfigError: if no noise keeps the target.
        CapacityError: if the integers have no room for update and noise.
    """

    def mechanism(multiplier: float) -> ClientMechanism:
        return fit_grid(multiplier, noise=noise, dimension=dimension, clip=clip, honest=honest, limit=limit)

    # Epsilon hardly depends on the grid, so the noise is found on an ideal one, and then on what the limit allows.
    ideal = least_multiplier(
        lambda z: (_ideal(z, noise=noise, dimension=dimension, honest=honest),) * rounds,
        target_epsilon=target_epsilon,
        delta=delta,
        accountant=accountant_named(accountant),
    )
    multiplier = ideal
    plan = PrivacyPlan(
        release=mechanism(multiplier),
        rounds=rounds,
        delta=delta,
        target_epsilon=target_epsilon,
        accountant=accountant,
    )
    while plan.epsilon > target_epsilon:
        multiplier *= 1.01
        plan = replace(plan, release=mechanism(multiplier))
    return plan


def _ideal(
    multiplier: float, *, noise: NoiseName, dimension: int, honest: int
) -> DistributedGaussian | DistributedSkellam:
    steps = max(64, FINEST * isqrt(dimension))
    squared = integer_sensitivity.squared_l2(clip_steps=steps, dimension=dimension)
    kind = DistributedGaussian if noise == "discrete-gaussian" else DistributedSkellam
    return kind(
        dimension=dimension,
        squared_sensitivity=squared,
        share_variance=share_variance(multiplier, squared=squared, honest=honest),
        honest=honest,
    )


def share_variance(multiplier: float, *, squared: int, honest: int) -> Fraction:
    """Variance of one of h shares that together have the multiplier, rounded up to sixteenths, at least 4."""
    wanted = math.ceil(multiplier**2 * squared / honest * _VARIANCE_UNIT)
    return max(LEAST_VARIANCE, Fraction(wanted, _VARIANCE_UNIT))


def fit_grid(
    multiplier: float, *, noise: NoiseName, dimension: int, clip: float, honest: int, limit: int
) -> ClientMechanism:
    """Find the finest useful grid on which update and noise share are within a limit.

    Raises:
        CapacityError: if there is none that rounding would not drown.
    """
    low, high = max(1, isqrt(dimension - 1) // 2 + 1), max(64, FINEST * isqrt(dimension)) + 1
    if not _fits(low, multiplier, noise=noise, dimension=dimension, honest=honest, limit=limit):
        raise CapacityError(
            f"integers up to {limit} have no room for an update of {dimension:,} values and its share of the noise",
            where="[privacy]",
            hint="raise grid.precision_bits, choose a smaller payload, or ask for a larger epsilon",
        )
    while high - low > 1:
        middle = (low + high) // 2
        fits = _fits(middle, multiplier, noise=noise, dimension=dimension, honest=honest, limit=limit)
        low, high = (middle, high) if fits else (low, middle)
    squared = integer_sensitivity.squared_l2(clip_steps=low, dimension=dimension)
    return ClientMechanism(
        noise=noise,
        dimension=dimension,
        clip=clip,
        clip_steps=low,
        share_variance=share_variance(multiplier, squared=squared, honest=honest),
        honest=honest,
    )


def _fits(
    steps: int, multiplier: float, *, noise: NoiseName, dimension: int, honest: int, limit: int
) -> bool:
    squared = integer_sensitivity.squared_l2(clip_steps=steps, dimension=dimension)
    variance = share_variance(multiplier, squared=squared, honest=honest)
    tail_of = discrete_gaussian.tail_of if noise == "discrete-gaussian" else skellam.tail_of
    try:
        return isqrt(squared) + tail_of(variance) <= limit
    except ConfigError:  # wider than any table
        return False
