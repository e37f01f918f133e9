"""Selective encryption: which coordinates of a payload are encrypted, from sums of clients' sensitivity scores.

The rule kept here: how many coordinates are encrypted follows from the federation file alone, and which ones from
the layout and the sums of scores, in whole numbers: every client cuts the same mask on every machine.

Always encrypted, whatever their scores: the heads, because what a head changes shows how often each label occurs at
a client; and coordinates that not everybody owns, because the zeros of the others would show who owns less, which is
their rank. Of the rest, the most sensitive blocks.

Terms: a *feature* is a row or a column of an adapted weight; its *score* says how much the loss depends on it
(``training.sensitivity``); a *block* is the coordinates that tell of one feature, or of a whole weight, and is
encrypted as one: where the coordinates of a weight explain each other, single features of it cannot be hidden.

Scores travel as square roots, as parts of a client's largest, so that no client is louder than another and coarse
grids keep their order: a grid of 8 bits has 127 steps, rows of MiniLM had scores down to 1/5700 of the largest, and
roots square the range. What the mask goes by is the square of the sum of roots, which grows with the scores as they do
(their power mean of exponent 1/2, times n^2), so that dividing it by a block's size means what dividing a score would.

Selection ``by = "columns"`` takes whole columns only, of all adapted weights together (after SHE-LoRA, arXiv
2505.21051): no row is scored, and the places of rows hold zeros.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.payloads.base import Feature, Segment, SegmentKind
from securefl.config.encryption import SelectBy
from securefl.errors import ProtocolError, TrainingError

Mask = NDArray[np.bool_]
Scores = NDArray[np.float64]
ScoreSums = NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True)
class FeaturePlaces:
    """Places of one weight's features in a vector of scores.

    Attributes:
        rows: Those of its m rows.
        columns: Those of its n columns.
    """

    rows: slice
    columns: slice


def feature_count(layout: Layout) -> int:
    """F, the features of a layout: the rows and the columns of every adapted weight."""
    return sum(tensor.rows + tensor.columns for tensor in layout.adapted)


def feature_places(layout: Layout) -> Mapping[str, FeaturePlaces]:
    """Places of each adapted weight's features, by name: weight after weight, rows before columns."""
    places: dict[str, FeaturePlaces] = {}
    start = 0
    for tensor in layout.adapted:
        middle, stop = start + tensor.rows, start + tensor.rows + tensor.columns
        places[tensor.name] = FeaturePlaces(slice(start, middle), slice(middle, stop))
        start = stop
    return places


def rooted(scores: Scores) -> Scores:
    """Scores as a client sends them: square roots, as parts of the largest; (F,) from 0 to 1.

    Args:
        scores: (F,) of any scale. Where all are 0, so is the result.

    Raises:
        TrainingError: if a score is negative or not finite.
    """
    if not (np.isfinite(scores).all() and (scores >= 0).all()):
        raise TrainingError("a sensitivity score is negative or not finite")
    largest = float(scores.max(initial=0.0))
    return np.sqrt(scores / largest) if largest > 0 else np.zeros_like(scores)


def columns_alone(scores: NDArray[Number], layout: Layout) -> NDArray[Number]:
    """A copy of scores (F,) with zeros in the places of rows."""
    kept = scores.copy()
    for place in feature_places(layout).values():
        kept[place.rows] = 0
    return kept


def encrypted_count(segments: Sequence[Segment], fraction: Fraction) -> int:
    """K, how many of a payload's coordinates are encrypted.

    Args:
        segments: The payload's.
        fraction: Share of them, above 0 and up to 1.

    Returns:
        The fraction of V, rounded up; more where more than that is always encrypted.
    """
    size = sum(segment.size for segment in segments)
    always = sum(segment.size for segment in segments if _always(segment))
    return max(math.ceil(fraction * size), always)


def select(
    segments: Sequence[Segment],
    layout: Layout,
    score_sums: ScoreSums,
    fraction: Fraction,
    *,
    by: SelectBy = "values",
) -> Mask:
    """The coordinates that are encrypted: (V,) bool, exactly ``encrypted_count`` of them true.

    Blocks are taken in order of decreasing score a coordinate, equal ones by position. The last one is taken in part,
    from its first coordinate on, so that the number is exact; that one, at most, is not hidden as a whole.

    Args:
        segments: The payload's.
        layout: The federation's tensors.
        score_sums: (F,) the sums over clients of ``rooted`` scores on a grid; their unit does not matter.
        fraction: Share of the coordinates, above 0 and up to 1.
        by: With ``columns`` the blocks are columns.

    Raises:
        ProtocolError: if there is not one sum for each feature, or one is negative; or if columns are asked for, and a
            segment has none.
    """
    if score_sums.shape != (feature_count(layout),):
        raise ProtocolError(f"there are {score_sums.size} score sums for {feature_count(layout)} features")
    if (score_sums < 0).any():
        raise ProtocolError("a sum of sensitivity scores is negative, so a member sent what is no score")
    mask = np.zeros(sum(segment.size for segment in segments), dtype=np.bool_)
    for segment in segments:
        if _always(segment):
            mask[segment.offset : segment.offset + segment.size] = True
    room = encrypted_count(segments, fraction) - int(np.count_nonzero(mask))
    groups = tuple(_groups(segments, layout, by))
    for group, taken in zip(groups, _taken(groups, score_sums, room), strict=True):
        _mark(mask, group, taken)
    return mask


def split(vector: NDArray[Number], mask: Mask) -> tuple[NDArray[Number], NDArray[Number]]:
    """A vector's encrypted coordinates (K,) and its plain ones (V - K,), each in their order; ``join`` undoes it.

    Raises:
        ProtocolError: if the mask is not one for this vector.
    """
    if vector.shape != mask.shape:
        raise ProtocolError(f"a mask of {mask.size} coordinates does not fit a vector of {vector.size}")
    return vector[mask], vector[~mask]


def join(encrypted: NDArray[Number], plain: NDArray[Number], mask: Mask) -> NDArray[Number]:
    """The vector (V,) that ``split`` cuts into these parts.

    Raises:
        ProtocolError: if the mask does not cut a vector into parts of these sizes.
    """
    chosen = int(np.count_nonzero(mask))
    if encrypted.shape != (chosen,) or plain.shape != (mask.size - chosen,):
        raise ProtocolError(
            f"{encrypted.size} encrypted and {plain.size} plain coordinates do not fit "
            f"a mask of {chosen} in {mask.size}"
        )
    vector = np.empty(mask.shape, dtype=encrypted.dtype)
    vector[mask] = encrypted
    vector[~mask] = plain
    return vector


@dataclass(frozen=True, slots=True)
class _Group:
    """Blocks of one size: the features of one segment, or one weight as a whole.

    Attributes:
        segments: The one segment whose features they are; or all those of the weight.
        features: Where the blocks' scores stand.
        feature: What the blocks are; ``TENSOR`` where features are scored together, for the whole weight.
    """

    segments: tuple[Segment, ...]
    features: slice
    feature: Feature

    @property
    def whole(self) -> bool:
        """True where there is one block: the weight."""
        return self.feature is Feature.TENSOR

    @property
    def blocks(self) -> int:
        """Number of these blocks."""
        return 1 if self.whole else self.features.stop - self.features.start

    @property
    def block_size(self) -> int:
        """Coordinates of one block."""
        return sum(segment.size for segment in self.segments) // self.blocks

    def scores(self, score_sums: ScoreSums) -> list[int]:
        """The blocks' scores."""
        squares = [int(value) ** 2 for value in score_sums[self.features]]
        return [sum(squares)] if self.whole else squares


def _always(segment: Segment) -> bool:
    return segment.kind is SegmentKind.HEAD or segment.partition != 0


def _groups(segments: Sequence[Segment], layout: Layout, by: SelectBy) -> Iterator[_Group]:
    """Segments that scores decide on, in the order of the layout's tensors."""
    places = feature_places(layout)
    for tensor in layout.adapted:
        own = [segment for segment in segments if segment.tensor == tensor.name and not _always(segment)]
        place = places[tensor.name]
        together = tuple(segment for segment in own if segment.feature is Feature.TENSOR)
        if by == "columns" and any(segment.feature not in _IN_COLUMNS for segment in own):
            raise ProtocolError(
                f"'{tensor.name}' is not sent by columns, and cannot be selected by them",
                hint='write [payload] name = "dense"',
            )
        if together:
            yield _Group(together, place.rows, Feature.TENSOR)
        for segment in own:
            if segment.feature is not Feature.TENSOR:
                rows = by == "values" and segment.feature is not Feature.COLUMN
                yield _Group((segment,), _features(segment, tensor, place, rows=rows), _lines(rows=rows))


_IN_COLUMNS = (Feature.COLUMN, Feature.ENTRY)


def _lines(*, rows: bool) -> Feature:
    return Feature.ROW if rows else Feature.COLUMN


def _features(segment: Segment, tensor: TensorSpec, place: FeaturePlaces, *, rows: bool) -> slice:
    assert segment.shape[0 if rows else 1] == (tensor.rows if rows else tensor.columns)
    return place.rows if rows else place.columns


def _taken(groups: Sequence[_Group], score_sums: ScoreSums, room: int) -> Iterator[NDArray[np.int64]]:
    """Number of coordinates of each block that are encrypted, group by group.

    Scores a coordinate are fractions over the blocks' sizes; over the common multiple they are compared as integers.
    """
    common = math.lcm(*(group.block_size for group in groups))
    sizes: list[int] = []
    priorities: list[int] = []
    for group in groups:
        sizes += [group.block_size] * group.blocks
        priorities += [score * (common // group.block_size) for score in group.scores(score_sums)]
    taken = np.zeros(len(sizes), dtype=np.int64)
    for block in sorted(range(len(sizes)), key=lambda block: -priorities[block]):
        taken[block] = min(sizes[block], room)
        room -= int(taken[block])
        if room == 0:
            break
    start = 0
    for group in groups:
        yield taken[start : start + group.blocks]
        start += group.blocks


def _mark(mask: Mask, group: _Group, taken: NDArray[np.int64]) -> None:
    """Mark so many coordinates of each block of a group, from its first on."""
    left = int(taken[0])
    for segment in group.segments:
        place = mask[segment.offset : segment.offset + segment.size]
        block = place.reshape(segment.shape)
        match group.feature:
            case Feature.ROW:
                block[...] = np.arange(segment.shape[1]) < taken[:, np.newaxis]
            case Feature.COLUMN:
                block[...] = np.arange(segment.shape[0])[:, np.newaxis] < taken
            case _:
                place[:left] = True
                left -= min(left, segment.size)
