"""The client-level mechanism: an update as noisy integers that may be added, and their sum as an update again.

The rule kept here: clip, rotate, put on the grid, round, check the integer norm, add noise: in this order, once, and
integers from rounding to release. Every member adds its share of the noise on *every* coordinate, whether it owns the
coordinate or not.

    >>> import numpy as np
    >>> from fractions import Fraction
    >>> mechanism = ClientMechanism(noise="skellam", dimension=300, clip=1.0, clip_steps=200,
    ...                             share_variance=Fraction(64), honest=6)
    >>> integers = mechanism.encode(np.full(300, 0.1), rotation_seed=bytes(32))
    >>> mechanism.decode(integers, rotation_seed=bytes(32)).shape
    (300,)

References: Kairouz, Liu, Steinke (arXiv 2102.06387) for the discrete Gaussian, Agarwal, Kairouz, Liu (arXiv 2110.04995)
for Skellam noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from securefl.errors import ConfigError, ProtocolError
from securefl.privacy import discrete_gaussian, integer_sensitivity, skellam
from securefl.privacy.clipping import clip_norm
from securefl.privacy.events import DistributedGaussian, DistributedSkellam
from securefl.privacy.noise_stream import SYSTEM, Entropy, NoiseStream
from securefl.privacy.rotation import Rotation
from securefl.privacy.rounding import require_norm, round_conditionally
from securefl.privacy.tables import SymmetricTable

NoiseName = Literal["discrete-gaussian", "skellam"]
Vector = NDArray[np.float64]
Integers = NDArray[np.int64]
LEAST_VARIANCE: Final = Fraction(4)
"""Below a share's standard deviation of 2 steps, sums of discrete Gaussians are no longer close to one."""
ROUNDING_VARIANCE: Final = 1 / 6
"""Of stochastic rounding, where fractions are spread evenly, as rotation makes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMechanism:
    """Parameters of one round's release, the same at every member.

    Attributes:
        noise: The distribution of a share.
        dimension: d, number of values of the payload.
        clip: C, the largest Euclidean norm of an update.
        clip_steps: K, the clip in grid steps; a step is C / K.
        share_variance: v, variance parameter of one member's share, in squared steps.
        honest: h, the fewest honest survivors of a round: h shares are accounted for, never more.

    Raises:
        ConfigError: if a parameter is out of its range; ``clip_steps`` in particular where rounding would more than
            double the norm.
    """

    noise: NoiseName
    dimension: int
    clip: float
    clip_steps: int
    share_variance: Fraction
    honest: int

    def __post_init__(self) -> None:
        if self.dimension < 1 or self.honest < 1 or not 0 < self.clip < math.inf:
            raise ConfigError(
                f"noise for {self.dimension} values, {self.honest} honest members and a clip of {self.clip:g}",
                hint="each of them is positive",
            )
        if 4 * self.clip_steps**2 < self.dimension:
            raise ConfigError(
                f"a clip of {self.clip_steps} grid steps for {self.dimension} values, which rounding would drown",
                hint="raise grid.precision_bits, or choose a smaller payload",
            )
        if self.share_variance < LEAST_VARIANCE:
            raise ConfigError(
                f"noise shares of variance {float(self.share_variance):g}, below {LEAST_VARIANCE} squared grid steps",
                hint="put the clipped update on a finer grid, or ask for a smaller epsilon",
            )

    @property
    def step(self) -> float:
        """Distance of two neighbouring grid points."""
        return self.clip / self.clip_steps

    @property
    def squared_sensitivity(self) -> int:
        """Largest squared Euclidean norm of a member's integers before noise; see ``integer_sensitivity``."""
        return integer_sensitivity.squared_l2(clip_steps=self.clip_steps, dimension=self.dimension)

    @property
    def largest_integer(self) -> int:
        """Largest magnitude that ``encode`` can give out: what a lane needs room for."""
        return isqrt(self.squared_sensitivity) + self._noise_tail

    @property
    def event(self) -> DistributedGaussian | DistributedSkellam:
        """A round's charge: h shares against the integer sensitivity."""
        kind = DistributedGaussian if self.noise == "discrete-gaussian" else DistributedSkellam
        return kind(
            dimension=self.dimension,
            squared_sensitivity=self.squared_sensitivity,
            share_variance=self.share_variance,
            honest=self.honest,
        )

    @property
    def noise_multiplier(self) -> float:
        """z: standard deviation of h shares by the sensitivity, what epsilon follows from."""
        return math.sqrt(self.honest * self.share_variance / self.squared_sensitivity)

    def released_multiplier(self, contributors: int) -> float:
        """Standard deviation of all that is added to a sum of so many members, rounding too, by the clip."""
        return math.sqrt(contributors * (float(self.share_variance) + ROUNDING_VARIANCE)) / self.clip_steps

    def encode(self, update: Vector, *, rotation_seed: bytes, entropy: Entropy = SYSTEM) -> Integers:
        """Make the integers that a member contributes.

        Args:
            update: (d,) float64, the change since the round's start, zero where the member owns nothing.
            rotation_seed: 32 public bytes of the round.
            entropy: Where the noise comes from; anything but the operating system is for tests.

        Returns:
            (d,) int64 within ``largest_integer``.

        Guarantee: a sum in which h honest members' shares are unknown to the reader hides any one of these members'
        updates to the epsilon and delta that ``accounting`` computes for ``event``, under zero-out adjacency; see
        ``sensitivity``. It assumes that each of them runs this function with fresh randomness, and ChaCha20.

        Raises:
            TrainingError: if the update is not finite.
            ProtocolError: if it has another length.
        """
        if update.shape != (self.dimension,):
            raise ProtocolError(f"an update of {update.size} values for noise of {self.dimension}")
        stream = NoiseStream(entropy)
        return self.with_noise(
            self.rounded(update, rotation_seed=rotation_seed, stream=stream), stream=stream
        )

    def rounded(self, update: Vector, *, rotation_seed: bytes, stream: NoiseStream) -> Integers:
        """Clip, rotate and round an update: (d,) int64 of a squared norm within the sensitivity, without noise."""
        clipped = clip_norm(np.asarray(update, dtype=np.float64), self.clip)
        rotated = Rotation(self.dimension, rotation_seed).apply(clipped)
        return round_conditionally(rotated / self.step, squared_bound=self.squared_sensitivity, stream=stream)

    def with_noise(self, integers: Integers, *, stream: NoiseStream) -> Integers:
        """Add a share of the noise to integers, once their norm has been checked.

        Raises:
            TrainingError: if they are longer than the sensitivity.
            ProtocolError: if there are fewer or more than the mechanism's, so that a coordinate had no noise.
        """
        if integers.shape != (self.dimension,):
            raise ProtocolError(f"{integers.size} integers for noise of {self.dimension}")
        require_norm(integers, squared_bound=self.squared_sensitivity)
        return integers + self._table().draw(self.dimension, stream)

    def decode(self, sums: Integers, *, rotation_seed: bytes) -> Vector:
        """Turn sums of contributions back: (d,) float64, the sum of the clipped updates and the noise."""
        return Rotation(self.dimension, rotation_seed).invert(sums.astype(np.float64) * self.step)

    @property
    def _noise_tail(self) -> int:
        if self.noise == "discrete-gaussian":
            return discrete_gaussian.tail_of(self.share_variance)
        return skellam.tail_of(self.share_variance)

    def _table(self) -> SymmetricTable:
        if self.noise == "discrete-gaussian":
            return discrete_gaussian.discrete_gaussian(self.share_variance)
        return skellam.skellam(self.share_variance)
