"""``basis``: the factor a client trained, against the round's frozen one; and the heads.

The rule kept here: all updates of a round are products with the same frozen factor, so adding the trained
factors adds the updates, exactly and for any ranks; directions that fewer than c_max + 2 clients own have no
coordinate at all (``ownership``), and each rank partition has coordinates of its own, zero for those who do
not own it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from securefl.adapters.frozen.basis import FrozenBasis, Side, draw_basis, trained_side
from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.ownership import Partition, RankTable
from securefl.adapters.payloads.base import (
    ByRank,
    Feature,
    PayloadSettings,
    Piece,
    RoundPayload,
    Segment,
    SegmentKind,
    Vector,
    check_tensors,
    checked,
    head_pieces,
    head_runs,
    lay_out,
    read_heads,
)
from securefl.adapters.update import Factors, Matrix, MeanUpdate, Update
from securefl.errors import ProtocolError

SAME_BASIS = 1e-9
"""Largest difference of an entry between two machines' draws: float64 rounding through a QR, with room."""


def basis_pieces(layout: Layout, ranks: RankTable, side: Side, *, scale: float = 1.0) -> Iterator[Piece]:
    """Pieces that a round that trains ``side`` sends: one block a weight and rank partition, then the heads.

    Args:
        layout: The federation's tensors.
        ranks: The cohort's ranks.
        side: The trained factor.
        scale: See ``Segment.scale``.
    """
    feature = Feature.ROW if side is Side.LEFT else Feature.COLUMN
    for tensor in layout.adapted:
        for index, part in enumerate(ranks.partitions):
            width = part.stop - part.start
            shape = (tensor.rows, width) if side is Side.LEFT else (width, tensor.columns)
            name = f"{tensor.name}[{part.start}:{part.stop}]"
            yield Piece(name, tensor.name, SegmentKind.ADAPTER, shape, index, scale, feature)
    yield from head_pieces(layout)


@dataclass(frozen=True, slots=True)
class BasisPayload(ByRank):
    """See the module; one object a round.

    Attributes:
        layout: The federation's tensors.
        ranks: The cohort's ranks.
        basis: The round's frozen factors.
        scale: Bound of the trained factor's coordinates; see ``Segment.scale``.
        segments: Blocks of the trained factor by weight and rank partition, then the heads.
    """

    basis: FrozenBasis
    scale: float = 1.0

    def __post_init__(self) -> None:
        pieces = basis_pieces(self.layout, self.ranks, self.basis.side, scale=self.scale)
        object.__setattr__(self, "segments", lay_out(pieces))

    def encode(self, update: Update, *, rank: int) -> Iterator[Vector]:
        """The trained factors, zero where a client of this rank owns nothing, and the heads.

        Args:
            update: Its frozen factors are ``basis.cut(name, rank)``; its trained ones carry the scaling.
            rank: The client's rank; what of it exceeds R was never part of the update.

        Raises:
            ProtocolError: if the update is not one of this layout and rank, or was trained against another
                basis.
        """
        check_tensors(update, self.layout)
        trained = {tensor.name: self._trained(update, tensor, rank) for tensor in self.layout.adapted}
        return chain(self._runs(trained, rank), head_runs(update, self.layout))

    def decode(
        self, mean: Vector, *, noise_std: float = 0.0, owners: Sequence[int] | None = None
    ) -> MeanUpdate:
        """Factors of rank R, one of them the basis itself.

        Noise in the other one, R directions wide, has no larger singular value than in a whole weight.
        """
        blocks: dict[str, list[Matrix]] = {}
        for segment in self.segments:
            if segment.kind is SegmentKind.ADAPTER:
                blocks.setdefault(segment.tensor, []).append(segment.block(mean))
        weights = {name: self._product(name, parts) for name, parts in blocks.items()}
        return MeanUpdate(weights=weights, heads=read_heads(self.segments, mean), noise_std=noise_std)

    def _runs(self, trained: Mapping[str, Matrix], rank: int) -> Iterator[Vector]:
        for segment in self.segments:
            if segment.kind is SegmentKind.HEAD:
                continue
            partition = self.partitions[segment.partition]
            owned = partition.owned_by(rank)
            yield (
                self._cut(trained[segment.tensor], partition).reshape(-1) if owned else np.zeros(segment.size)
            )

    def _trained(self, update: Update, tensor: TensorSpec, rank: int) -> Matrix:
        """The update's trained factor, once its frozen one has been found to be the round's."""
        factors = update.weights[tensor.name]
        frozen = self.basis.cut(tensor.name, rank)
        left = self.basis.side is Side.LEFT
        given, trained = (factors.right, factors.left) if left else (factors.left, factors.right)
        checked(given, frozen.shape, where=tensor.name)
        if not np.allclose(given, frozen, rtol=0.0, atol=SAME_BASIS):
            raise ProtocolError(
                f"the update was not trained against the frozen factor of round {self.basis.round_number}",
                where=tensor.name,
                hint="take the frozen factor from the basis of the round that the manifest names",
            )
        shape = (tensor.rows, frozen.shape[0]) if left else (frozen.shape[1], tensor.columns)
        return checked(trained, shape, where=tensor.name)

    def _cut(self, trained: Matrix, partition: Partition) -> Matrix:
        directions = slice(partition.start, partition.stop)
        return trained[:, directions] if self.basis.side is Side.LEFT else trained[directions]

    def _product(self, name: str, parts: list[Matrix]) -> Factors:
        if self.basis.side is Side.LEFT:
            return Factors(np.concatenate(parts, axis=1), self.basis.factors[name])
        return Factors(self.basis.factors[name], np.concatenate(parts, axis=0))


def basis_segments(settings: PayloadSettings, round_number: int) -> tuple[Segment, ...]:
    """Segments of a contribution to a round, without drawing its basis."""
    return lay_out(basis_pieces(settings.layout, settings.ranks, trained_side(round_number)))


def basis_payload(settings: PayloadSettings, round_number: int) -> RoundPayload:
    """A round's payload; this draws its basis."""
    shared = settings.ranks.shared_rank
    basis = draw_basis(settings.layout, shared_rank=shared, seed=settings.seed, round_number=round_number)
    return RoundPayload(BasisPayload(settings.layout, settings.ranks, basis), basis)
