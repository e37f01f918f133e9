"""The weights that make a sum into a mean, sent along under the same encryption.

The rule kept here: a client's weight, and with it its sample count, is never in clear: every contribution
carries one coordinate of weight for each partition, and only their sums are decrypted. What divides a
partition's sum is the weight of that partition's owners alone, else directions that only high-rank clients
hold would shrink every round (raFLoRA, arXiv 2602.13486).
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from securefl.adapters.grid import Integers
from securefl.adapters.ownership import Partition
from securefl.adapters.payloads.base import Segment, Vector
from securefl.errors import ConfigError, DataError, ProtocolError


def weight_steps(samples: int, *, cap: int, limit: int) -> int:
    """A client's weight min(1, samples / cap), in steps of 1 / limit.

    Args:
        samples: What the client trained on.
        cap: The count from which on every client weighs the same.
        limit: The grid's largest integer.

    Returns:
        1 to ``limit``: rounded to the nearest step, but never to nothing.

    Raises:
        DataError: if there are no samples.
        ConfigError: if the cap is below 1.
    """
    if samples < 1:
        raise DataError("a client without samples has nothing to contribute")
    if cap < 1:
        raise ConfigError(f"samples_cap is {cap}", hint="set it near the typical client's number of samples")
    return max(1, round(Fraction(min(samples, cap) * limit, cap)))


def partition_weights(partitions: Iterable[Partition], *, rank: int, steps: int) -> Integers:
    """The weight coordinates of a client: its weight where it owns the partition, 0 elsewhere; (P,) int64."""
    return np.array([steps if partition.owned_by(rank) else 0 for partition in partitions], dtype=np.int64)


def divide_by_weights(sums: Vector, *, segments: Iterable[Segment], weights: Vector) -> None:
    """Turns weighted sums (V,) into means, in place.

    Args:
        sums: Decoded sums over the cohort.
        segments: Which coordinates belong to which partition.
        weights: (P,) the sum of the owners' weights for each partition.

    Raises:
        ProtocolError: if a partition's weight is not positive: nobody who owns it contributed.
    """
    if not (weights > 0).all():
        raise ProtocolError(
            "a rank partition of the aggregate has no weight",
            where=f"partition {int(np.argmin(weights))}",
            hint="no owner of it contributed, or the aggregate is not a sum of contributions",
        )
    for segment in segments:
        sums[segment.offset : segment.offset + segment.size] /= weights[segment.partition]
