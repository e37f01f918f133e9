"""Means over the owners of a layer, where not every member trains every layer.

The rule kept here: adapters' values weigh 1 at every owner, and a sum is divided by the number of owners, both of which
are public; heads, which everybody trains, keep the weights that they have without layers. A layer without owners in
the round is divided by nothing, and does not move.

Reference: ``adapters.layer_owners`` for who owns what, and why no weight of data may be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import tee

from securefl.adapters.payloads.base import Segment, SegmentKind, Vector


def heads_weighted(
    runs: Iterable[Vector], *, weigh: Callable[[Iterable[Vector]], Iterator[Vector]], adapter_values: int
) -> Iterator[Vector]:
    """Adapters' values as they are, and heads' values weighed.

    Args:
        runs: All V values in runs, none of which holds values of both kinds.
        weigh: Multiplies runs by weights, run by run.
        adapter_values: How many of the values are adapters'; they come first.
    """
    plain, again = tee(runs)
    place = 0
    for run, weighted in zip(plain, weigh(again), strict=True):
        yield run if place < adapter_values else weighted
        place += run.size


def adapter_values(segments: Sequence[Segment]) -> int:
    """Number of a contribution's values that are adapters'."""
    return sum(segment.size for segment in segments if segment.kind is SegmentKind.ADAPTER)


def divide_by_owners(sums: Vector, *, segments: Iterable[Segment], owners: Mapping[str, int]) -> None:
    """Turn sums (V,) over a round's owners into means, in place; heads are left as they are.

    Args:
        sums: Decoded sums of values that weighed 1 at every owner.
        segments: Which coordinates belong to which weight.
        owners: Number of owners of each adapted weight; 0 where nobody trained it.
    """
    for segment in segments:
        if segment.kind is SegmentKind.ADAPTER:
            values = sums[segment.offset : segment.offset + segment.size]
            count = owners[segment.tensor]
            values[...] = values / count if count else 0.0
