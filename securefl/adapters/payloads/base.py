"""Interface of every payload: a linear map from updates to vectors of one fixed size, cut into named segments.

The rule kept here: ``encode`` is linear in the update and ``decode`` in the vector, so that a server which
only adds computes on updates. A payload object belongs to one round and holds no values of anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.frozen import Frozen
from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.ownership import Partition, RankTable
from securefl.adapters.update import Factors, Matrix, MeanUpdate, Update
from securefl.config.aggregation import SplitName
from securefl.config.payload import SharedFactors, Sums
from securefl.config.trained_sides import IN_TURN, TrainedSides
from securefl.errors import ProtocolError

Vector = NDArray[np.float64]
RUN_VALUES = 1 << 17
"""About how many coordinates of a product are formed at a time: 1 MiB of float64."""


class SegmentKind(Enum):
    """Kinds of tensors that a segment's values belong to: with the segment's scale it decides their bound."""

    ADAPTER = "adapter"
    HEAD = "head"


class Feature(Enum):
    """Part of a tensor that one run of a segment's coordinates tells of: a sensitivity is known for each of these."""

    ROW = "row"
    """Row i of the segment belongs to row i of the weight."""
    COLUMN = "column"
    """Column j of the segment belongs to column j of the weight."""
    ENTRY = "entry"
    """Entry (i, j) of the segment is that of the weight: it may be hidden with its row or with its column."""
    TENSOR = "tensor"
    """Every coordinate tells of the whole tensor."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of coordinates with one meaning.

    Attributes:
        name: Unique within the payload.
        tensor: The shared tensor it describes.
        kind: Whether adapter or head values stand in it.
        offset: Position of its first coordinate.
        shape: Its (rows, columns) as it stands in the vector, row by row.
        partition: Index of the partition in ``Payload.partitions`` that it is averaged over.
        scale: Bound of its coordinates, in units of its kind's: 1 where they are entries of an update or of
            a LoRA factor; other coordinates of the same update are larger or smaller by nature.
        feature: What of the tensor its coordinates tell of.
    """

    name: str
    tensor: str
    kind: SegmentKind
    offset: int
    shape: tuple[int, int]
    partition: int
    scale: float = 1.0
    feature: Feature = Feature.TENSOR

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.shape[0] * self.shape[1]

    def block(self, vector: Vector) -> Matrix:
        """The segment's coordinates of a whole vector, as a matrix that shares its memory."""
        return vector[self.offset : self.offset + self.size].reshape(self.shape)


class Payload(Protocol):
    """A linear encoding of updates for one round."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Segments in their places, without gaps."""
        ...

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The sets of clients that segments are averaged over; everybody is in the first."""
        ...

    @property
    def size(self) -> int:
        """V, the number of coordinates."""
        ...

    def encode(self, update: Update, *, rank: int) -> Iterator[Vector]:
        """The update as its V coordinates, in order, in runs of any length.

        No more than a weight's coordinates are in memory at a time. The update is checked before the first
        run is asked for. Coordinates that a client of this rank does not own are 0. A run may share memory
        with the update, so it is not to be written to.

        Raises:
            ProtocolError: if the update is not one of this payload, layout and rank.
        """
        ...

    def decode(
        self, mean: Vector, *, noise_std: float = 0.0, owners: Sequence[int] | None = None
    ) -> MeanUpdate:
        """The inverse, for a mean of such vectors; the result may share memory with ``mean``.

        Args:
            mean: (V,); zeros where nobody contributed.
            noise_std: Largest standard deviation of the grid's rounding in an adapter coordinate of it; the
                result says what becomes of that in the weights.
            owners: Contributors that own each partition, 0 where nobody contributed; None where all the cohort's
                members contributed.
        """
        ...


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A payload's coordinates in their places.

    Attributes:
        layout: The federation's tensors.
        ranks: The cohort's ranks.
        segments: Of the payload, laid out by it.
    """

    layout: Layout
    ranks: RankTable
    segments: tuple[Segment, ...] = field(init=False, repr=False)

    @property
    def size(self) -> int:
        """V, the number of coordinates."""
        return sum(segment.size for segment in self.segments)


@dataclass(frozen=True, slots=True)
class ByRank(LaidOut):
    """A payload of which a member owns what its rank says."""

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The cohort's rank partitions; heads belong to the first, which everybody owns."""
        return self.ranks.partitions


@dataclass(frozen=True, slots=True)
class OfEverybody(LaidOut):
    """A payload of which everybody owns all."""

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """One: everybody."""
        return (Partition(0, 1, self.ranks.size),)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadSettings:
    """Settings that a federation's payload is made from.

    Attributes:
        layout: The federation's tensors.
        ranks: The cohort's ranks.
        seed: The federation's seed; it draws frozen factors and test matrices.
        sketch_rank: k of a sketch; None for twice the largest rank.
        sums: Changes, which are added to the state, or whole products, whose mean replaces its weights.
        split: The factor that holds the singular values of a redistributed weight.
        sides: Sides of a shared adapter that rounds train.
        shares: Factors that are summed, where each is averaged by itself.
        aligned: True where a shared adapter's factors are turned to their product's singular vectors every round.
        core_heads: h, the cores that a weight has.
    """

    layout: Layout
    ranks: RankTable
    seed: int
    sketch_rank: int | None = None
    sums: Sums = "changes"
    split: SplitName = "left"
    sides: TrainedSides = IN_TURN
    shares: SharedFactors = "both"
    aligned: bool = False
    core_heads: int = 1


@dataclass(frozen=True, slots=True)
class RoundPayload:
    """A round's payload, and what the round trains against.

    Attributes:
        payload: The linear map.
        frozen: The frozen factors; None where both factors are trained.
    """

    payload: Payload
    frozen: Frozen | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment before it has a place; see ``lay_out``."""

    name: str
    tensor: str
    kind: SegmentKind
    shape: tuple[int, int]
    partition: int = 0
    scale: float = 1.0
    feature: Feature = Feature.TENSOR


def lay_out(pieces: Iterable[Piece]) -> tuple[Segment, ...]:
    """Places pieces one behind the other."""
    return tuple(_placed(pieces))


def _placed(pieces: Iterable[Piece]) -> Iterator[Segment]:
    offset = 0
    for piece in pieces:
        segment = Segment(
            name=piece.name,
            tensor=piece.tensor,
            kind=piece.kind,
            offset=offset,
            shape=piece.shape,
            partition=piece.partition,
            scale=piece.scale,
            feature=piece.feature,
        )
        yield segment
        offset += segment.size


def head_pieces(layout: Layout) -> Iterator[Piece]:
    """The heads, each a whole matrix that everybody owns."""
    for tensor in layout.heads:
        yield Piece(tensor.name, tensor.name, SegmentKind.HEAD, (tensor.rows, tensor.columns))


def check_tensors(update: Update, layout: Layout) -> None:
    """Refuse an update that has not exactly the layout's tensors, or not its heads' shapes.

    Raises:
        ProtocolError: naming the tensors that are missing, too many, or of another shape.
    """
    expected = {tensor.name for tensor in layout.tensors}
    given = set(update.weights) | set(update.heads)
    if given != expected or set(update.heads) != {tensor.name for tensor in layout.heads}:
        odd = ", ".join(sorted(given ^ expected)) or "an adapted weight given as a head"
        raise ProtocolError("the update does not have the layout's tensors", where=odd)
    for tensor in layout.heads:
        checked(update.heads[tensor.name], (tensor.rows, tensor.columns), where=tensor.name)


def checked(matrix: Matrix, shape: tuple[int, int], *, where: str) -> Matrix:
    """The matrix, if it has the shape.

    Raises:
        ProtocolError: if it has not; NumPy would broadcast some of those silently.
    """
    if matrix.shape != shape:
        raise ProtocolError(f"a tensor of the update is {matrix.shape} where {shape} belongs", where=where)
    return matrix


def checked_factors(update: Update, tensor: TensorSpec) -> Factors:
    """A weight's change as factors (m, k) and (k, n) of any k.

    Raises:
        ProtocolError: if they are not of the weight's shape.
    """
    factors = update.weights[tensor.name]
    inner = factors.left.shape[-1]
    checked(factors.left, (tensor.rows, inner), where=tensor.name)
    checked(factors.right, (inner, tensor.columns), where=tensor.name)
    return factors


def product_runs(factors: Factors) -> Iterator[Vector]:
    """The product of two factors, row by row, some rows at a time."""
    rows, columns = factors.shape
    step = max(1, RUN_VALUES // columns)
    for start in range(0, rows, step):
        yield (factors.left[start : start + step] @ factors.right).reshape(-1)


def head_runs(update: Update, layout: Layout) -> Iterator[Vector]:
    """The heads' values, one run a head."""
    for tensor in layout.heads:
        yield update.heads[tensor.name].reshape(-1)


def read_heads(segments: Iterable[Segment], vector: Vector) -> Mapping[str, Matrix]:
    """The heads' values, as views of the vector."""
    return {segment.tensor: segment.block(vector) for segment in segments if segment.kind is SegmentKind.HEAD}
