"""``core``: the change of an R x R core between two frozen orthonormal factors, or of several; and the heads.

The rule kept here: all updates are products with the same two frozen factors (``frozen.core``), so adding cores
adds updates, exactly and for any ranks. A client of rank r trains the leading r x r block; a coordinate in
row i and column j belongs to those whose rank exceeds both, so a rank partition is an L-shaped border, and
what fewer than c_max + 2 clients own has no coordinate at all (``ownership``). With h heads a weight has h such
cores, one behind the other, each with the same owners.

References: Fed-SB, arXiv 2502.15436, for what is sent; its start is not ours (``frozen.core``). Several heads: Ravan,
arXiv 2506.05568.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from securefl.adapters.frozen.core import CoreBases, FrozenPair, core_bases, draw_core_bases
from securefl.adapters.frozen.learned import Learned
from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.ownership import Partition, RankTable
from securefl.adapters.payloads.base import (
    ByRank,
    PayloadSettings,
    Piece,
    RoundPayload,
    Segment,
    SegmentKind,
    Vector,
    check_tensors,
    checked_factors,
    head_pieces,
    head_runs,
    lay_out,
    read_heads,
)
from securefl.adapters.payloads.basis import SAME_BASIS
from securefl.adapters.update import Factors, Matrix, MeanUpdate, Update
from securefl.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of a core that the same clients own.

    Attributes:
        rows: Its rows.
        columns: Its columns.
        partition: Index of the rank partition.
    """

    rows: slice
    columns: slice
    partition: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def core_blocks(partitions: Iterable[Partition]) -> tuple[Block, ...]:
    """The border that each rank partition adds to the core: above its corner, then its rows up to it."""
    blocks: list[Block] = []
    for index, part in enumerate(partitions):
        if part.start:
            blocks.append(Block(slice(0, part.start), slice(part.start, part.stop), index))
        blocks.append(Block(slice(part.start, part.stop), slice(0, part.stop), index))
    return tuple(blocks)


def core_pieces(layout: Layout, ranks: RankTable, heads: int = 1) -> Iterator[Piece]:
    """Pieces that every round sends: the blocks of each of a weight's cores, then the heads of the model."""
    blocks = core_blocks(ranks.partitions)
    for tensor in layout.adapted:
        scale = core_scale(tensor, ranks.shared_rank)
        for head in range(heads):
            core = tensor.name if heads == 1 else f"{tensor.name}[{head}]"
            for block in blocks:
                name = f"{core}[{_range(block.rows)},{_range(block.columns)}]"
                yield Piece(name, tensor.name, SegmentKind.ADAPTER, block.shape, block.partition, scale)
    yield from head_pieces(layout)


def core_scale(tensor: TensorSpec, shared_rank: int) -> float:
    """Bound of a core's coordinate, in units of the bound b on an update's entries: sqrt(m n) / R.

    A core C has the Frobenius norm of its update U C V. An update of entries of root mean square b / 4 has
    the norm b sqrt(m n) / 4, which over R^2 coordinates is a root mean square of b sqrt(m n) / (4 R): so the
    bound is four times that, as b is for the entries. It is the same with several heads: one of them may carry nearly
    the whole update, which is what their factors are trained for.
    """
    return math.sqrt(tensor.rows * tensor.columns) / shared_rank


@dataclass(frozen=True, slots=True)
class CorePayload(ByRank):
    """See the module; the same in every round.

    Attributes:
        layout: The federation's tensors.
        ranks: The cohort's ranks.
        bases: The frozen factors.
        heads: h, the cores of a weight.
        segments: Blocks of the cores by weight, head and rank partition, then the heads of the model.
    """

    bases: CoreBases
    heads: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", lay_out(core_pieces(self.layout, self.ranks, self.heads)))

    def encode(self, update: Update, *, rank: int) -> Iterator[Vector]:
        """The cores' changes, zero where a client of this rank owns nothing, and the heads.

        Args:
            update: Products U_r C V_r of ``bases.cut(name, rank)``, the scaling included, as factors
                (U_r C, V_r): what ``FrozenPair.between`` gives.
            rank: The client's rank; what of it exceeds R was never part of the update.

        Raises:
            ProtocolError: if the update is not one of this layout and rank, or does not lie between the frozen factors.
        """
        check_tensors(update, self.layout)
        cores = [
            core
            for tensor in self.layout.adapted
            for core in np.split(self._cores(update, tensor, rank), self.heads)
        ]
        return chain(self._runs(cores, rank), head_runs(update, self.layout))

    def decode(
        self, mean: Vector, *, noise_std: float = 0.0, owners: Sequence[int] | None = None
    ) -> MeanUpdate:
        """Factors (U C, V) of rank h R; V is the frozen one.

        Noise of deviation s in C has the largest singular value s 2 sqrt(R), in a weight s (sqrt(m) +
        sqrt(n)); that of several heads, which share no direction, is the largest of theirs.
        """
        segments, shared = iter(self.segments), self.ranks.shared_rank
        weights: dict[str, Matrix | Factors] = {}
        for tensor in self.layout.adapted:
            cores = np.empty((self.heads, shared, shared))
            for core in cores:
                for block in core_blocks(self.partitions):
                    core[block.rows, block.columns] = next(segments).block(mean)
            weights[tensor.name] = self.bases.pairs[tensor.name].between(cores.reshape(-1, shared))
        narrowest = min(math.sqrt(tensor.rows) + math.sqrt(tensor.columns) for tensor in self.layout.adapted)
        shrunk = 2 * math.sqrt(self.ranks.shared_rank) / narrowest
        return MeanUpdate(
            weights=weights, heads=read_heads(self.segments, mean), noise_std=shrunk * noise_std
        )

    def _runs(self, cores: Iterable[Matrix], rank: int) -> Iterator[Vector]:
        for core in cores:
            for block in core_blocks(self.partitions):
                owned = self.partitions[block.partition].owned_by(rank)
                values = core[block.rows, block.columns] if owned else np.zeros(block.shape)
                yield values.reshape(-1)

    def _cores(self, update: Update, tensor: TensorSpec, rank: int) -> Matrix:
        """The update's cores, once the update has been found to lie between the frozen factors."""
        factors = checked_factors(update, tensor)
        pair = self.bases.cut(tensor.name, rank)
        fits = factors.right.shape == pair.right.shape and np.allclose(
            factors.right, pair.right, rtol=0.0, atol=SAME_BASIS
        )
        cores = _left_cores(pair, factors) if fits else np.zeros((pair.heads * pair.rank, pair.rank))
        room = SAME_BASIS * max(1.0, float(np.abs(cores).max(initial=0.0)))
        if not fits or not np.allclose(pair.between(cores).left, factors.left, rtol=0.0, atol=room):
            raise ProtocolError(
                "the update does not lie between the frozen factors of this federation",
                where=tensor.name,
                hint="train the core between the frozen factors, cut to the own rank",
            )
        return cores


def _left_cores(pair: FrozenPair, factors: Factors) -> Matrix:
    """U_i^T of each head's part of the left factor, one below the other; to the bit what a single core's was."""
    if pair.heads == 1:
        return np.asarray(pair.left.T @ factors.left)
    parts = zip(*(np.split(left, pair.heads, axis=1) for left in (pair.left, factors.left)), strict=True)
    return np.concatenate([frozen.T @ part for frozen, part in parts])


def core_rank(settings: PayloadSettings) -> int:
    """Rank that a mean of several heads has; 0 of one, whose rank some members' adapters have."""
    return 0 if settings.core_heads == 1 else settings.core_heads * settings.ranks.shared_rank


def core_segments(settings: PayloadSettings, round_number: int) -> tuple[Segment, ...]:
    """Segments of a contribution, without drawing the frozen factors."""
    return lay_out(core_pieces(settings.layout, settings.ranks, settings.core_heads))


def core_payload(settings: PayloadSettings, round_number: int, learned: Learned) -> RoundPayload:
    """The payload of every round; this draws the frozen factors, unless the state has begun from others."""
    heads, shared = settings.core_heads, settings.ranks.shared_rank
    bases = (
        core_bases(learned, heads=heads)
        if learned
        else draw_core_bases(settings.layout, shared_rank=shared, seed=settings.seed, heads=heads)
    )
    return RoundPayload(CorePayload(settings.layout, settings.ranks, bases, heads), bases)


def _range(part: slice) -> str:
    return f"{part.start}:{part.stop}"
