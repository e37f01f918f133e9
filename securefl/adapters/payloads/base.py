"""What every payload is: a linear map from updates to vectors of one fixed size, cut into named segments.

The rule kept here: ``encode`` is linear in the update and ``decode`` in the vector, so that a server which
only adds computes on updates. A payload object belongs to one round and holds no values of anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.ownership import Partition
from securefl.adapters.update import Factors, Matrix, MeanUpdate, Update
from securefl.errors import ProtocolError

Vector = NDArray[np.float64]


class SegmentKind(Enum):
    """What a segment's values belong to: with the segment's scale it decides their bound."""

    ADAPTER = "adapter"
    HEAD = "head"


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
    """

    name: str
    tensor: str
    kind: SegmentKind
    offset: int
    shape: tuple[int, int]
    partition: int
    scale: float = 1.0

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
    def name(self) -> str:
        """The payload's name in a federation file."""
        ...

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What stands where, without gaps."""
        ...

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The sets of clients that segments are averaged over; everybody is in the first."""
        ...

    @property
    def size(self) -> int:
        """V, the number of coordinates."""
        ...

    @property
    def amplifies_noise(self) -> bool:
        """Whether ``decode`` enlarges noise in the coordinates; noise for privacy must never go through it."""
        ...

    def encode(self, update: Update, *, rank: int) -> Vector:
        """The update as a vector (V,); coordinates that a client of this rank does not own are 0.

        Raises:
            ProtocolError: if the update is not one of this payload, layout and rank.
        """
        ...

    def decode(self, mean: Vector, *, noise_std: float = 0.0) -> MeanUpdate:
        """The inverse, for a mean of such vectors; the result may share memory with ``mean``.

        Args:
            mean: (V,).
            noise_std: Largest standard deviation of the grid's rounding in an adapter coordinate of it; the
                result says what becomes of that in the weights.
        """
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment before it has a place; see ``lay_out``."""

    name: str
    tensor: str
    kind: SegmentKind
    shape: tuple[int, int]
    partition: int = 0
    scale: float = 1.0


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
        )
        yield segment
        offset += segment.size


def head_pieces(layout: Layout) -> Iterator[Piece]:
    """The heads, each a whole matrix that everybody owns."""
    for tensor in layout.heads:
        yield Piece(tensor.name, tensor.name, SegmentKind.HEAD, (tensor.rows, tensor.columns))


def check_names(update: Update, layout: Layout) -> None:
    """Refuses an update that has not exactly the layout's tensors.

    Raises:
        ProtocolError: naming the tensors that are missing or too many.
    """
    expected = {tensor.name for tensor in layout.tensors}
    given = set(update.weights) | set(update.heads)
    if given != expected or set(update.heads) != {tensor.name for tensor in layout.heads}:
        odd = ", ".join(sorted(given ^ expected)) or "an adapted weight given as a head"
        raise ProtocolError("the update does not have the layout's tensors", where=odd)


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


def write_heads(update: Update, segments: Iterable[Segment], vector: Vector) -> None:
    """Puts the heads' values at their segments."""
    for segment in segments:
        if segment.kind is SegmentKind.HEAD:
            segment.block(vector)[...] = checked(
                update.heads[segment.tensor], segment.shape, where=segment.tensor
            )


def read_heads(segments: Iterable[Segment], vector: Vector) -> Mapping[str, Matrix]:
    """The heads' values, as views of the vector."""
    return {segment.tensor: segment.block(vector) for segment in segments if segment.kind is SegmentKind.HEAD}
