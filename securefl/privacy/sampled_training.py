"""The example-level release: the steps of DP-SGD that one member takes in a round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from securefl.errors import ConfigError
from securefl.privacy.events import SampledGaussian

Clipping = Literal["flat", "per-layer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledTraining:
    """Parameters of a member's private training in one round.

    Every step draws each row independently with ``sampling_probability``, clips each drawn row's gradient to ``clip``
    in the Euclidean norm (under ``per-layer`` to clip / sqrt(number of tensors) for each tensor, so that the whole has
    the same norm), adds them up, and adds Gaussian noise of standard deviation ``noise_multiplier`` times ``clip`` to
    every coordinate. The event is of one row; where ``max_per_group`` bounds a person's rows to m, a plan's guarantee
    for persons is not this event's, and ``group_size`` says m.

    Attributes:
        noise_multiplier: z.
        clip: C, largest norm of one row's gradient.
        clipping: How C is shared between tensors.
        sampling_probability: q; the expected batch is q times the rows.
        steps: Steps of a round.
        group_size: Most rows of one person; 1 where rows are what is protected.
    """

    noise_multiplier: float
    clip: float
    clipping: Clipping
    sampling_probability: float
    steps: int
    group_size: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.clip < math.inf or self.group_size < 1:
            raise ConfigError(
                f"a clip of {self.clip:g} and {self.group_size} rows a person", hint="both are positive"
            )

    @property
    def event(self) -> SampledGaussian:
        """A round's charge.

        Of a person's m rows J are drawn, and change a step's sum by up to J C. J is at most m, and above 0 with a
        probability of at most m q, so m times a coin of probability min(1, m q) dominates it; a mixture of Gaussians
        whose shifts are dominated diverges less (Choquette-Choo et al. 2023, arXiv 2310.15526, on mixtures of
        Gaussians). The event is that of the coin: noise of z / m, sampled with min(1, m q).
        """
        return SampledGaussian(
            noise_multiplier=self.noise_multiplier / self.group_size,
            sampling_probability=min(1.0, self.sampling_probability * self.group_size),
            steps=self.steps,
        )
