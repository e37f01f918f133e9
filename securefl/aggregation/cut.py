"""Integers that a cohort may not sum: zeros in their place.

The rule kept here: a contribution is encoded once, for the whole roster, and used in every attempt of its round; what
too few of an attempt's cohort own is cut out of it, and nothing else changes.

    >>> import numpy as np
    >>> encoded = EncodedContribution.of_integers(np.arange(1, 7))
    >>> without(encoded, [slice(1, 3), slice(5, 6)]).integers
    array([1, 0, 0, 4, 5, 0])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from securefl.adapters.head_statistics import Flags
from securefl.adapters.layer_owners import RoundOwners
from securefl.adapters.payloads.base import Segment, SegmentKind
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.grid import Integers
from securefl.protocol.owner_rule import Summed


def unsummed_values(
    segments: Sequence[Segment], summed: Summed, layers: RoundOwners | None
) -> Iterator[slice]:
    """Places of an update's values that a cohort may not sum.

    Args:
        segments: The round's.
        summed: Content of the cohort's sum.
        layers: Owners of each layer in the round; None where every member trains every layer.
    """
    left_out = _left_out(summed, layers)
    for segment in segments:
        if segment.kind is SegmentKind.HEAD:
            yield from unsummed_rows(summed.classes, segment.offset, width=segment.shape[1])
        elif not summed.partitions[segment.partition] or segment.tensor in left_out:
            yield slice(segment.offset, segment.offset + segment.size)


def unsummed_rows(classes: Flags | None, first: int, *, width: int) -> Iterator[slice]:
    """Places of the rows of classes that are not summed, in a block with one row a class.

    Args:
        classes: (C,), true for classes that are summed; None where all are.
        first: Place of the block.
        width: Values of a row.
    """
    if classes is not None:
        for row in np.flatnonzero(~classes).tolist():
            yield slice(first + row * width, first + (row + 1) * width)


def unsummed_statistics(classes: Flags | None, *, width: int) -> Iterator[slice]:
    """Places of classes that are not summed, in the opening of statistics: their weights, then their means.

    Args:
        classes: (C,), true for classes that are summed; None where all are.
        width: p of the statistics.
    """
    if classes is not None:
        yield from unsummed_rows(classes, 0, width=1)
        yield from unsummed_rows(classes, len(classes), width=width)


def without(encoded: EncodedContribution, places: Sequence[slice]) -> EncodedContribution:
    """The same contribution with zeros in these places, which are in ascending order."""
    wanted = [place for place in places if place.start < place.stop]
    return replace(encoded, runs=lambda: _zeroed(encoded, wanted)) if wanted else encoded


def _zeroed(encoded: EncodedContribution, places: Sequence[slice]) -> Iterator[Integers]:
    start, left = 0, list(reversed(places))
    for run in encoded.runs():
        stop, kept = start + run.size, run
        while left and left[-1].start < stop:
            kept = run.copy() if kept is run else kept
            kept[max(0, left[-1].start - start) : left[-1].stop - start] = 0
            if left[-1].stop > stop:
                break
            left.pop()
        start = stop
        yield kept


def _left_out(summed: Summed, layers: RoundOwners | None) -> frozenset[str]:
    """Names of the weights in layers that are not summed."""
    if layers is None or summed.layers is None:
        return frozenset()
    pairs = zip(layers.layers, summed.layers, strict=True)
    return frozenset(chain.from_iterable(layer for layer, wanted in pairs if not wanted))
