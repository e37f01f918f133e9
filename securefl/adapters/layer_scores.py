"""Scores of layers: from a member's Fisher information to integers, and from their sums to a prior.

The rule kept here: scores are summed over all members, in rounds that the federation file names; all that follows is
computed from the sums in whole numbers, so that every member draws the same layers.

A layer's score at a member is the mean, over the parameters of its adapter and some of the member's own rows, of the
squared gradient of one row's loss: the diagonal of the empirical Fisher information. It leaves the member as a part of
its largest, so that no member is louder. The sums are cut into three groups by one-dimensional k-means, and a layer is
drawn in proportion to 1, 2 or 3 by the rank of its group: the paper's 1/27, 2/27 and 1/9, renormalised.

    >>> group_weights([5, 100, 7, 52, 101, 50])
    (1, 3, 1, 2, 3, 2)

Every scoring round releases sums of another function of the members' data, for its adapter is another one; a member's
data are in all of them, as they are in all mean updates.

Reference: Fed-HeLLo, arXiv 2506.12213 (FIM-HLA), which takes scores from a server's proxy data.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from securefl.errors import TrainingError

GROUPS = 3


def score_steps(scores: NDArray[np.float64], *, layers: int, limit: int) -> NDArray[np.int64]:
    """A member's scores (L,) as the integers that it sends: parts of its largest, from 0 to ``limit``.

    Raises:
        TrainingError: if there is not one for each layer, or one is negative or not finite.
    """
    if scores.shape != (layers,) or not (np.isfinite(scores).all() and (scores >= 0).all()):
        raise TrainingError(f"there must be {layers} scores of layers, finite and not negative")
    largest = float(scores.max(initial=0.0))
    return np.rint(scores / largest * limit if largest > 0 else scores).astype(np.int64)


def group_weights(sums: Sequence[int]) -> tuple[int, ...]:
    """Weight of each layer in a draw: 3 in the group of the largest sums, then 2, then 1.

    The groups are the ones with the least sum of squared distances to their means, of consecutive sums in order; of
    equally good ones those that come first. With fewer than three different sums there are fewer groups.
    """
    values = sorted(set(sums))
    groups = min(GROUPS, len(values))
    counts = [sum(each == value for each in sums) for value in values]
    cuts = min(
        combinations(range(1, len(values)), groups - 1),
        key=lambda cut: sum(
            _spread(values[start:stop], counts[start:stop])
            for start, stop in zip((0, *cut), (*cut, len(values)), strict=True)
        ),
    )
    lower = GROUPS - groups + 1
    return tuple(lower + sum(values.index(each) >= cut for cut in cuts) for each in sums)


def _spread(values: Sequence[int], counts: Sequence[int]) -> Fraction:
    """Sum of squared distances to the mean of values that come so many times."""
    total = sum(counts)
    first = sum(count * value for value, count in zip(values, counts, strict=True))
    second = sum(count * value * value for value, count in zip(values, counts, strict=True))
    return second - Fraction(first * first, total)
