"""``factors``: a client's own factors A and B of every adapted weight, whole, each summed by itself; and the heads.

The rule kept here: factors are padded with zeros from a client's rank up to the shared rank R, so that a direction is
divided by all members' weights, as FedIT (arXiv 2305.05644) and HetLoRA (arXiv 2401.06432) do, and not by its owners'
alone. HetLoRA pads up to the largest rank; a direction that fewer than c_max + 2 members own is not sent here, because
its sum would show one member's factor (``ownership``). The product of two such means is not the mean of the products:
this payload is there to compare with.

Where A alone is shared (FedSA-LoRA, arXiv 2410.01463), B has no coordinate, and its mean is decoded as zeros: what a
client computes with is its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from securefl.adapters.averaged_factors import AveragedFactors
from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.ownership import RankTable
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
from securefl.config.payload import SharedFactors

LEFT_SCALE, RIGHT_SCALE = 16.0, 8.0
"""Bounds of entries of B, the scaling in it, and of A, in units of the bound b on an update's entries.

AdamW moves an entry by at most about its learning rate a step: A's, which start at 1/sqrt(n), reach 0.5 within a few
rounds of 45 steps at 2e-3, and B's, times a scaling of 2 to 8, about 2; the default b is 0.25. What exceeds the bounds
is clipped, and counted in every result.
"""


def factor_pieces(layout: Layout, ranks: RankTable, shares: SharedFactors) -> Iterator[Piece]:
    """Pieces that every round sends: columns of B and rows of A by weight and rank partition, then the heads."""
    for tensor in layout.adapted:
        for index, part in enumerate(ranks.partitions):
            width, where = part.stop - part.start, f"{part.start}:{part.stop}"
            if shares == "both":
                yield Piece(
                    f"{tensor.name}[B,{where}]",
                    tensor.name,
                    SegmentKind.ADAPTER,
                    (tensor.rows, width),
                    index,
                    LEFT_SCALE,
                    Feature.ROW,
                )
            yield Piece(
                f"{tensor.name}[A,{where}]",
                tensor.name,
                SegmentKind.ADAPTER,
                (width, tensor.columns),
                index,
                RIGHT_SCALE,
                Feature.COLUMN,
            )
    yield from head_pieces(layout)


@dataclass(frozen=True, slots=True)
class FactorsPayload(ByRank):
    """See the module; the same in every round.

    Attributes:
        layout: The federation's tensors.
        ranks: The cohort's ranks.
        shares: Factors that are summed.
        segments: Columns of B and rows of A by weight and rank partition, then the heads.
    """

    shares: SharedFactors = "both"

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", lay_out(factor_pieces(self.layout, self.ranks, self.shares)))

    def encode(self, update: Update, *, rank: int) -> Iterator[Vector]:
        """The factors, zeros where a client of this rank owns nothing, and the heads.

        Args:
            update: For every weight B (m, k), the scaling in it, and A (k, n) after the round, with k = min(rank, R).
            rank: The client's rank.

        Raises:
            ProtocolError: if the update is not one of this layout and rank.
        """
        check_tensors(update, self.layout)
        pairs = [self._checked(update, tensor, rank) for tensor in self.layout.adapted]
        return chain(self._runs(pairs, rank), head_runs(update, self.layout))

    def decode(
        self, mean: Vector, *, noise_std: float = 0.0, owners: Sequence[int] | None = None
    ) -> MeanUpdate:
        """Factors (m, k) and (k, n): of each partition the mean over its owners, times their share of all contributors.

        k is R, or the directions that somebody contributed: they come first, since owners only grow towards the first.
        """
        counts = tuple(part.owners for part in self.partitions) if owners is None else tuple(owners)
        segments = iter(self.segments)
        weights: dict[str, Matrix | Factors] = {}
        for tensor in self.layout.adapted:
            left, right = [np.zeros((tensor.rows, 0))], [np.zeros((0, tensor.columns))]
            for part, count in zip(self.partitions, counts, strict=True):
                share, nothing = count / counts[0], np.zeros((tensor.rows, part.stop - part.start))
                B = next(segments).block(mean) * share if self.shares == "both" else nothing
                A = next(segments).block(mean) * share
                if count:
                    left.append(B)
                    right.append(A)
            weights[tensor.name] = Factors(np.concatenate(left, axis=1), np.concatenate(right, axis=0))
        return MeanUpdate(weights=weights, heads=read_heads(self.segments, mean), noise_std=noise_std)

    def _runs(self, pairs: list[Factors], rank: int) -> Iterator[Vector]:
        for pair in pairs:
            for part in self.partitions:
                sent = [pair.right[part.start : part.stop]]
                if self.shares == "both":
                    sent.insert(0, pair.left[:, part.start : part.stop])
                if part.owned_by(rank):
                    yield from (block.reshape(-1) for block in sent)
                    continue
                width, sides = part.stop - part.start, pair.shape if self.shares == "both" else pair.shape[1:]
                yield np.zeros(width * sum(sides))

    def _checked(self, update: Update, tensor: TensorSpec, rank: int) -> Factors:
        factors, inner = update.weights[tensor.name], min(rank, self.ranks.shared_rank)
        checked(factors.left, (tensor.rows, inner), where=tensor.name)
        checked(factors.right, (inner, tensor.columns), where=tensor.name)
        return factors


def factors_start(settings: PayloadSettings) -> AveragedFactors:
    """The averaged adapter before the first round."""
    return AveragedFactors.start(
        settings.layout, shared_rank=settings.ranks.shared_rank, seed=settings.seed, shares=settings.shares
    )


def factors_segments(settings: PayloadSettings, round_number: int) -> tuple[Segment, ...]:
    """Segments of a contribution."""
    return lay_out(factor_pieces(settings.layout, settings.ranks, settings.shares))


def factors_payload(settings: PayloadSettings, round_number: int) -> RoundPayload:
    """The payload of every round."""
    return RoundPayload(FactorsPayload(settings.layout, settings.ranks, settings.shares))
