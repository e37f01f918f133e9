"""The client-level mechanism on canaries: members whose whole updates are known, in or out by coins.

The rule kept here: canaries go through the mechanism's own clipping, rotation and rounding, and the noise is that of h
honest shares, as many as a charge counts on; so an attacker sees the least noise that a sum may have.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.errors import ConfigError
from securefl.privacy import integer_sensitivity
from securefl.privacy.events import DistributedGaussian, DistributedSkellam
from securefl.privacy.mechanism import ClientMechanism, Integers
from securefl.privacy.noise_level import NoiseLevels
from securefl.privacy.noise_stream import SYSTEM, Entropy, NoiseStream

LOUDNESS: Final = 10.0
"""Norm of a canary's update before it is clipped, by the clip."""
PARTS: Final = 10
"""Parts of the values that are looked at one by one."""
_DOMAIN: Final = b"securefl/v2/client-canaries\x00"


@dataclass(frozen=True, slots=True)
class CanarySums:
    """Sums with canaries in them, as their reader saw them.

    Attributes:
        included: (m,) true for canaries whose updates were in every sum.
        scores: (m,) sum over the rounds of the value on a canary's coordinate, by the clip.
        noise: Levels of all shares of noise, by a share's deviation as it was charged.
    """

    included: NDArray[np.bool_]
    scores: NDArray[np.float64]
    noise: NoiseLevels


def mechanism_of(event: DistributedGaussian | DistributedSkellam, *, clip: float) -> ClientMechanism:
    """Find the mechanism whose charge an event is.

    Raises:
        ConfigError: if there is none, so that the charge is of no release of this program.
    """
    low, high = 1, 1 << 40
    while low < high:
        middle = (low + high) // 2
        squared = integer_sensitivity.squared_l2(clip_steps=middle, dimension=event.dimension)
        low, high = (middle + 1, high) if squared < event.squared_sensitivity else (low, middle)
    mechanism = ClientMechanism(
        noise="discrete-gaussian" if isinstance(event, DistributedGaussian) else "skellam",
        dimension=event.dimension,
        clip=clip,
        clip_steps=low,
        share_variance=event.share_variance,
        honest=event.honest,
    )
    if mechanism.event != event:
        raise ConfigError(
            "a charge of unit client is of no mechanism of this program", hint="look at its ledger"
        )
    return mechanism


def sum_canaries(
    mechanism: ClientMechanism, *, canaries: int, rounds: int = 1, entropy: Entropy = SYSTEM
) -> CanarySums:
    """Sum canary updates under the mechanism, and score each by its own coordinate.

    Args:
        mechanism: Of every round.
        canaries: m, at most as many as the mechanism has values.
        rounds: Rounds of it.
        entropy: Where coins and noise come from; another one than the operating system's is for tests.
    """
    canaries = min(canaries, mechanism.dimension)
    stream = NoiseStream(entropy)
    included = stream.fractions(canaries) < 0.5
    scores, noise = np.zeros(canaries), NoiseLevels()
    for number in range(rounds):
        seed = hashlib.sha256(_DOMAIN + number.to_bytes(8, "big")).digest()
        sums = np.zeros(mechanism.dimension, dtype=np.int64)
        for place in np.flatnonzero(included):
            update = np.zeros(mechanism.dimension)
            update[place] = LOUDNESS * mechanism.clip
            sums += mechanism.rounded(update, rotation_seed=seed, stream=stream)
        for share in _shares(mechanism, stream, noise):
            sums += share
        scores += mechanism.decode(sums, rotation_seed=seed)[:canaries] / mechanism.clip
    return CanarySums(included, scores, noise)


def _shares(mechanism: ClientMechanism, stream: NoiseStream, noise: NoiseLevels) -> Iterator[Integers]:
    """The h shares of a round; each is looked at in parts, and beside the one before it."""
    deviation, before = math.sqrt(mechanism.share_variance), None
    for _ in range(mechanism.honest):
        share = mechanism.with_noise(np.zeros(mechanism.dimension, dtype=np.int64), stream=stream)
        for number, part in enumerate(np.array_split(share / deviation, PARTS), start=1):
            noise.see(f"part {number} of {PARTS} of an update's values", part)
        if before is None:
            before = share
        else:
            # Each share is in one pair, so that pairs are independent.
            noise.see("the difference of two members' shares", (share - before) / (deviation * math.sqrt(2)))
            before = None
        yield share
